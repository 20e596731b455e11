"""Real recordings, where they are at hand: beside the clone, or where QUARTERDECK_DATA says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quarterdeck.domain.market import MINUTE, Candle
from quarterdeck.plugin import ConfigError
from quarterdeck.testing.views import BTCUSDT
from quarterdeck_feed_file import FileFeed, FileSettings

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("QUARTERDECK_DATA", ROOT.parent / "shared" / "data"))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set QUARTERDECK_DATA")


async def opened(path: str, **settings: object) -> FileFeed:
    feed = FileFeed(FileSettings.model_validate({"path": str(DATA / path), **settings}))
    await feed.open([BTCUSDT])
    return feed


async def test_a_year_of_candles() -> None:
    feed = await opened("candles/bybit_linear/BTCUSDT-5m-2025.parquet")
    candles = [event async for event in feed.stream(feed.start_time) if isinstance(event, Candle)]
    assert len(candles) == 105_120
    assert (candles[0].open_time, candles[0].interval) == (1_735_689_600_000_000_000, 5 * MINUTE)
    assert candles[-1].time == 1_767_225_600_000_000_000
    assert feed.history("btcusdt", 5 * MINUTE, candles[-1].time, 100) == candles[-100:]


async def test_two_recordings_that_continue_one_another() -> None:
    quarter = "candles/bybit_linear/BTCUSDT-5m-2026Q1.parquet"
    year = "candles/bybit_linear/BTCUSDT-5m-2025.parquet"
    feed = FileFeed(FileSettings(path=(str(DATA / year), str(DATA / quarter))))
    await feed.open([BTCUSDT])
    assert len([event async for event in feed.stream(0)]) == 105_120 + 25_920


async def test_outages_of_an_exchange_are_found() -> None:
    path = "candles/binance_spot/BTCUSDT-1h-2017_2021.parquet"
    with pytest.raises(ConfigError, match="127 candles of 1h are missing in 27 places, 33 of them before"):
        await opened(path)
    feed = await opened(path, on_gap="allow")
    assert len([event async for event in feed.stream(0)]) == 38_221


async def test_trades() -> None:
    feed = await opened("ticks/binance_linear/BTCUSDT-trades-20241028.parquet", kind="trades")
    assert len([event async for event in feed.stream(0)]) == 99_294


async def test_prices_of_marks_are_no_candles() -> None:
    with pytest.raises(ConfigError, match="column volume is missing; it has ts, open, high, low, close"):
        await opened("candles/bybit_linear/BTCUSDT-1h-mark-202501_202603.parquet")
