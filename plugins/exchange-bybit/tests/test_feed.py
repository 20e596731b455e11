"""The feed against a simulated Bybit: every candle once and in order, whatever breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from quarterdeck.domain.market import MINUTE, Candle, MarketEvent, Quote
from quarterdeck.plugin import ConfigError
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitFeed, BybitFeedSettings

NOW = time.time_ns()
BASE = NOW - NOW % MINUTE - 60 * MINUTE


@pytest.fixture
def running(bybit_simulator: RunningSimulator) -> RunningSimulator:
    return bybit_simulator


def settings(running: RunningSimulator, **more: object) -> BybitFeedSettings:
    url = running.server.socket_url
    site = {"rest": running.server.rest_url, "private": url, "public": url}
    return BybitFeedSettings.model_validate({"symbols": ["btcusdt"], "simulator": site, "history": 100, **more})


@pytest.fixture
async def feed(running: RunningSimulator) -> AsyncIterator[BybitFeed]:
    close(running, 0, 1, 2)
    feed = BybitFeed(settings(running))
    await feed.open([BTC])
    await until(lambda: feed.is_live)
    yield feed
    await feed.close()


def candle(minute: int) -> Candle:
    price = 50_000.0 + minute
    return Candle("btcusdt", MINUTE, BASE + minute * MINUTE, price, price + 5, price - 5, price + 1, 2.0)


def close(running: RunningSimulator, *minutes: int) -> None:
    for minute in minutes:
        running.call(lambda minute=minute: running.simulator.show(candle(minute)))  # type: ignore[misc]  # bound early


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - whatever it is, another thread makes it so
            await asyncio.sleep(0.01)


class Listener:
    """Collects what the feed tells."""

    def __init__(self, feed: BybitFeed, after: int = 0) -> None:
        self.heard: list[MarketEvent] = []
        self.task = asyncio.ensure_future(self._listen(feed, after))

    async def _listen(self, feed: BybitFeed, after: int) -> None:
        async for event in feed.stream(after):
            self.heard.append(event)

    @property
    def minutes(self) -> list[int]:
        return [(event.open_time - BASE) // MINUTE for event in self.heard if isinstance(event, Candle)]


async def test_history_and_what_closes_next(running: RunningSimulator, feed: BybitFeed) -> None:
    assert feed.offers("btcusdt", MINUTE)
    assert not feed.offers("btcusdt", 5 * MINUTE)
    assert feed.history("btcusdt", MINUTE, BASE + 3 * MINUTE, 2) == [candle(1), candle(2)]
    listener = Listener(feed)
    close(running, 3, 4)
    await until(lambda: listener.minutes == [3, 4])
    assert any(isinstance(event, Quote) for event in listener.heard)


async def test_what_closed_before_anybody_listened_is_told_first(running: RunningSimulator, feed: BybitFeed) -> None:
    listener = Listener(feed, after=BASE + MINUTE)
    close(running, 3)
    await until(lambda: listener.minutes == [1, 2, 3])


async def test_what_closed_during_a_break_is_fetched(running: RunningSimulator, feed: BybitFeed) -> None:
    listener = Listener(feed)
    close(running, 3)
    await until(lambda: listener.minutes == [3])
    running.call(running.server.drop_all)
    close(running, 4, 5)
    await until(lambda: listener.minutes == [3, 4, 5])
    await until(lambda: feed.is_live)
    close(running, 6)
    await until(lambda: listener.minutes == [3, 4, 5, 6])


async def test_a_candle_the_stream_leaves_out_is_fetched(running: RunningSimulator, feed: BybitFeed) -> None:
    listener = Listener(feed)
    running.call(lambda: running.simulator.faults.add({"match": {"topic": "kline"}, "do": "mute"}))
    close(running, 3, 4)
    running.call(running.simulator.faults.clear)
    close(running, 5)
    await until(lambda: listener.minutes == [3, 4, 5])


async def test_a_hole_in_the_book_builds_the_line_anew(running: RunningSimulator, feed: BybitFeed) -> None:
    listener = Listener(feed)
    running.call(lambda: running.simulator.faults.add({"match": {"topic": "orderbook"}, "do": "corrupt", "field": "u"}))
    close(running, 3)
    await until(lambda: not feed.is_live)
    running.call(running.simulator.faults.clear)
    await until(lambda: feed.is_live)
    running.call(lambda: running.simulator.show(Quote("btcusdt", time.time_ns(), 50_010.0, 1.0, 50_010.1, 1.0)))
    await until(lambda: any(isinstance(event, Quote) and event.bid == 50_010.0 for event in listener.heard))


async def test_bad_settings_are_named(running: RunningSimulator) -> None:
    with pytest.raises(ValueError, match="'2m' is no candle that Bybit makes"):
        settings(running, intervals=["2m"])
    with pytest.raises(ValueError, match="not a simulator on this machine"):
        settings(running, simulator={"rest": "http://192.0.2.1", "private": "ws://x", "public": "ws://x"})
    feed = BybitFeed(settings(running, symbols=["nousdt"]))
    with pytest.raises(ConfigError, match="nousdt is not traded; there are: btcusdt"):
        await feed.open([BTC])
    await feed.close()
