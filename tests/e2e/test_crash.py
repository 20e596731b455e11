"""A daemon killed at any moment comes back with everything it ever confirmed, and sends nothing twice."""

from __future__ import annotations

import random
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from quarterdeck.client import Options, QuarterdeckError, RiskRefused, SyncClient
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.keeper import Keeper
from quarterdeck.domain.order import UNRESOLVED_STATES, OrderState
from quarterdeck.engine.events import OrderFilled, OrderPrepared, OrderSent, Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State
from quarterdeck.rpc.convert.envelope import decode
from tests.e2e.process import DaemonProcess

KILLS = 5

#: A fast market, a bot that trades it, and room for orders by hand.
CONFIG = """\
mode = "paper"
[journal]
url = "sqlite:///journal.db"
[exchange]
plugin = "paper"
[exchange.settings.balances]
USDT = "1000000"
[feed]
plugin = "synthetic"
[feed.settings]
seed = 6
speed = 500
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
max_position_risk = 1
max_entries_per_minute = "off"
[limits]
max_open_orders = 1000000
[[bots]]
id = "crossing"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
[bots.settings]
fast = 3
slow = 8
"""


@pytest.fixture
def daemon(tmp_path: Path, journal_url: str) -> Iterator[DaemonProcess]:
    process = DaemonProcess(tmp_path, CONFIG.replace("sqlite:///journal.db", journal_url))
    process.start()
    yield process
    process.kill()


class Trader(threading.Thread):
    """Places orders as fast as they are confirmed, and keeps the ids of those that were."""

    def __init__(self, address: str, prefix: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._prefix = prefix
        self.confirmed: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        with suppress(QuarterdeckError):  # it was killed
            self._trade()

    def _trade(self) -> None:
        number = 0
        options = Options(timeout=5.0, attempt_timeout=2.0, stream_patience=5.0)
        with SyncClient.connect(self._address, options=options) as client:
            quotes = client.market.stream_quotes()
            price = next(quotes).bid
            while not self.ended.is_set():
                number += 1
                order_id = f"{self._prefix}-{number}"
                limit = round(price * 0.99)
                try:
                    client.orders.create(
                        order_id=order_id,
                        instrument="btcusdt",
                        side="BUY",
                        type="LIMIT",
                        quantity="0.001",
                        limit_price=str(limit),
                        stop_loss=str(limit - 500),
                    )
                except RiskRefused:  # the market went too far away from where it was
                    price = next(quotes).bid
                else:
                    self.confirmed.append(order_id)


def journal_of(daemon: DaemonProcess) -> tuple[list[Recorded], State]:
    """Every event on the disk, and their fold, as the next start would find it."""
    config = tomllib.loads((daemon.folder / "quarterdeck.toml").read_text())
    journal = Journal.open(config["journal"]["url"], "main")
    try:
        events = [decode(entry.body) for entry in journal.iterate(0)]
        return events, Keeper(journal).load()
    finally:
        journal.close()


def check(events: list[Recorded]) -> None:
    """What holds of every journal: dense, one id for each order, no order sent again unasked, no trade booked twice."""
    assert [one.sequence for one in events] == list(range(1, len(events) + 1))
    links = [one.event.link_id for one in events if isinstance(one.event, OrderPrepared)]
    assert len(links) == len(set(links)), "a link id was used twice"
    sent = [one.event.order_id for one in events if isinstance(one.event, OrderSent)]
    assert len(sent) == len(set(sent)), "an order was sent twice"
    trades = [(one.event.order_id, one.event.trade_id) for one in events if isinstance(one.event, OrderFilled)]
    assert len(trades) == len(set(trades)), "a trade was booked twice"
    assert len({trade for _, trade in trades}) == len(trades), "the venue used a trade id again after a restart"


def test_killed_at_random_moments(daemon: DaemonProcess, journal_url: str) -> None:
    chance = random.Random(20251121)
    confirmed: list[str] = []
    before: list[Recorded] = []
    for attempt in range(KILLS if journal_url.startswith("sqlite") else 2):
        trader = Trader(daemon.address, f"try{attempt}")
        trader.start()
        time.sleep(chance.uniform(0.05, 1.2))
        daemon.kill()
        trader.ended.set()
        trader.join(30)
        confirmed += trader.confirmed

        events, found = journal_of(daemon)
        check(events)
        assert events[: len(before)] == before, "history changed"
        prepared = {one.event.order_id for one in events if isinstance(one.event, OrderPrepared)}
        assert prepared.issuperset(confirmed), "a confirmed order is lost"
        whole = State()
        for recorded in events:
            fold(whole, recorded)
        assert whole == found, "folding everything gives another state than the daemon's own start"

        daemon.start()
        with SyncClient.connect(daemon.address) as client:
            state = client.risk.state()
            assert state.trading_state == "ACTIVE", state.reason
            held = {one.instrument: one.quantity for one in client.positions.list()}
        assert set(held) <= {"instruments/btcusdt"}, held
        before = events
        unresolved = [one for one in whole.open_orders.values() if one.state in UNRESOLVED_STATES]
        _check_resolved(daemon, [one.order_id for one in unresolved])
    assert confirmed, "no order was ever confirmed: nothing was tested"
    assert any(isinstance(one.event, OrderFilled) for one in before), "nothing ever traded: nothing was tested"


def _check_resolved(daemon: DaemonProcess, order_ids: list[str]) -> None:
    """What was unanswered at the crash is settled by the start, and was not sent again."""
    with SyncClient.connect(daemon.address) as client:
        for order_id in order_ids:
            state = client.orders.get(order_id).state
            assert state in (OrderState.NOT_SENT, OrderState.ABSENT), f"{order_id} is {state}"


def test_stopped_in_order_goes_on_where_it_was(daemon: DaemonProcess) -> None:
    time.sleep(1)
    assert daemon.stop() == 0
    events, state = journal_of(daemon)
    assert type(events[-1].event).__name__ == "DaemonStopped"
    assert state.clean
    check(events)
    daemon.start()
    time.sleep(0.5)
    daemon.kill()
    later, _ = journal_of(daemon)
    check(later)
    assert later[: len(events)] == events
    times = [one.time for one in later]
    assert times == sorted(times), "time went back"
