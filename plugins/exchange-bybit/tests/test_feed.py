"""The feed against a simulated Bybit: every candle once and in order, whatever breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from quarterdeck.domain.market import (
    MINUTE,
    Candle,
    FundingRate,
    MarketEvent,
    OrderBook,
    Quote,
    Side,
    Ticker,
    Trade,
)
from quarterdeck.plugin import ConfigError
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitFeed, BybitFeedSettings
from quarterdeck_exchange_bybit import feed as feed_module
from quarterdeck_exchange_bybit.market import repair as repair_module
from quarterdeck_exchange_bybit.market import tape as tape_module
from quarterdeck_exchange_bybit.market import watch as watch_module

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
    def candles(self) -> list[Candle]:
        return [event for event in self.heard if isinstance(event, Candle)]

    @property
    def minutes(self) -> list[int]:
        return [(event.open_time - BASE) // MINUTE for event in self.candles]

    @property
    def books(self) -> list[OrderBook]:
        return [event for event in self.heard if isinstance(event, OrderBook)]

    @property
    def book(self) -> Any:
        """The latest order book, if there is one to rely on."""
        books = self.books
        return books[-1] if books and books[-1].bids else None

    @property
    def ticker(self) -> Any:
        """The latest ticker."""
        tickers = [event for event in self.heard if isinstance(event, Ticker)]
        return tickers[-1] if tickers else None


@asynccontextmanager
async def followed(running: RunningSimulator, **more: object) -> AsyncIterator[tuple[BybitFeed, Listener]]:
    """A feed of some settings after three candles, and one who listens to it."""
    close(running, 0, 1, 2)
    feed = BybitFeed(settings(running, **more))
    await feed.open([BTC])
    await until(lambda: feed.is_live)
    listener = Listener(feed)
    yield feed, listener
    listener.task.cancel()
    await feed.close()


def price(running: RunningSimulator, bid: float) -> None:
    running.call(lambda: running.simulator.show(Quote("btcusdt", time.time_ns(), bid, 1.0, bid + 0.1, 1.0)))


def trade(running: RunningSimulator, price: float) -> None:
    running.call(lambda: running.simulator.show(Trade("btcusdt", time.time_ns(), price, 1.0, Side.BUY)))


def fault(running: RunningSimulator, **rule: Any) -> None:
    running.call(lambda: running.simulator.faults.add(rule))


def lose(running: RunningSimulator, topic: str) -> None:
    """Let the next message of a topic get lost."""
    fault(running, match={"topic": f"{topic}.BTCUSDT"}, do="mute", count=1)


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


async def test_a_hole_in_the_book_has_it_told_anew_on_the_same_connection(running: RunningSimulator) -> None:
    """And while there is none to rely on, that is told."""
    async with followed(running, depth=50) as (feed, listener):
        price(running, 50_000.0)
        await until(lambda: listener.book and listener.book.bids[0][0] == 50_000.0)
        lines = [channel.line for channel in feed._channels]
        lose(running, "orderbook.50")
        price(running, 50_001.0)
        price(running, 50_002.0)
        await until(lambda: not listener.books[-1].bids or listener.books[-1].bids[0][0] == 50_002.0)
        await until(lambda: listener.book and listener.book.bids[0][0] == 50_002.0)
        assert any(not book.bids and not book.asks for book in listener.books)
        assert feed.health().quarantined == {"gap": 1}
        assert [line.connections for line in lines] == [1]
        price(running, 50_003.0)
        await until(lambda: listener.book and listener.book.bids[0][0] == 50_003.0)


async def test_a_book_of_bybits_restarted_service_is_taken_whole(running: RunningSimulator) -> None:
    async with followed(running, depth=50) as (feed, listener):
        price(running, 50_000.0)
        await until(lambda: listener.book and listener.book.bids[0][0] == 50_000.0)

        def restart() -> None:
            market = running.simulator.markets["linear", "BTCUSDT"]
            for topic, kind, data in market.restart_book():
                now = time.time_ns() // 1_000_000
                message = {"topic": topic, "type": kind, "ts": now, "data": data, "cts": now}
                running.simulator.publish(f"linear:{topic}", message, None)

        running.call(restart)
        price(running, 50_005.0)
        await until(lambda: listener.book and listener.book.bids[0][0] == 50_005.0)
        assert listener.book.update_id == 2
        assert feed.health().quarantined == {}


async def test_a_book_that_can_not_be_read_is_told_anew(running: RunningSimulator) -> None:
    async with followed(running) as (feed, listener):
        fault(running, match={"topic": "orderbook"}, do="corrupt", field="u", count=1)
        price(running, 50_000.0)
        await until(lambda: feed.health().quarantined == {"malformed": 1})
        assert "BTCUSDT.data.u: None is not a whole number" in feed.health().last_quarantined
        await until(lambda: any(isinstance(event, Quote) and event.bid == 50_000.0 for event in listener.heard))


async def test_a_mute_book_costs_the_connection_within_fifteen_seconds(
    running: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "SILENCE", 0.5)  # in proportion
    monkeypatch.setattr(watch_module, "ANSWER_SECONDS", 1.0)
    async with followed(running, depth=50) as (feed, listener):
        price(running, 50_000.0)
        await until(lambda: listener.book)
        (line,) = [channel.line for channel in feed._channels]
        fault(running, match={"topic": "orderbook.50.BTCUSDT"}, do="mute")
        await until(lambda: line.connections > 1)
        assert not listener.books[-1].bids
        running.call(running.simulator.faults.clear)
        price(running, 50_010.0)
        await until(lambda: listener.book and listener.book.bids[0][0] == 50_010.0)


async def test_a_market_that_is_only_quiet_costs_nothing(
    running: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "SILENCE", 0.3)
    monkeypatch.setattr(feed_module, "STALE", 1.5)
    async with followed(running, depth=50) as (feed, _):
        (channel,) = feed._channels
        await asyncio.sleep(2.5)
        assert (channel.line.connections, channel.line.is_up) == (1, True)
        assert feed.health().stale == {}


async def test_prices_too_old_to_go_by_are_named(running: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "STALE", 1.0)
    async with followed(running) as (feed, listener):
        price(running, 50_000.0)
        await until(lambda: listener.ticker and listener.ticker.mark)
        fault(running, match={"topic": "*"}, do="mute")
        await until(lambda: "btcusdt" in feed.health().stale)
        await until(lambda: listener.ticker.mark is None)
        running.call(running.simulator.faults.clear)
        running.call(running.server.drop_all)
        await until(lambda: not feed.health().stale)


async def test_tickers_tell_the_mark_and_the_funding_that_was_paid(running: RunningSimulator) -> None:
    async with followed(running) as (_, listener):
        price(running, 50_000.0)
        await until(lambda: listener.ticker and listener.ticker.mark)
        ticker = listener.ticker
        assert (ticker.index, ticker.funding_rate, ticker.open_interest) == (ticker.mark, 0.0001, 0.0)
        due = str(ticker.next_funding_time // 1_000_000 + 8 * 3_600_000)
        fault(running, match={"topic": "tickers"}, do="corrupt", field="nextFundingTime", value=due)
        price(running, 50_001.0)
        await until(lambda: any(isinstance(event, FundingRate) for event in listener.heard))
        (paid,) = [event for event in listener.heard if isinstance(event, FundingRate)]
        assert (paid.symbol, paid.rate) == ("btcusdt", 0.0001)


async def test_a_price_nobody_can_believe_is_held_back_and_kept(running: RunningSimulator) -> None:
    async with followed(running, trades=True) as (feed, listener):
        kept: list[tuple[str, bytes]] = []
        feed.record_frames(lambda source, raw: kept.append((source, raw)))
        price(running, 50_000.0)
        fault(running, match={"topic": "publicTrade"}, do="corrupt", field="p", value="5", count=1)
        trade(running, 50_000.0)
        trade(running, 50_001.0)
        await until(lambda: any(isinstance(event, Trade) and event.price == 50_001.0 for event in listener.heard))
        assert min(event.price for event in listener.heard if isinstance(event, Trade)) > 49_000
        assert feed.health().quarantined == {"bad-print": 1}
        ((source, raw),) = kept
        assert source == "publicTrade.BTCUSDT bad-print"
        assert b'"p": "5"' in raw


async def test_a_candle_nobody_can_believe_is_asked_for_again(running: RunningSimulator) -> None:
    async with followed(running) as (feed, listener):
        fault(running, match={"topic": "kline.1.BTCUSDT"}, do="corrupt", field="high", value="90000", count=1)
        close(running, 3)
        await until(lambda: listener.minutes == [3])
        assert listener.candles == [candle(3)]
        assert feed.health().quarantined == {"bad-print": 1}


async def test_a_correction_is_named_and_kept_for_those_who_warm_up(running: RunningSimulator) -> None:
    async with followed(running) as (feed, listener):
        close(running, 3)
        fault(running, match={"topic": "kline.1.BTCUSDT"}, do="corrupt", field="close", value="50003.5", count=1)
        close(running, 3)
        await until(lambda: feed.health().quarantined == {"late-correction": 1})
        close(running, 4)
        await until(lambda: listener.minutes == [3, 4])
        assert feed.history("btcusdt", MINUTE, BASE + 4 * MINUTE, 1)[0].close == 50_003.5


async def test_a_candle_that_is_not_told_in_time_is_asked_for(
    running: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair_module, "LATE_AGAIN", 0)
    async with followed(running) as (_, listener):
        fault(running, match={"topic": "kline"}, do="mute")
        close(running, 3, 4)
        await until(lambda: listener.minutes == [3, 4])


async def test_newer_candles_wait_until_the_hole_before_them_is_filled(running: RunningSimulator) -> None:
    async with followed(running) as (_, listener):
        fault(running, match={"path": "/v5/market/kline"}, do="http", status=502, count=6)
        fault(running, match={"topic": "kline.1.BTCUSDT"}, do="mute", count=1)
        close(running, 3, 4, 5)
        await asyncio.sleep(0.3)
        assert listener.minutes == []
        await until(lambda: listener.minutes == [3, 4, 5])


async def test_trades_that_are_not_told_cost_the_connection(
    running: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape_module, "LAG", 0.0)
    async with followed(running, trades=True) as (feed, listener):
        (channel,) = feed._channels
        trade(running, 50_000.0)
        trade(running, 50_001.0)
        await until(lambda: any(isinstance(event, Trade) for event in listener.heard))
        assert channel.line.connections == 1
        fault(running, match={"topic": "publicTrade"}, do="mute")
        for _ in range(3):
            trade(running, 50_000.0)
            await asyncio.sleep(0.05)
        await until(lambda: channel.line.connections > 1)


async def test_a_depth_that_is_not_offered_costs_only_the_book(running: RunningSimulator) -> None:
    fault(running, match={"path": "subscribe:orderbook.500.BTCUSDT"}, do="code", code=10001)
    async with followed(running, depth=500) as (feed, listener):
        price(running, 50_000.0)
        await until(lambda: any(isinstance(event, Quote) and event.bid == 50_000.0 for event in listener.heard))
        assert feed.is_live
        assert listener.books == []


async def test_without_quotes_candles_keep_an_instrument_fresh(
    running: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "STALE_CANDLES", 0.5)
    async with followed(running, quotes=False, depth=50) as (feed, _):
        await until(lambda: feed.health().stale)
        trade(running, 50_000.0)
        await until(lambda: not feed.health().stale)


async def test_bad_settings_are_named(running: RunningSimulator) -> None:
    with pytest.raises(ValueError, match="'2m' is no candle that Bybit makes"):
        settings(running, intervals=["2m"])
    with pytest.raises(ValueError, match="not a simulator on this machine"):
        settings(running, simulator={"rest": "http://192.0.2.1", "private": "ws://x", "public": "ws://x"})
    feed = BybitFeed(settings(running, symbols=["nousdt"]))
    with pytest.raises(ConfigError, match="nousdt is not traded; there are: btcusdt"):
        await feed.open([BTC])
    await feed.close()
