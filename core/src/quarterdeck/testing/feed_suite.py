"""Owns the compliance suite for feeds: what the daemon relies on, whoever wrote the feed.

A plugin's tests subclass it, name the factory, and give settings under which the feed delivers at full speed:

    class TestMyFeed(FeedSuite):
        factory = quarterdeck_feeds()[0]
        settings = {"path": "candles.csv", "speed": "max"}
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import pairwise
from math import inf, isfinite
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, cast

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, FundingRate, MarketEvent, OrderBook, Quote, Ticker, Trade
from quarterdeck.plugin import Factory, Feed
from quarterdeck.testing.checks import build, check_factory
from quarterdeck.testing.views import BTCUSDT

T = TypeVar("T")

_BEGINNING, _END = -(2**62), 2**62
_CUTS = 7
_LIMITS = (1, 2, 30)


class FeedSuite:
    """Tests for one feed, built from `factory` with `settings` and opened for `instruments`."""

    factory: ClassVar[Factory[Feed]]
    settings: Mapping[str, object] = MappingProxyType({})
    """The settings table to test with. It makes the feed deliver without waiting. A fixture may set it."""
    instruments: ClassVar[Sequence[Instrument]] = (BTCUSDT,)
    sample: ClassVar[int] = 1_000
    """How many events to look at. A feed that never ends is left after so many."""

    def test_factory(self) -> None:
        """It has a name, a summary and strict settings, and can be built."""
        check_factory(self.factory, self.settings)

    def test_events_come_in_order_of_time(self) -> None:
        """There are some, and time never goes back."""
        events = self._events()
        assert events, "it delivers nothing"
        for before, event in pairwise(events):
            assert before.time <= event.time, f"{event} comes after {before}"

    def test_a_replay_says_where_it_begins(self) -> None:
        """Everything a replay streams is later than its `start_time`; a feed that does not replay says 0."""
        first = self._events(most=1)[0].time

        async def begin(feed: Feed) -> tuple[bool, int]:
            return feed.is_replay, feed.start_time

        is_replay, start = self._with_feed(begin)
        if is_replay:
            assert start < first, f"start_time {start} is not before the first event, at {first}"
            assert self._events(start) == self._events(), "after its start_time it delivers something else"
        else:
            assert start == 0, f"start_time is {start}, and it does not replay"

    def test_only_instruments_it_was_opened_for(self) -> None:
        """Every event is of an instrument that `open` was given."""
        known = {instrument.symbol for instrument in self.instruments}
        strangers = {event.symbol for event in self._events()} - known
        assert not strangers, f"events of {sorted(strangers)}, opened for {sorted(known)}"

    def test_events_make_sense(self) -> None:
        """Prices are above zero, highs highest and lows lowest, volumes not negative, quotes not crossed."""
        for event in self._events():
            fault = _fault(event)
            assert fault is None, f"{fault}: {event}"

    def test_candles_do_not_overlap(self) -> None:
        """A candle opens at or after the close of the one before, for each instrument and interval."""
        for candles in self._series().values():
            for before, candle in pairwise(candles):
                assert before.time <= candle.open_time, f"{candle} overlaps {before}"

    def test_it_offers_the_candles_it_delivers(self) -> None:
        """`offers` is true of every series in the stream, and false of what it does not have."""
        series = self._series()

        async def look(feed: Feed) -> None:
            for symbol, interval in series:
                assert feed.offers(symbol, interval), f"it delivers {symbol} at {interval} ns and does not offer it"
            assert not feed.offers("no-such-instrument", 60_000_000_000), "it offers an instrument nobody has"
            assert not feed.offers(self.instruments[0].symbol, 7), "it offers candles of 7 nanoseconds"

        self._with_feed(look)

    def test_a_stream_resumes_after_any_time(self) -> None:
        """`stream(after)` begins with the first event later than `after` and goes on as if it had never stopped."""
        events = self._events()
        times = [event.time for event in events]
        for time in _some(times):
            for after in (time - 1, time):
                rest = events[bisect_right(times, after) :]
                resumed = self._events(after, len(rest))
                assert resumed == rest, f"after {after} it goes on differently than without a break"

    def test_streams_of_one_feed_do_not_disturb_each_other(self) -> None:
        """A second stream of the same feed delivers the same events."""

        async def twice(feed: Feed) -> tuple[list[MarketEvent], list[MarketEvent]]:
            first = await _take(feed.stream(_BEGINNING), self.sample // 2)
            return first, await _take(feed.stream(_BEGINNING), self.sample // 2)

        one, other = self._with_feed(twice)
        assert one == other, "a second stream differs from the first"

    def test_history_is_what_was_streamed(self) -> None:
        """`history` ends with the last candle closed at or before the time, oldest first, never more than asked for."""
        series = self._series()

        async def look(feed: Feed) -> None:
            for (symbol, interval), candles in series.items():
                closed = [candle.time for candle in candles]
                for before in (time - late for time in _some(closed) for late in (1, 0)):
                    streamed = candles[: bisect_right(closed, before)]
                    for limit in _LIMITS:
                        asked = symbol, interval, before, limit
                        told = list(feed.history(*asked))
                        _check_history(told, *asked)
                        wanted = streamed[-limit:]
                        assert told[len(told) - len(wanted) :] == wanted, f"history{asked} is not what was streamed"

        self._with_feed(look)

    def test_history_knows_what_it_does_not_have(self) -> None:
        """Of an unknown instrument or interval, or before all time, there is no history; that is no error."""
        symbol, interval = next(iter(self._series()), (self.instruments[0].symbol, 60_000_000_000))

        async def look(feed: Feed) -> None:
            for asked in (
                ("no-such-instrument", interval, _END, 10),
                (symbol, 7, _END, 10),
                (symbol, interval, _BEGINNING, 10),
            ):
                assert not feed.history(*asked), f"history{asked} is not empty"

        self._with_feed(look)

    def test_a_replay_is_repeatable(self) -> None:
        """Built anew, it delivers the same events. Asked of feeds that replay."""
        if build(self.factory, self.settings).is_replay:
            assert self._events() == self._events(), "a second run differs from the first"

    def test_others_get_their_turn(self) -> None:
        """Streaming lets other tasks run."""

        async def turns(feed: Feed) -> int:
            count = 0

            async def other() -> None:
                nonlocal count
                while True:
                    count += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            await _take(feed.stream(_BEGINNING), self.sample)
            task.cancel()
            return count

        assert self._with_feed(turns), "nothing else ran while it was streaming"

    def test_closing_is_final_and_repeatable(self) -> None:
        """`close` may come twice, without `open`, or while a stream is unfinished."""

        async def close_early(feed: Feed) -> None:
            await _take(feed.stream(_BEGINNING), 1)
            await feed.close()
            await feed.close()

        self._with_feed(close_early)
        asyncio.run(build(self.factory, self.settings).close())

    def _with_feed(self, use: Callable[[Feed], Awaitable[T]]) -> T:
        async def run() -> T:
            feed = build(self.factory, self.settings)
            await feed.open(self.instruments)
            try:
                return await use(feed)
            finally:
                await feed.close()

        return asyncio.run(run())

    def _events(self, after: int = _BEGINNING, most: int | None = None) -> list[MarketEvent]:
        """The first events of a fresh feed."""
        return self._with_feed(lambda feed: _take(feed.stream(after), self.sample if most is None else most))

    def _series(self) -> dict[tuple[str, int], list[Candle]]:
        """The candles of the sample, by instrument and interval."""
        series: dict[tuple[str, int], list[Candle]] = {}
        for event in self._events():
            if isinstance(event, Candle):
                series.setdefault((event.symbol, event.interval), []).append(event)
        return series


async def _take(stream: AsyncIterator[MarketEvent], most: int) -> list[MarketEvent]:
    """The first events of a stream, which is then closed if it can be."""
    events: list[MarketEvent] = []
    if hasattr(stream, "aclose"):
        async with aclosing(cast("Any", stream)):
            await _collect(stream, most, events)
    else:
        await _collect(stream, most, events)
    return events


async def _collect(stream: AsyncIterator[MarketEvent], most: int, events: list[MarketEvent]) -> None:
    while len(events) < most:
        try:
            events.append(await anext(stream))
        except StopAsyncIteration:
            return


def _some(times: Sequence[int]) -> Sequence[int]:
    """First, last and a few of the times between."""
    return sorted({times[index * (len(times) - 1) // _CUTS] for index in range(_CUTS + 1)}) if times else ()


def _check_history(told: Sequence[Candle], symbol: str, interval: int, before: int, limit: int) -> None:
    assert len(told) <= limit, f"{len(told)} candles were told, at most {limit} were asked for"
    for candle in told:
        assert (candle.symbol, candle.interval) == (symbol, interval), f"{candle} is not of {symbol} at {interval} ns"
        assert candle.time <= before, f"{candle} had not closed at {before}"
    for earlier, candle in pairwise(told):
        assert earlier.time <= candle.open_time, f"{candle} is told after {earlier}"


def _fault(event: MarketEvent) -> str | None:
    """What is wrong with an event, if anything."""
    match event:
        case Candle(open=first, high=high, low=low, close=last, volume=volume, interval=interval):
            if not all(map(isfinite, (first, high, low, last, volume))):
                return "a number is not finite"
            if not low <= min(first, last) <= max(first, last) <= high:
                return "open and close are not between low and high"
            return None if low > 0 and volume >= 0 and interval > 0 else "a number is out of range"
        case Trade(price=price, size=size):
            return None if isfinite(price) and isfinite(size) and price > 0 and size > 0 else "a number is out of range"
        case Quote(bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size):
            if not all(map(isfinite, (bid, ask, bid_size, ask_size))):
                return "a number is not finite"
            return None if 0 < bid <= ask and min(bid_size, ask_size) >= 0 else "it is crossed or out of range"
        case FundingRate(rate=rate):
            return None if isfinite(rate) else "the rate is not finite"
        case Ticker(last=last, mark=mark, index=index, funding_rate=rate, open_interest=interest):
            told = [number for number in (last, mark, index) if number is not None]
            if not all(isfinite(number) and number > 0 for number in told):
                return "a price is out of range"
            return None if isfinite(rate or 0.0) and 0 <= (interest or 0.0) < inf else "a number is out of range"
        case OrderBook(bids=bids, asks=asks):
            prices = [price for price, _ in (*reversed(bids), *asks)]
            if any(not earlier < later for earlier, later in pairwise([0.0, *prices])):
                return "its levels are not in order, or cross"
            return None if all(0 < size < inf for _, size in (*bids, *asks)) else "a size is out of range"
