"""A replay is the same each time, survives a crash, and has its journal and its address to itself."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from quarterdeck.client import SyncClient
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.keeper import Keeper
from quarterdeck.domain.order import UNRESOLVED_STATES
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.events import DaemonStarted, OrderFilled, OrderSent, Recorded
from quarterdeck.engine.state import State
from quarterdeck.rpc.convert.envelope import decode
from tests.e2e.process import DaemonProcess
from tests.e2e.refusal import refused

MINUTE_MS = 60_000
BEGIN_MS = 1_735_689_600_000

#: Two seconds, and more where the cores are busy.
AT_ONCE = 30.0

CONFIG = """\
mode = "paper"
[journal]
url = "sqlite:///journal.db"
[exchange]
plugin = "paper"
[feed]
plugin = "file"
[feed.settings]
path = "candles.csv"
symbol = "btcusdt"
time_unit = "ms"
speed = "max"
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
max_entries_per_minute = "off"
[[bots]]
id = "crossing"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
[bots.settings]
fast = 3
slow = 8
"""


def write_candles(folder: Path, count: int) -> None:
    """A market that wanders, the same each time."""
    chance = random.Random(20250101)
    lines = ["ts,open,high,low,close,volume"]
    price = 60_000.0
    for number in range(count):
        close = price * (1 + chance.gauss(0, 0.001))
        high, low = max(price, close) + chance.uniform(0, 20), min(price, close) - chance.uniform(0, 20)
        lines.append(f"{BEGIN_MS + number * MINUTE_MS},{price:.1f},{high + 0.1:.1f},{low - 0.1:.1f},{close:.1f},10")
        price = close
    (folder / "candles.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def wait_for(daemon: DaemonProcess, word: str, times: int = 1) -> None:
    """Wait until the daemon's log says something."""
    deadline = time.monotonic() + 60
    while daemon.log.read_text().count(word) < times:
        assert time.monotonic() < deadline, daemon.log.read_text()
        time.sleep(0.02)


def journal_of(folder: Path) -> tuple[list[Recorded], State]:
    """Every event on the disk, and the state of a next start."""
    journal = Journal.open(f"sqlite:///{folder / 'journal.db'}", "main")
    try:
        return [decode(entry.body) for entry in journal.iterate(0)], Keeper(journal).load()
    finally:
        journal.close()


def story(events: Sequence[Recorded]) -> list[str]:
    """Events as text, without what makes a journal's link ids differ from another journal's."""
    return [re.sub(r"a1-\w{4}-(\w{6}-\w{10}-[EX])-\w{5}", r"\1", repr(one)) for one in events]


def replayed(folder: Path) -> list[Recorded]:
    folder.mkdir()
    write_candles(folder, 1_500)
    daemon = DaemonProcess(folder, CONFIG)
    daemon.start()
    wait_for(daemon, "feed_ended")
    assert daemon.stop() == 0
    return journal_of(folder)[0]


def test_the_same_file_gives_the_same_journal(tmp_path: Path) -> None:
    first, second = (replayed(tmp_path / name) for name in ("first", "second"))
    assert sum(isinstance(one.event, OrderFilled) for one in first) > 20, "nothing traded: nothing was tested"
    assert story(first) == story(second)


def test_a_replay_killed_in_mid_run_goes_on_where_it_was(tmp_path: Path) -> None:
    write_candles(tmp_path, 3_000)
    daemon = DaemonProcess(tmp_path, CONFIG.replace('"max"', "30000"))  # 500 candles a second
    daemon.start()
    before: list[Recorded] = []
    for speed in ("30000", '"max"'):
        with SyncClient.connect(daemon.address) as client:
            start = client.system.status().head_sequence
            with client.events.stream(after=start) as news:
                for _ in range(40):
                    next(news)
        daemon.kill()
        assert "feed_ended" not in daemon.log.read_text(), "it was killed too late: nothing was tested"
        events, _ = journal_of(tmp_path)
        assert events[: len(before)] == before, "history changed"
        before = events
        (tmp_path / "quarterdeck.toml").write_text(CONFIG.replace('"max"', speed))
        daemon.start()
    wait_for(daemon, "feed_ended")
    with SyncClient.connect(daemon.address) as client:
        assert client.bots.get("crossing").state == "RUNNING"
        shown = {one.instrument: one.quantity for one in client.positions.list()}
    assert daemon.stop() == 0

    events, state = journal_of(tmp_path)
    assert events[: len(before)] == before, "history changed"
    check(events)
    assert sum(isinstance(one.event, DaemonStarted) for one in events) == 3
    assert state.trading_state is TradingState.ACTIVE, state.trading_reason
    traded = sum(one.event.quantity * one.event.side.sign for one in events if isinstance(one.event, OrderFilled))
    held = {f"instruments/{symbol}": one.quantity for symbol, one in state.positions.items() if one.quantity}
    assert held == shown
    assert sum(held.values()) == traded
    assert [one for one in state.open_orders.values() if one.state in UNRESOLVED_STATES] == []


def check(events: Sequence[Recorded]) -> None:
    """Dense, never back in time, and nothing sent or booked twice."""
    assert [one.sequence for one in events] == list(range(1, len(events) + 1))
    times = [one.time for one in events]
    assert times == sorted(times), "time went back"
    sent = [one.event.order_id for one in events if isinstance(one.event, OrderSent)]
    assert len(sent) == len(set(sent)), "an order was sent twice"
    trades = [one.event.trade_id for one in events if isinstance(one.event, OrderFilled)]
    assert len(trades) == len(set(trades)), "a trade was booked twice"


@pytest.fixture
def first(tmp_path: Path) -> Iterator[DaemonProcess]:
    folder = tmp_path / "first"
    folder.mkdir()
    write_candles(folder, 20)
    daemon = DaemonProcess(folder, CONFIG)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0


def test_a_second_daemon_on_the_same_journal_refuses(first: DaemonProcess) -> None:
    begun = time.monotonic()
    refusal = refused(first.folder, CONFIG)
    assert time.monotonic() - begun < AT_ONCE
    assert "journal" in refusal.said
    assert "process" in refusal.said
    assert refusal.files == frozenset()


def test_a_second_daemon_on_the_same_address_refuses(first: DaemonProcess, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    write_candles(second, 20)
    begun = time.monotonic()
    refusal = refused(second, CONFIG, listen=first.address)
    assert time.monotonic() - begun < AT_ONCE
    assert first.address in refusal.said
