"""Owns the way of market events in: to an embedded venue first, then to the engine, then to those who watch."""

from __future__ import annotations

import asyncio

from quarterdeck.daemon.clock import Clock, ReplayClock
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.market_data import MarketData
from quarterdeck.domain.market import OrderBook
from quarterdeck.plugin.exchange import EmbeddedExchange, Exchange
from quarterdeck.plugin.feed import Feed


class FeedLink:
    """Runs a feed to its end.

    What rests at an embedded venue trades on an event before the engine sees it, so an order never fills on the price
    that caused it. While history is replayed, the next event is asked for only when nothing is left to do.
    """

    def __init__(self, feed: Feed, exchange: Exchange, loop: Loop, clock: Clock, market_data: MarketData) -> None:
        self._feed = feed
        self._venue = exchange if isinstance(exchange, EmbeddedExchange) else None
        self._loop = loop
        self._clock = clock
        self._market_data = market_data
        self.events = 0
        self.last_event_at: float | None = None
        """Event loop's time of the latest market event; for its age."""

    async def run(self, after: int) -> None:
        """Deliver everything later than `after`; returns when the feed ends."""
        loop, venue, see = self._loop, self._venue, self._market_data.see
        replay = self._clock if isinstance(self._clock, ReplayClock) else None
        now = asyncio.get_running_loop().time
        async for event in self._feed.stream(after):
            if replay is not None:
                replay.advance(event.time)
            if not isinstance(event, OrderBook):  # books are for those who watch
                if venue is not None:
                    venue.on_market(event)
                loop.take(event)
            see(event)
            self.events += 1
            self.last_event_at = now()
            if replay is not None and not loop.is_idle:
                await loop.idle()
