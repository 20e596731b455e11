"""A market event reaches the venue, then the engine, then those who watch; history waits until all is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from core.tests.daemon.conftest import Bridge, Venue, candle
from core.tests.engine.desk import MORNING, order
from quarterdeck.daemon.clock import SystemClock
from quarterdeck.daemon.feed_link import FeedLink
from quarterdeck.daemon.market_data import MarketData
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MINUTE, Candle, MarketEvent, OrderBook
from quarterdeck.engine.inputs import Input
from quarterdeck.plugin import VenueAccount


@dataclass
class EmbeddedVenue(Venue):
    """A venue in this process that writes down what it is shown."""

    log: list[str] = field(default_factory=list)

    def restore(self, account: VenueAccount) -> None:
        pass

    def on_market(self, event: MarketEvent) -> None:
        self.log.append(f"venue {event.time}")


class Watchers(MarketData):
    """Market data that writes down what it is shown."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log

    def see(self, event: MarketEvent) -> None:
        self._log.append(f"watchers {event.time}")
        super().see(event)


class Candles:
    """A feed of candles that writes down when it is asked for one."""

    is_replay = True
    start_time = MORNING

    def __init__(self, events: Sequence[MarketEvent], log: list[str]) -> None:
        self.events = events
        self._log = log

    async def open(self, instruments: Sequence[Instrument]) -> None:
        pass

    async def close(self) -> None:
        pass

    def offers(self, symbol: str, interval: int) -> bool:
        return True

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        return ()

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        for event in self.events:
            if event.time > after:
                self._log.append(f"asked for {event.time}")
                yield event


TIMES: Mapping[int, int] = {number: MORNING + number * MINUTE for number in range(1, 4)}


@pytest.fixture
def venue() -> EmbeddedVenue:
    return EmbeddedVenue()


@pytest.fixture
def feed(venue: EmbeddedVenue) -> Candles:
    return Candles([candle(50_000.0, time) for time in TIMES.values()], venue.log)


@pytest.fixture
def link(bridge: Bridge, venue: EmbeddedVenue, feed: Candles, monkeypatch: pytest.MonkeyPatch) -> FeedLink:
    step = bridge.machine.step

    def noted(item: Input, now: int, *rest: object) -> object:
        if isinstance(item, Candle):
            venue.log.append(f"engine {item.time} at {now}")
        return step(item, now, *rest)  # type: ignore[arg-type]  # the request, passed on as it is

    monkeypatch.setattr(bridge.machine, "step", noted)
    return FeedLink(feed, venue, bridge.loop, bridge.clock, Watchers(venue.log))


async def test_the_venue_is_first_and_watchers_are_last(link: FeedLink, venue: EmbeddedVenue) -> None:
    assert link.last_event_at is None
    await link.run(TIMES[1])
    assert venue.log == [
        line
        for time in (TIMES[2], TIMES[3])
        for line in (f"asked for {time}", f"venue {time}", f"engine {time} at {time}", f"watchers {time}")
    ]
    assert link.events == 2


async def test_an_order_book_is_for_watchers_alone(link: FeedLink, feed: Candles, venue: EmbeddedVenue) -> None:
    feed.events = [OrderBook("btcusdt", TIMES[1], ((1.0, 1.0),), ())]
    await link.run(MORNING)
    assert venue.log == [f"asked for {TIMES[1]}", f"watchers {TIMES[1]}"]
    assert link.last_event_at is not None


async def test_history_waits_until_nothing_is_left_to_do(link: FeedLink, bridge: Bridge, venue: EmbeddedVenue) -> None:
    bridge.commits.hold = True
    answer = bridge.loop.ask(order("0.1"))
    running = asyncio.ensure_future(link.run(0))
    for _ in range(10):
        await asyncio.sleep(0)
    assert [line for line in venue.log if line.startswith("asked")] == [f"asked for {TIMES[1]}"]
    bridge.commits.hold = False
    bridge.commits.release()
    await asyncio.wait_for(asyncio.gather(running, answer), 5)
    assert link.events == 3


async def test_history_waits_for_requests_at_the_venue(link: FeedLink, bridge: Bridge) -> None:
    bridge.loop.begin()
    running = asyncio.ensure_future(link.run(0))
    for _ in range(10):
        await asyncio.sleep(0)
    assert link.events == 1
    bridge.loop.end()
    await asyncio.wait_for(running, 5)
    assert link.events == 3


async def test_a_live_market_waits_for_nobody(bridge: Bridge, feed: Candles, venue: EmbeddedVenue) -> None:
    live = FeedLink(feed, venue, bridge.loop, SystemClock(), MarketData())
    bridge.loop.begin()
    await asyncio.wait_for(live.run(0), 5)
    assert live.events == 3
    assert bridge.clock.now() == MORNING, "a live feed moves no clock"
    bridge.loop.end()


async def test_a_real_venue_is_not_shown_the_market(bridge: Bridge, feed: Candles) -> None:
    link = FeedLink(feed, Venue(), bridge.loop, bridge.clock, MarketData())
    await link.run(0)
    assert link.events == 3
