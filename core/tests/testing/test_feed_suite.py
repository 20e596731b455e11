"""Each guard of the suite is shown a feed that breaks what it guards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from itertools import count, cycle

import pytest

from core.tests.testing.guards import guards_of
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MINUTE, Candle, FundingRate, MarketEvent, Quote, Side, Trade
from quarterdeck.plugin import Factory, Feed, Settings
from quarterdeck.testing.feed_suite import FeedSuite


class Honest:
    """One hundred candles of one minute that rise, then one of everything else."""

    is_replay = True
    start_time = 0

    def __init__(self, settings: Settings) -> None:
        self.is_open = False

    async def open(self, instruments: Sequence[Instrument]) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def offers(self, symbol: str, interval: int) -> bool:
        return (symbol, interval) == ("btcusdt", MINUTE)

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        if not self.offers(symbol, interval):
            return []
        return [event for event in self.events() if isinstance(event, Candle) and event.time <= before][-limit:]

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        for event in self.events():
            if event.time > after:
                await asyncio.sleep(0)
                yield event

    def events(self) -> Iterator[MarketEvent]:
        for number in range(100):
            price = 100.0 + number
            yield Candle("btcusdt", MINUTE, number * MINUTE, price, price + 2, price - 1, price + 1, 5.0)
        end = 100 * MINUTE
        yield Trade("btcusdt", end + 1, 200.0, 0.5, Side.BUY)
        yield Quote("btcusdt", end + 2, 199.0, 1.0, 201.0, 1.0)
        yield FundingRate("btcusdt", end + 3, -0.0001)


class Silent(Honest):
    def events(self) -> Iterator[MarketEvent]:
        return iter(())


class Backwards(Honest):
    def events(self) -> Iterator[MarketEvent]:
        return reversed(list(super().events()))


class BeginsLate(Honest):
    start_time = MINUTE


class BeginsBlank(Honest):
    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        async for event in super().stream(after if after < 0 else after + MINUTE):
            yield event


class LiveWithStart(Honest):
    is_replay = False
    start_time = 1


class Stranger(Honest):
    def events(self) -> Iterator[MarketEvent]:
        yield Trade("ethusdt", 1, 1.0, 1.0, Side.BUY)


class Says(Honest):
    """Says one thing."""

    event: MarketEvent

    def events(self) -> Iterator[MarketEvent]:
        yield self.event


def says(event: MarketEvent) -> type[Honest]:
    return type("SaysThis", (Says,), {"event": event})


CANDLE = Candle("btcusdt", MINUTE, 0, 10.0, 12.0, 9.0, 11.0, 5.0)
TRADE = Trade("btcusdt", 1, 10.0, 1.0, Side.SELL)
QUOTE = Quote("btcusdt", 1, 10.0, 1.0, 11.0, 1.0)


class Overlaps(Honest):
    def events(self) -> Iterator[MarketEvent]:
        yield CANDLE
        yield replace(CANDLE, open_time=MINUTE // 2)


class OffersNothing(Honest):
    def offers(self, symbol: str, interval: int) -> bool:
        return False


class OffersAnySymbol(Honest):
    def offers(self, symbol: str, interval: int) -> bool:
        return interval == MINUTE


class OffersAnyInterval(Honest):
    def offers(self, symbol: str, interval: int) -> bool:
        return symbol == "btcusdt"


class RepeatsTheLast(Honest):
    """Includes the event at `after` itself."""

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        async for event in super().stream(after - 1):
            yield event


class BeginsAgain(Honest):
    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        async for event in super().stream(-1):
            yield event


class OnceOnly(Honest):
    used = False

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        if not self.used:
            self.used = True
            async for event in super().stream(after):
                yield event


class HistoryLooksAhead(Honest):
    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        return super().history(symbol, interval, before + MINUTE, limit)


class HistoryNewestFirst(Honest):
    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        return super().history(symbol, interval, before, limit)[::-1]


class HistoryUnlimited(Honest):
    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        return super().history(symbol, interval, before, 1_000)


class HistoryEmpty(Honest):
    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        return []


class HistoryOfAnything(Honest):
    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        return super().history("btcusdt", MINUTE, before, limit)


class Moody(Honest):
    moods = cycle((1.0, 2.0))

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.mood = next(self.moods)

    def events(self) -> Iterator[MarketEvent]:
        yield replace(CANDLE, volume=self.mood)


class Selfish(Honest):
    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        for event in self.events():
            if event.time > after:
                yield event


class Fragile(Honest):
    async def close(self) -> None:
        assert self.is_open, "not open"
        await super().close()


class Endless(Honest):
    def events(self) -> Iterator[MarketEvent]:
        for number in count():
            yield replace(CANDLE, open_time=number * MINUTE)

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        if not self.offers(symbol, interval):
            return []
        closed = min(before // MINUTE, 10**6)
        return [replace(CANDLE, open_time=number * MINUTE) for number in range(max(closed - limit, 0), closed)]


def suite(build: type[Honest] = Honest, name: str = "some-feed") -> FeedSuite:
    described: Factory[Feed] = Factory(name=name, settings=Settings, build=build, summary="feeds")

    class Suite(FeedSuite):
        factory = described

    return Suite()


SENSE = "test_events_make_sense"
HISTORY = "test_history_is_what_was_streamed"
BROKEN = [
    (suite(name="Some Feed"), "test_factory", "names are lower case"),
    (suite(Silent), "test_events_come_in_order_of_time", "delivers nothing"),
    (suite(Backwards), "test_events_come_in_order_of_time", "comes after"),
    (suite(BeginsLate), "test_a_replay_says_where_it_begins", "is not before the first event"),
    (suite(BeginsBlank), "test_a_replay_says_where_it_begins", "delivers something else"),
    (suite(LiveWithStart), "test_a_replay_says_where_it_begins", "it does not replay"),
    (suite(Stranger), "test_only_instruments_it_was_opened_for", "events of .'ethusdt'."),
    (suite(says(replace(CANDLE, close=float("nan")))), SENSE, "not finite"),
    (suite(says(replace(CANDLE, high=10.5))), SENSE, "not between low and high"),
    (suite(says(replace(CANDLE, low=10.5))), SENSE, "not between low and high"),
    (suite(says(replace(CANDLE, low=0.0))), SENSE, "out of range"),
    (suite(says(replace(CANDLE, volume=-1.0))), SENSE, "out of range"),
    (suite(says(replace(TRADE, price=-1.0))), SENSE, "out of range"),
    (suite(says(replace(TRADE, size=float("inf")))), SENSE, "out of range"),
    (suite(says(replace(QUOTE, bid=12.0))), SENSE, "crossed"),
    (suite(says(replace(QUOTE, ask_size=float("nan")))), SENSE, "not finite"),
    (suite(says(FundingRate("btcusdt", 1, float("nan")))), SENSE, "rate is not finite"),
    (suite(Overlaps), "test_candles_do_not_overlap", "overlaps"),
    (suite(OffersNothing), "test_it_offers_the_candles_it_delivers", "does not offer it"),
    (suite(OffersAnySymbol), "test_it_offers_the_candles_it_delivers", "an instrument nobody has"),
    (suite(OffersAnyInterval), "test_it_offers_the_candles_it_delivers", "7 nanoseconds"),
    (suite(RepeatsTheLast), "test_a_stream_resumes_after_any_time", "goes on differently"),
    (suite(BeginsAgain), "test_a_stream_resumes_after_any_time", "goes on differently"),
    (suite(OnceOnly), "test_streams_of_one_feed_do_not_disturb_each_other", "second stream differs"),
    (suite(HistoryLooksAhead), HISTORY, "had not closed"),
    (suite(HistoryNewestFirst), HISTORY, "is told after"),
    (suite(HistoryUnlimited), HISTORY, "at most 1 were asked for"),
    (suite(HistoryEmpty), HISTORY, "is not what was streamed"),
    (suite(HistoryOfAnything), "test_history_knows_what_it_does_not_have", "is not empty"),
    (suite(Moody), "test_a_replay_is_repeatable", "second run differs"),
    (suite(Selfish), "test_others_get_their_turn", "nothing else ran"),
    (suite(Fragile), "test_closing_is_final_and_repeatable", "not open"),
]


@pytest.mark.parametrize("guard", guards_of(FeedSuite))
@pytest.mark.parametrize("feed", [Honest, Endless])
def test_an_honest_feed_passes(guard: str, feed: type[Honest]) -> None:
    getattr(suite(feed), guard)()


@pytest.mark.parametrize(("broken", "guard", "complaint"), BROKEN)
def test_a_broken_feed_is_noticed(broken: FeedSuite, guard: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        getattr(broken, guard)()


def test_every_guard_was_seen_to_fail() -> None:
    assert {guard for _, guard, _ in BROKEN} == set(guards_of(FeedSuite))
