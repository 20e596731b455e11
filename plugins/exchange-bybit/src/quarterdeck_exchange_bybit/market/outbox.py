"""Owns what waits for the daemon: candles and trades in order, and of everything else only the newest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from quarterdeck.domain.market import MarketEvent

#: Events in order that may wait. Beyond it no more trades are taken; candles always are.
BACKLOG = 20_000

Make = Callable[[], MarketEvent | None]


class Outbox:
    """Filled from the event loop's thread, emptied by one reader, who gets fewer quotes when slow, never older ones."""

    def __init__(self) -> None:
        self._ordered: deque[MarketEvent] = deque()
        self._newest: dict[Hashable, Make] = {}
        self._filled = asyncio.Event()
        self.dropped = 0
        """Trades that had to go."""

    def put(self, event: MarketEvent) -> None:
        """Hand on each of these, in order."""
        self._ordered.append(event)
        self._filled.set()

    def put_trade(self, event: MarketEvent) -> None:
        """Hand on each of these, in order, as long as there is room."""
        if len(self._ordered) >= BACKLOG:
            self.dropped += 1
        else:
            self.put(event)

    def renew(self, key: Hashable, make: Make) -> None:
        """Hand on the newest of a kind: made when it is asked for, so that what is passed over costs nothing."""
        self._newest[key] = make
        self._filled.set()

    async def get(self) -> MarketEvent:
        """Wait for the next."""
        while True:
            if self._ordered:
                return self._ordered.popleft()
            while self._newest:
                key = next(iter(self._newest))
                event = self._newest.pop(key)()
                if event is not None:
                    return event
            self._filled.clear()
            await self._filled.wait()
