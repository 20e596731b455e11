"""A simulated Bybit whose market moves, and a real daemon that trades on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.client import SyncClient
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MINUTE, Candle, Quote
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from tests.e2e.process import DaemonProcess

USER = 10_000_001
KEYS = {"SIMULATED_API_KEY": "key-of-tests", "SIMULATED_API_SECRET": "secret-of-tests"}
PERPETUAL = Instrument(
    "btcusdt", "BTCUSDT", InstrumentKind.LINEAR, "BTC", "USDT", "USDT",
    Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(1190), Decimal(5), Decimal(100),
    Decimal("0.005"), Decimal("0.0002"), Decimal("0.00055"),
)  # fmt: skip

CONFIG = """\
mode = "testnet"
[journal]
url = "sqlite:///journal.db"
[reconcile]
every = "5s"
[exchange]
plugin = "bybit"
[exchange.settings]
environment = "testnet"
symbols = ["btcusdt"]
credentials = "env:SIMULATED"
receive_window = 1500
read_timeout = 1.0
[exchange.settings.simulator]
rest = "{rest}"
private = "{socket}"
public = "{socket}"
[feed]
plugin = "bybit"
[feed.settings]
symbols = ["btcusdt"]
history = 10
[feed.settings.simulator]
rest = "{rest}"
private = "{socket}"
public = "{socket}"
[[risk]]
plugin = "limits"
[risk.settings]
max_position_risk = 1
max_daily_loss = 1
max_drawdown = 1
max_notional = "1000000"
"""


@dataclass
class Ship:
    """A daemon on a simulated Bybit."""

    running: RunningSimulator
    daemon: DaemonProcess

    @property
    def simulator(self) -> Simulator:
        """Bybit."""
        return self.running.simulator

    def start(self) -> None:
        """Start the daemon and wait until it is ready."""
        self.daemon.start(KEYS)

    def client(self) -> SyncClient:
        """A client of the daemon."""
        return SyncClient.connect(self.daemon.address)

    def quote(self, price: float) -> None:
        """Move the market."""
        quote = Quote("btcusdt", time.time_ns(), price, 1e6, price + 0.1, 1e6)
        self.running.call(lambda: self.simulator.show(quote))

    def fault(self, **rule: Any) -> None:
        """Let something go wrong."""
        self.running.call(lambda: self.simulator.faults.add(rule))

    def mend(self) -> None:
        """Let everything go right again."""
        self.running.call(self.simulator.faults.clear)

    def trade_by_hand(self, side: str, quantity: str) -> None:
        """The account's owner trades in Bybit's own app."""
        self.running.call(lambda: self.simulator.trade_elsewhere(USER, "btcusdt", side, Decimal(quantity)))

    def position(self) -> Decimal:
        """What Bybit holds."""
        return self.running.call(lambda: self.simulator.accounts[USER].quantity("btcusdt"))

    def wallet(self) -> Decimal:
        """What Bybit's wallet holds."""
        return self.running.call(lambda: self.simulator.accounts[USER].venue.balances()["USDT"])

    def creates(self) -> list[str]:
        """Link ids of the orders Bybit ever took in, in order."""
        found = self.running.call(lambda: self.simulator.truth.of("order"))
        return [entry.data["row"]["orderLinkId"] for entry in found]

    def agrees(self, client: SyncClient) -> bool:
        """Whether the daemon holds exactly what Bybit holds: the position, and every cent."""
        held = {one.instrument.rpartition("/")[2]: one.quantity for one in client.positions.list()}
        wallet = {one.currency: one.wallet for one in client.accounts.overview().balances}["USDT"]
        return held.get("btcusdt", Decimal(0)) == self.position() and wallet == self.wallet()


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.05)


@pytest.fixture
def wait() -> Callable[..., None]:
    """`until`, for tests."""
    return until


@pytest.fixture
def ship(tmp_path: Path) -> Iterator[Ship]:
    use_money_context()
    settings = SimulatorSettings(members=(Member("key-of-tests", "secret-of-tests", USER),))
    with RunningSimulator(Simulator([PERPETUAL], settings)) as running:
        config = CONFIG.format(rest=running.server.rest_url, socket=running.server.socket_url)
        ship = Ship(running, DaemonProcess(tmp_path, config))
        now = time.time_ns()
        first = now - now % MINUTE - 10 * MINUTE

        def past() -> None:
            for number in range(10):
                opened = first + number * MINUTE
                running.simulator.show(Candle("btcusdt", MINUTE, opened, 50_000, 50_010, 49_990, 50_000, 1.0))

        running.call(past)
        beat = threading.Event()

        def move() -> None:
            while not beat.wait(0.2):
                ship.quote(50_000.0)

        mover = threading.Thread(target=move, daemon=True)
        mover.start()
        yield ship
        beat.set()
        mover.join()
        if ship.daemon._process is not None and ship.daemon.process.poll() is None:
            ship.daemon.kill()
