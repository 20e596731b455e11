from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from quarterdeck.domain.market import MINUTE, Candle, MarketEvent, Side, Trade
from quarterdeck.plugin import ConfigError, replay
from quarterdeck.plugin.loader import build, load
from quarterdeck.testing.checks import check_settings_table
from quarterdeck.testing.views import BTCUSDT, PEPEUSDT_SPOT
from quarterdeck_feed_file import FileFeed, FileSettings

START = 1_735_689_600_000_000_000  # 2025-01-01


def candles(folder: Path, name: str = "candles.csv", *, first: int = 0, count: int = 10, step: int = 1) -> Path:
    """Candles of `step` minutes from minute `first` on; the volume is the minute."""
    path = folder / name
    minutes = range(first, first + count * step, step)
    rows = [f"{START // 1_000_000 + minute * 60_000},100,110.5,90,105,{minute}" for minute in minutes]
    path.write_text("\n".join(["ts,open,high,low,close,volume", *rows]))
    return path


async def opened(**settings: object) -> FileFeed:
    feed = FileFeed(FileSettings.model_validate({"time_unit": "ms", **settings}))
    await feed.open([BTCUSDT, PEPEUSDT_SPOT])
    return feed


async def taken(feed: FileFeed, after: int = 0) -> list[MarketEvent]:
    return [event async for event in feed.stream(after)]


def minutes(events: list[MarketEvent]) -> list[int]:
    return [(event.time - START) // MINUTE for event in events]


def refusal(table: Mapping[str, object]) -> str:
    (loaded,) = load(modules=["quarterdeck_feed_file"], only=()).feeds.values()
    with pytest.raises(ConfigError) as refused:
        build(loaded, table, "[feed.settings]")
    return str(refused.value)


async def test_a_row_becomes_a_candle(tmp_path: Path) -> None:
    feed = await opened(path=str(candles(tmp_path, step=5, first=5)), symbol="btcusdt")
    first, *_ = await taken(feed)
    assert first == Candle("btcusdt", 5 * MINUTE, START + 5 * MINUTE, 100.0, 110.5, 90.0, 105.0, 5.0)
    assert feed.start_time == START + 5 * MINUTE
    assert feed.offers("btcusdt", 5 * MINUTE)
    assert not feed.offers("btcusdt", MINUTE)
    assert not feed.offers("pepeusdt-spot", 5 * MINUTE)


async def test_a_row_becomes_a_trade(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("ts,price,size,side,id\n2025-01-01 00:00:00.5,100.5,2,Buy,7\n2025-01-01 00:00:01,100,1, -1 ,8\n")
    feed = await opened(path=str(path), symbol="btcusdt", kind="trades", time_unit=None)
    assert await taken(feed) == [
        Trade("btcusdt", START + 500_000_000, 100.5, 2.0, Side.BUY),
        Trade("btcusdt", START + 1_000_000_000, 100.0, 1.0, Side.SELL),
    ]
    assert feed.start_time == START + 499_999_999
    assert not feed.offers("btcusdt", MINUTE)
    assert feed.history("btcusdt", MINUTE, START * 2, 10) == ()


async def test_start_and_end_limit_the_replay_but_not_the_history(tmp_path: Path) -> None:
    period = {"start": "2025-01-01T00:03:00Z", "end": "2025-01-01T00:06:00Z"}
    feed = await opened(path=str(candles(tmp_path)), symbol="btcusdt", **period)
    assert minutes(await taken(feed)) == [4, 5, 6]
    assert feed.start_time == START + 3 * MINUTE
    assert minutes([*feed.history("btcusdt", MINUTE, feed.start_time, 2)]) == [2, 3]


async def test_files_of_one_symbol_continue_one_another(tmp_path: Path) -> None:
    paths = [str(candles(tmp_path, "a.csv", count=3)), str(candles(tmp_path, "b.csv", first=3, count=2))]
    feed = await opened(path=paths, symbol="btcusdt")
    assert minutes(await taken(feed)) == [1, 2, 3, 4, 5]
    assert minutes([*feed.history("btcusdt", MINUTE, START + 4 * MINUTE, 2)]) == [3, 4]


async def test_symbols_are_merged_by_time(tmp_path: Path) -> None:
    ones, twos = candles(tmp_path, "a.csv", count=4), candles(tmp_path, "b.csv", count=2, step=2)
    feed = await opened(path={"pepeusdt-spot": str(twos), "btcusdt": str(ones)})
    events = await taken(feed)
    assert [(event.symbol[:3], minute) for event, minute in zip(events, minutes(events), strict=True)] == [
        ("btc", 1),
        ("btc", 2),
        ("pep", 2),
        ("btc", 3),
        ("btc", 4),
        ("pep", 4),
    ]


async def test_an_only_instrument_needs_no_symbol(tmp_path: Path) -> None:
    feed = FileFeed(FileSettings(path=str(candles(tmp_path)), time_unit="ms"))
    await feed.open([BTCUSDT])
    assert {event.symbol for event in await taken(feed)} == {"btcusdt"}


async def test_it_is_not_guessed_which_instrument_is_meant(tmp_path: Path) -> None:
    path = str(candles(tmp_path))
    with pytest.raises(ConfigError, match=r"symbol: missing, and the venue has several instruments: btcusdt, pepeusdt"):
        await opened(path=path)
    with pytest.raises(ConfigError, match=r"symbol 'ethusdt': no such instrument; there are: btcusdt, pepeusdt-spot"):
        await opened(path=path, symbol="ethusdt")


async def test_speed_is_a_multiple_of_how_it_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr(replay, "sleep", nap)
    await taken(await opened(path=str(candles(tmp_path, count=3)), symbol="btcusdt", speed=6.0))
    assert [round(seconds) for seconds in naps] == [0, 10, 20]  # nobody slept, so the second wait is for both


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "[feed.settings] path: missing (a file, a list of files that continue one another, or a table of either"),
        ({"path": []}, "[feed.settings] path: "),
        ({"path": ""}, "[feed.settings] path = '': "),
        ({"path": "x", "kind": "quotes"}, "[feed.settings] kind = 'quotes': must be 'candles' or 'trades'"),
        ({"path": "x", "interval": "5 min"}, "[feed.settings] interval = '5 min': '5 min' is not an interval such as"),
        ({"path": "x", "time_unit": "m"}, "[feed.settings] time_unit = 'm': must be 's', 'ms', 'us' or 'ns'"),
        ({"path": "x", "on_gap": "fill"}, "[feed.settings] on_gap = 'fill': must be 'refuse' or 'allow'"),
        (
            {"path": "x", "start": 0},
            "[feed.settings] start = 0: must be a moment with a time zone, such as 2025-01-01T",
        ),
        ({"path": "x", "intervall": "5m"}, "[feed.settings] intervall: unknown key (did you mean 'interval'?)"),
        ({"path": {"a": "x"}, "symbol": "a"}, "[feed.settings]: symbol ('a') must not be set when path is a table"),
        (
            {"path": "x", "kind": "trades", "interval": "5m"},
            "[feed.settings]: interval ('5m') must not be set when kind",
        ),
        (
            {"path": "x", "start": "2025-01-02T00:00:00Z", "end": "2025-01-02T00:00:00Z"},
            "[feed.settings]: start (2025-01-02T00:00:00+00:00) must be before end (2025-01-02T00:00:00+00:00)",
        ),
    ],
)
def test_wrong_settings_are_refused_by_name(table: dict[str, object], text: str) -> None:
    assert refusal(table).startswith(text)


def test_pyarrow_is_imported_only_when_a_file_is_opened() -> None:
    code = (
        "import sys, quarterdeck_feed_file as f; f.FileFeed(f.FileSettings(path='x.csv')); "
        "sys.exit('pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_readme_lists_the_settings() -> None:
    class Documented(FileSettings):
        path: str = "required"

    readme = Path(__file__).parents[1] / "README.md"
    check_settings_table(readme.read_text(encoding="utf-8"), Documented)
