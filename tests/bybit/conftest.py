"""A simulated Bybit whose market moves, and a real daemon that trades on it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.client import SyncClient
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MINUTE, Candle, Quote
from quarterdeck.matching import VenueSettings
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.account import SimAccount
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from tests.e2e.process import DaemonProcess

USER = 10_000_001
USUAL = 50_000.0
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
symbols = {symbols}
credentials = "env:SIMULATED"
receive_window = 1500
read_timeout = 1.0
{more}
[exchange.settings.simulator]
rest = "{rest}"
private = "{socket}"
public = "{socket}"
[feed]
plugin = "bybit"
[feed.settings]
symbols = {symbols}
history = 10
depth = 50
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
max_open_positions = 100
max_entries_per_minute = "off"
"""


@dataclass
class Ship:
    """A daemon on a simulated Bybit."""

    running: RunningSimulator
    daemon: DaemonProcess
    symbols: Sequence[str] = ("btcusdt",)
    sizes: dict[str, float] = field(default_factory=dict)
    """How much is quoted, where it is less than anybody wants."""
    repeated: set[str] = field(default_factory=set)
    """Link ids that several orders at Bybit have, through no doing of the daemon."""
    price: float = USUAL
    """Where the market stands when nobody moves it."""

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

    def quote(self, price: float, symbol: str = "btcusdt") -> None:
        """Move the market."""
        self.running.call(lambda: self._show(symbol, price))

    def dip(self, symbol: str, price: float, size: float) -> None:
        """So much is sold down at a price, and the market is where it was."""

        def fall() -> None:
            self._show(symbol, price - 0.1, size)
            self._show(symbol, USUAL)

        self.running.call(fall)

    def _show(self, symbol: str, price: float, size: float | None = None) -> None:
        size = size or self.sizes.get(symbol, 1e6)
        self.simulator.show(Quote(symbol, time.time_ns(), price, size, price + 0.1, size))

    def fault(self, **rule: Any) -> None:
        """Let something go wrong."""
        self.running.call(lambda: self.simulator.faults.add(rule))

    def mend(self) -> None:
        """Let everything go right again."""
        self.running.call(self.simulator.faults.clear)

    def trade_by_hand(self, side: str, quantity: str) -> None:
        """The account's owner trades in Bybit's own app."""
        self.running.call(lambda: self.simulator.trade_elsewhere(USER, "btcusdt", side, Decimal(quantity)))

    def position(self, symbol: str = "btcusdt") -> Decimal:
        """What Bybit holds."""
        return self.running.call(lambda: self.simulator.accounts[USER].quantity(symbol))

    def wallet(self) -> Decimal:
        """What Bybit's wallet holds."""
        return self.running.call(lambda: self.simulator.accounts[USER].venue.balances()["USDT"])

    def creates(self) -> list[str]:
        """Link ids of the orders Bybit ever took in, in order."""
        found = self.running.call(lambda: self.simulator.truth.of("order"))
        return [entry.data["row"]["orderLinkId"] for entry in found]

    def agrees(self, client: SyncClient) -> bool:
        """Whether the daemon holds exactly what Bybit holds."""
        return not self.differences(client)

    def differences(self, client: SyncClient) -> list[str]:
        """What the daemon believes otherwise than it is: orders, trades, positions, and every cent."""
        account = self.simulator.accounts[USER]
        there, here = self.running.call(lambda: venue_books(account)), daemon_books(client)
        return [
            f"{what} {key}: {here[what].get(key)} here, {there[what].get(key)} at Bybit"
            for what in there
            for key in sorted(there[what].keys() | here[what].keys())
            if here[what].get(key) != there[what].get(key)
        ]


Books = dict[str, dict[str, object]]

#: How an order at Bybit may have ended here.
ENDS = {
    "Filled": "FILLED",
    "Cancelled": "CANCELED",
    "PartiallyFilledCanceled": "CANCELED",
    "Deactivated": "CANCELED",
    "Rejected": "REJECTED",
}
NEVER_THERE = ("REJECTED", "NOT_SENT", "ABSENT")


def venue_books(account: SimAccount) -> Books:
    """What Bybit has: our orders by link id, what works besides by Bybit's own id, trades, positions, money."""
    orders: dict[str, object] = {}
    for order in account.orders.values():
        state = "open" if order.is_open else ENDS[order.status]
        filled = order.filled
        if order.link_id and order.link_id in orders:  # one that became several
            parts = [each for each in account.orders.values() if each.link_id == order.link_id]
            filled = sum((each.filled for each in parts), Decimal(0))
            state = "open" if any(each.is_open for each in parts) else state
        if order.link_id.startswith("a1-"):
            orders[order.link_id] = (state, filled)
        elif order.is_open:
            orders[order.order_id] = (state, order.terms.quantity, order.terms.trigger_price)
    trades = {
        row["execId"]: (Decimal(row["execQty"]), Decimal(row["execPrice"]), Decimal(row["execFee"]))
        for row in account.executions
        if row["execType"] != "Funding"
    }
    positions = {each.symbol: each.quantity for each in account.venue.positions() if each.quantity}
    wallets = {currency: amount for currency, amount in account.venue.balances().items() if amount}
    return {"order": orders, "trade": dict(trades), "position": dict(positions), "wallet": dict(wallets)}


def daemon_books(client: SyncClient) -> Books:
    """The same, as the daemon has it."""
    orders: dict[str, object] = {}
    for order in client.orders.list():
        state = "open" if order.is_open else order.state.replace("EXPIRED", "CANCELED")
        if order.reason == "found filled":  # as far as Bybit took it in
            state = "FILLED"
        if order.state == "UNKNOWN" and not order.filled_quantity:
            continue  # that it is not known is no belief; if it is at Bybit, that differs
        if order.link_id.startswith("a1-") and not order.parent_order:
            if state not in NEVER_THERE or order.filled_quantity:
                orders[order.link_id] = (state, order.filled_quantity)
        elif order.is_open:
            orders[order.exchange_order_id] = (state, order.quantity, order.trigger_price)
    trades = {each.exchange_trade_id: (each.quantity, each.price, each.fee) for each in client.fills.list()}
    held = {each.instrument.rpartition("/")[2]: each.quantity for each in client.positions.list() if each.quantity}
    wallets = {each.currency: each.wallet for each in client.accounts.overview().balances if each.wallet}
    return {"order": orders, "trade": dict(trades), "position": dict(held), "wallet": dict(wallets)}


def assert_agrees(ship: Ship, client: SyncClient, seconds: float = 60.0) -> None:
    """In the end both hold the same, the daemon is ready, and no order was taken in twice."""
    end = time.monotonic() + seconds
    while (found := ship.differences(client)) or client.system.status().state != "READY":
        assert time.monotonic() < end, found or client.system.status()
        time.sleep(0.1)
    ours = [link for link in ship.creates() if link.startswith("a1-") and link not in ship.repeated]
    assert len(ours) == len(set(ours))


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.05)


@pytest.fixture
def wait() -> Callable[..., None]:
    """`until`, for tests."""
    return until


@contextmanager
def sail(
    folder: Path,
    symbols: Sequence[str] = ("btcusdt",),
    *,
    largest: Mapping[str, Decimal] = {},
    venue: VenueSettings | None = None,
    more: str = "",
) -> Iterator[Ship]:
    """A simulated Bybit whose market moves, and a daemon beside it that has not been started.

    `largest` is the most that one order may be of some instruments; `more` are settings of its exchange.
    """
    use_money_context()
    settings = SimulatorSettings(members=(Member("key-of-tests", "secret-of-tests", USER),))
    settings.venue = venue or settings.venue
    listed = [
        replace(
            PERPETUAL,
            symbol=each,
            venue_symbol=each.removesuffix("-spot").upper(),
            kind=InstrumentKind.SPOT if each.endswith("-spot") else InstrumentKind.LINEAR,
            max_quantity=largest.get(each, Decimal(1190)),
        )
        for each in symbols
    ]
    with RunningSimulator(Simulator(listed, settings)) as running:
        site = {"rest": running.server.rest_url, "socket": running.server.socket_url}
        ship = Ship(
            running, DaemonProcess(folder, CONFIG.format(symbols=json.dumps(symbols), more=more, **site)), symbols
        )
        now = time.time_ns()
        first = now - now % MINUTE - 10 * MINUTE

        def past() -> None:
            for symbol in symbols:
                for number in range(10):
                    opened = first + number * MINUTE
                    running.simulator.show(Candle(symbol, MINUTE, opened, USUAL, 50_010, 49_990, USUAL, 1.0))

        running.call(past)
        beat = threading.Event()

        def move() -> None:
            while not beat.wait(0.2):
                for symbol in symbols:
                    ship.quote(ship.price, symbol)

        mover = threading.Thread(target=move, daemon=True)
        mover.start()
        try:
            yield ship
        finally:
            beat.set()
            mover.join()
            if ship.daemon._process is not None and ship.daemon.process.poll() is None:
                ship.daemon.kill()


@pytest.fixture
def ship(tmp_path: Path) -> Iterator[Ship]:
    with sail(tmp_path) as ship:
        yield ship


@pytest.fixture(scope="module")
def afloat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    """A ship that all tests of a module share, with its daemon running. Take `helm` with it."""
    with sail(tmp_path_factory.mktemp("ship")) as ship:
        ship.start()
        yield ship


@pytest.fixture
def helm(afloat: Ship) -> Iterator[SyncClient]:
    """A client of the shared daemon. After each test all goes right again: ready, flat, and agreed to the cent."""
    with afloat.client() as client:
        yield client
        afloat.mend()
        afloat.price = USUAL
        afloat.simulator.settings.clock_offset = 0
        client.risk.release_kill_switch("the test is over")
        assert_agrees(afloat, client, 60)
        client.orders.cancel_all()
        for held in client.positions.list():
            client.positions.close(held.instrument)
        account = afloat.simulator.accounts[USER]
        until(lambda: not afloat.running.call(lambda: account.open_orders() or account.venue.positions()))
        assert_agrees(afloat, client)
