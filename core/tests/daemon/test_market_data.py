"""Watchers see what is current, never a queue of what was."""

from __future__ import annotations

import asyncio

from core.tests.daemon.conftest import candle
from core.tests.engine.desk import MORNING
from quarterdeck.daemon import market_data
from quarterdeck.daemon.market_data import MarketData
from quarterdeck.domain.market import HOUR, MINUTE, Quote, Side, Trade


async def test_a_slow_watcher_gets_the_latest_only() -> None:
    market = MarketData()
    waiting = asyncio.ensure_future(market.changed(0))
    await asyncio.sleep(0)
    for number in range(100):
        market.see(candle(50_000.0 + number, MORNING + number * MINUTE))
    version = await waiting
    latest = market.latest_candle("btcusdt", MINUTE)
    assert latest is not None
    assert (version, latest.close) == (100, 50_099.0)
    again = asyncio.ensure_future(market.changed(version))
    await asyncio.sleep(0)
    assert not again.done(), "told twice of the same"
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    market.see(candle(1.0))  # who has gone does not matter


async def test_all_who_watch_are_told_and_who_is_late_is_told_at_once() -> None:
    market = MarketData()
    watchers = [asyncio.ensure_future(market.changed(0)) for _ in range(3)]
    await asyncio.sleep(0)
    market.see(candle(50_000.0))
    assert await asyncio.gather(*watchers) == [1, 1, 1]
    assert await market.changed(0) == 1


def test_only_so_many_candles_are_kept() -> None:
    market = MarketData()
    for number in range(market_data.CANDLES_KEPT + 5):
        market.see(candle(float(number), MORNING + number * MINUTE))
    kept = market.candles("btcusdt", MINUTE)
    assert (len(kept), kept[0].close) == (market_data.CANDLES_KEPT, 5.0)
    assert market.candles("btcusdt", HOUR) == ()
    assert list(market.series()) == [("btcusdt", MINUTE)]


def test_a_quote_is_the_best_there_is() -> None:
    market = MarketData()
    assert market.quote("btcusdt") is None
    assert market.latest_candle("btcusdt", MINUTE) is None
    seen = candle(50_000.0)
    market.see(seen)
    assert market.quote("btcusdt") == Quote("btcusdt", seen.time, 50_000.0, 0.0, 50_000.0, 0.0)
    market.see(Trade("btcusdt", MORNING, 50_001.0, 2.0, Side.BUY))
    assert market.quote("btcusdt") == Quote("btcusdt", MORNING, 50_001.0, 0.0, 50_001.0, 0.0)
    quote = Quote("btcusdt", MORNING, 49_999.0, 1.0, 50_002.0, 3.0)
    market.see(quote)
    assert market.quote("btcusdt") == quote
    assert market.quote("ethusdt") is None
