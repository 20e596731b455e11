"""What is wrong with a start is said in one sentence that names it, and nothing is written; a bad bot falls alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.client import SyncClient
from quarterdeck.client.events import BotStateChanged, OrderAdopted
from quarterdeck.daemon.journal import Journal
from tests.e2e.plugins import install
from tests.e2e.process import DaemonProcess
from tests.e2e.refusal import files, refused

HEADER = "ts,open,high,low,close,volume\n"
FILE_FEED = """\
[feed]
plugin = "file"
[feed.settings]
path = "candles.csv"
symbol = "btcusdt"
time_unit = "ms"
"""
BOT = """\
[[bots]]
id = "one"
strategy = "{strategy}"
instrument = "{instrument}"
interval = "1m"
"""

WRONG_CONFIG = {
    "unknown key": ('[daemon]\nlisen = "x"', "daemon.lisen: unknown key (did you mean 'listen'?)"),
    "not TOML": ("mode = ", "quarterdeck.toml: not TOML"),
    "wrong plugin": (
        '[exchange]\nplugin = "papre"',
        "[exchange] plugin = 'papre': not installed (did you mean 'paper'",
    ),
    "wrong setting": ('[feed]\nplugin = "synthetic"\n[feed.settings]\nsped = 1', "[feed.settings] sped: unknown key"),
    "wrong value": ('[feed]\nplugin = "synthetic"\n[feed.settings]\nspeed = -1', "[feed.settings] speed = -1"),
    "everybody can reach it": ('[daemon]\nlisten = "0.0.0.0:1"', "daemon.listen = '0.0.0.0:1': 0.0.0.0 can be reached"),
    "real money": ('mode = "live"', "live.armed: mode 'live' trades real money"),
    "no real venue": ('mode = "testnet"', "needs a real venue, and exchange 'paper' is embedded"),
}


@pytest.mark.parametrize(("config", "said"), WRONG_CONFIG.values(), ids=WRONG_CONFIG)
def test_a_wrong_configuration(config: str, said: str, tmp_path: Path) -> None:
    refusal = refused(tmp_path, config, listen=None)
    assert said in refusal.said
    assert refusal.files == frozenset()


WRONG_DATA = {
    "missing": (None, "candles.csv: no such file"),
    "garbled": (b"\x00\xff\xfegarbage", "candles.csv: "),
    "unsorted": (b"1735689600000,1,1,1,1,1\n1735689540000,1,1,1,1,1\n", "row 2: ts = 2024-12-31T23:59:00Z: is before"),
    "not a number": (b"1735689600000,1,1,1,1,1\n1735689660000,1,1,1,nan,1\n", "row 2: close = nan: must be a finite"),
}


@pytest.mark.parametrize(("rows", "said"), WRONG_DATA.values(), ids=WRONG_DATA)
def test_data_that_can_not_be_used(rows: bytes | None, said: str, tmp_path: Path) -> None:
    if rows is not None:
        (tmp_path / "candles.csv").write_bytes(HEADER.encode() + rows)
    refusal = refused(tmp_path, FILE_FEED)
    assert said in refusal.said
    assert_nothing_recorded(tmp_path)


@pytest.mark.parametrize(
    ("strategy", "instrument", "said"),
    [
        ("sma-croz", "btcusdt", "= 'sma-croz': not installed (did you mean 'sma-cross'?)"),
        ("sma-cross", "dogeusdt", "dogeusdt"),
    ],
)
def test_a_bot_that_can_never_run(strategy: str, instrument: str, said: str, tmp_path: Path) -> None:
    refusal = refused(tmp_path, BOT.format(strategy=strategy, instrument=instrument))
    assert "bots.one" in refusal.said
    assert said in refusal.said


def assert_nothing_recorded(folder: Path) -> None:
    """There is no journal, or an empty one."""
    if (database := folder / ".quarterdeck" / "journal.db").exists():
        journal = Journal.open(f"sqlite:///{database}", "main")
        assert journal.head == 0
        journal.close()


#: What the journal's URL leads to is looked at outside of what turns failures into sentences.


@pytest.mark.parametrize(
    "url",
    ["sqlite:///blocked/journal.db", "sqlite:///blocked/deep/journal.db"],
    ids=["a file in its place", "below a file"],
)
def test_a_journal_folder_that_can_not_be(url: str, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("precious")
    refusal = refused(tmp_path, f'[journal]\nurl = "{url}"')
    assert "journal" in refusal.said
    assert "blocked" in refusal.said
    assert refusal.files == frozenset()


def test_a_journal_url_that_is_none(tmp_path: Path) -> None:
    refusal = refused(tmp_path, '[journal]\nurl = "nonsense"')
    assert "journal" in refusal.said
    assert "nonsense" in refusal.said
    assert refusal.files == frozenset()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder whose journal was kept in mode paper."""
    daemon = DaemonProcess(tmp_path, 'mode = "paper"')
    daemon.start()
    assert daemon.stop() == 0
    return tmp_path


def test_the_journal_of_another_mode(kept: Path) -> None:
    refusal = refused(kept, 'mode = "demo"')
    assert "mode: the journal sqlite:///.quarterdeck/journal.db was kept in mode 'paper', not" in refusal.said
    assert refusal.files == frozenset()


def test_the_journal_of_another_mode_is_left_alone(kept: Path) -> None:
    head = _head(kept)
    refused(kept, 'mode = "demo"')
    assert _head(kept) == head


def _head(folder: Path) -> int:
    journal = Journal.open(f"sqlite:///{folder / '.quarterdeck' / 'journal.db'}", "main")
    try:
        return journal.head
    finally:
        journal.close()


# ---------------------------------------------------------------- plugins


HOOK_RAISES = """\
from quarterdeck.plugin import hookimpl

QUARTERDECK_API = 1


@hookimpl
def quarterdeck_feeds():
    raise OSError("no licence")
"""

BROKEN = {
    "fails on import": ("1 / 0", "importing its module 'my_broken' failed: ZeroDivisionError"),
    "for another API": ("QUARTERDECK_API = 99", "plugin my-broken 1.0 is written for plugin API 99"),
    "offers nothing": ("QUARTERDECK_API = 1", "plugin my-broken 1.0 declares nothing"),
    "its hook raises": (
        HOOK_RAISES,
        "my-broken 1.0: quarterdeck_feeds failed: OSError: no licence",
    ),
}


@pytest.mark.parametrize(("module", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named(module: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    install(tmp_path / "site", "my-broken", module)
    refusal = refused(folder, "", pythonpath=tmp_path / "site")
    assert said in refusal.said
    assert refusal.files == frozenset()


RAISING = '''\
"""Enters on its third candle, and knows no more on its tenth."""

from quarterdeck.domain.signal import Action, Signal
from quarterdeck.plugin import Factory, Settings, hookimpl

QUARTERDECK_API = 1


class Forgetful:
    warmup = 0

    def __init__(self, settings):
        self._seen = 0

    def on_candle(self, candle, holding):
        self._seen += 1
        if self._seen == 3:
            return [Signal(Action.ENTER_LONG, stop=candle.close * 0.5)]
        if self._seen == 10:
            raise LookupError("what was it again")
        return []


@hookimpl
def quarterdeck_strategies():
    return [Factory("forgetful", Settings, Forgetful, "forgets")]
'''

TWO_BOTS = """\
[feed]
plugin = "synthetic"
[feed.settings]
speed = 50
[[risk]]
plugin = "limits"
[[bots]]
id = "bad"
strategy = "forgetful"
instrument = "btcusdt"
interval = "1m"
[[bots]]
id = "good"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
"""


@pytest.fixture
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonProcess]:
    install(tmp_path / "site", "my-forgetful", RAISING)
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    daemon = DaemonProcess(folder, TWO_BOTS)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0


def test_a_strategy_that_raises_fails_alone_and_its_position_keeps_its_stop(forgetful: DaemonProcess) -> None:
    with SyncClient.connect(forgetful.address) as client:
        with client.events.stream(after=0, types=[BotStateChanged]) as changes:
            failed = next(one for one in changes if isinstance(one.body, BotStateChanged) and one.body.failure)
        assert isinstance(failed.body, BotStateChanged)
        assert failed.body.bot == "bots/bad"
        assert failed.body.failure == "LookupError: what was it again"
        bots = {one.name: one for one in client.bots.list()}
        assert (bots["bots/bad"].state, bots["bots/good"].state) == ("FAILED", "RUNNING")

        (position,) = client.positions.list()
        assert position.quantity > 0
        (adopted,) = client.events.list(types=[OrderAdopted])
        assert isinstance(adopted.body, OrderAdopted)
        stop = client.orders.get(adopted.body.order.name)
        assert (stop.role, stop.state, stop.quantity) == ("STOP_LOSS", "OPEN", position.quantity)

        with client.market.stream_candles(["btcusdt"], "1m") as candles:
            next(candles)
        assert client.system.status().state == "READY"
    assert "feed_failed" not in forgetful.log.read_text()
    assert "journal.db" in " ".join(files(forgetful.folder))
