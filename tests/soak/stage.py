"""Owns what a soak plays on: a simulated Bybit whose market moves, and a real daemon, started as often as it ends."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

from quarterdeck.daemon.failpoints import ARM
from quarterdeck.domain.market import FundingRate, Quote, Side, Trade
from quarterdeck.matching import VenueSettings
from quarterdeck.simulation.dice import dice
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.account import SimAccount
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_bybit_simulator.walk import Walk
from tests.e2e.plugins import install
from tests.e2e.process import DaemonProcess
from tests.soak import flipper
from tests.soak.listing import LISTING, SYMBOLS

USER = 10_000_001
KEYS = {"SIMULATED_API_KEY": "key-of-tests", "SIMULATED_API_SECRET": "secret-of-tests"}

#: Prices a second and instrument, and how far one step goes: enough for stops to be met within seconds.
PACE, STEP = 5.0, 0.000_3

#: A late answer has to be too late sometimes, and an order to be proved absent within the time a soak has.
_CONFIG = """\
mode = "testnet"
[daemon]
on_stop = "keep"
crash_limit = 0
[journal]
url = "sqlite:///journal.db"
[reconcile]
every = "5s"
[exchange]
plugin = "bybit"
[exchange.settings]
environment = "testnet"
symbols = {symbols}
credentials = "env:SIMULATED"
receive_window = 2000
read_timeout = 1.5
simulator = {{ rest = "{rest}", private = "{socket}", public = "{socket}" }}
[feed]
plugin = "bybit"
[feed.settings]
symbols = {symbols}
history = 10
simulator = {{ rest = "{rest}", private = "{socket}", public = "{socket}" }}
[[risk]]
plugin = "limits"
[risk.settings]
max_position_risk = 1
max_daily_loss = 1
max_drawdown = 1
max_notional = "1000000"
max_entries_per_minute = "off"
price_band = "off"
[[bots]]
id = "flip-btc"
strategy = "flipper"
instrument = "btcusdt"
interval = "1m"
[[bots]]
id = "flip-eth"
strategy = "flipper"
instrument = "ethusdt"
interval = "1m"
"""

SIGKILL = -9


class Stage:
    """Both sides. A context manager: both have ended when it is left."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        members = (Member(KEYS["SIMULATED_API_KEY"], KEYS["SIMULATED_API_SECRET"], USER),)
        settings = SimulatorSettings(members=members, venue=VenueSettings(participation=Decimal("0.5")))
        self.running = RunningSimulator(Simulator([LISTING[symbol][0] for symbol in SYMBOLS], settings))
        self.market = MovingMarket(self.running, seed)
        self.lives: Lives

    def __enter__(self) -> Stage:
        self.running.__enter__()
        self.market.begin()
        server = self.running.server
        install(self.folder / "site", "flipper", Path(flipper.__file__).read_text(encoding="utf-8"))
        config = _CONFIG.format(symbols=json.dumps(SYMBOLS), rest=server.rest_url, socket=server.socket_url)
        self.lives = Lives(DaemonProcess(self.folder, config), {**KEYS, "PYTHONPATH": str(self.folder / "site")})
        return self

    def __exit__(self, *_: object) -> None:
        self.market.stop()
        self.lives.end()
        self.running.__exit__()

    @property
    def simulator(self) -> Simulator:
        """Bybit."""
        return self.running.simulator

    @property
    def account(self) -> SimAccount:
        """The account at Bybit. To be touched through `running.call`."""
        return self.simulator.accounts[USER]


class MovingMarket:
    """The prices of everything: a walk of their own, with books now deep, now thin."""

    def __init__(self, running: RunningSimulator, seed: int) -> None:
        self._running = running
        self._chance = dice(seed, "market")
        self._walks = {symbol: Walk(*LISTING[symbol], seed, step=STEP) for symbol in SYMBOLS}
        self.prices: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._move, name="market", daemon=True)

    def begin(self) -> None:
        """Give it a past, and let it move."""
        simulator = self._running.simulator
        for walk in self._walks.values():
            self._running.call(partial(simulator.remember, walk.history(simulator.now(), 20)))
        self.step()
        self._thread.start()

    def stop(self) -> None:
        """Stand still from now on. A second time does nothing."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self, sizes: Sequence[float] = (0.02, 0.1, 1.0, 100.0)) -> None:
        """One price more of everything, with one of these quantities to be had at it."""
        for symbol, walk in self._walks.items():
            before = self.prices.get(symbol, 0.0)
            price = self.prices[symbol] = walk.next()
            self._show(symbol, price, self._chance.choice(sizes), rises=price >= before)

    def _show(self, symbol: str, price: float, size: float, *, rises: bool) -> None:
        tick = float(LISTING[symbol][0].tick_size)
        side = Side.BUY if rises else Side.SELL
        simulator = self._running.simulator

        def show() -> None:
            now = simulator.now()
            simulator.show(Trade(symbol, now, price, size, side))
            simulator.show(Quote(symbol, now, round(price - tick, 8), size, price, size))

        self._running.call(show)

    def fund(self, symbol: str, rate: float) -> None:
        """Funding falls due."""
        simulator = self._running.simulator
        self._running.call(lambda: simulator.show(FundingRate(symbol, simulator.now(), rate)))

    def _move(self) -> None:
        while not self._over.wait(1 / PACE):
            self.step()


class Lives:
    """One daemon after another on the same journal."""

    def __init__(self, daemon: DaemonProcess, environment: dict[str, str]) -> None:
        self.daemon = daemon
        self.number = 0
        """Which life this is, from 1."""
        self.ends: Counter[str] = Counter()
        self.problems: list[str] = []
        """Ends that nobody brought about."""
        self._environment = environment
        self._armed = ""

    def launch(self, point: str = "") -> None:
        """Begin a life, which may end at a failpoint."""
        self._armed = point
        self.number += 1
        self.daemon.launch({**self._environment, ARM: point})

    def kill(self, point: str = "") -> None:
        """End it at once, and begin the next."""
        self._end("killed", self.daemon.kill)
        self.launch(point)

    def restart(self) -> None:
        """End it in order, and begin the next."""
        self._end("restarted", self.daemon.stop)
        self.launch()

    def pause(self, seconds: float) -> None:
        """Have it do nothing for a while, without its knowing."""
        self.ends["paused"] += 1
        self.daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.daemon.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """End it in order, and begin no other; returns its exit code."""
        self._armed = ""
        return self.daemon.stop()

    def watch(self) -> None:
        """Begin a new life if one has ended by itself."""
        code = self.daemon.process.poll()
        if code is not None:
            self._note(code, "of itself")
            self.launch()

    def end(self) -> None:
        """Nothing of it runs any more."""
        process = self.daemon._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            self.daemon.kill()

    def _end(self, word: str, way: Callable[[], object]) -> None:
        if (code := self.daemon.process.poll()) is not None:
            self._note(code, word)
            return
        self.ends[word] += 1
        way()

    def _note(self, code: int, why: str) -> None:
        if code == SIGKILL and self._armed:
            self.ends["killed at a failpoint"] += 1
            return
        self.ends[f"ended with {code}"] += 1
        self.problems.append(f"life {self.number} ended with {code} ({why}), armed with {self._armed or 'nothing'}")


def say(text: str) -> None:
    """Tell whoever watches."""
    print(text, file=sys.stderr, flush=True)
