"""Owns the recent market for those who watch: the last candles of each interval, the latest of the rest. Lossy."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence

from quarterdeck.domain.market import Candle, MarketEvent, OrderBook, Quote, Ticker, Trade

#: Candles kept per instrument and interval; older ones come from the feed's history.
CANDLES_KEPT = 2_000


class MarketData:
    """The latest of everything. Watchers wait for a change and then read what is current: what they miss is gone."""

    def __init__(self) -> None:
        self._candles: dict[tuple[str, int], deque[Candle]] = {}
        self._quotes: dict[str, Quote] = {}
        self._books: dict[str, OrderBook] = {}
        self._tickers: dict[str, Ticker] = {}
        self._watchers: list[asyncio.Future[None]] = []
        self.version = 0
        """Rises with every change."""

    def see(self, event: MarketEvent) -> None:
        """Take in one market event."""
        if isinstance(event, Candle):
            key = (event.symbol, event.interval)
            candles = self._candles.get(key)
            if candles is None:
                candles = self._candles[key] = deque(maxlen=CANDLES_KEPT)
            candles.append(event)
        elif isinstance(event, Quote):
            self._quotes[event.symbol] = event
        elif isinstance(event, OrderBook):
            self._books[event.symbol] = event
        elif isinstance(event, Ticker):
            self._tickers[event.symbol] = event
        elif isinstance(event, Trade):
            self._quotes[event.symbol] = Quote(event.symbol, event.time, event.price, 0.0, event.price, 0.0)
        self.version += 1
        if self._watchers:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                if not watcher.done():
                    watcher.set_result(None)

    async def changed(self, since: int) -> int:
        """Wait until the version is past `since`; returns the new one."""
        while self.version <= since:
            watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.append(watcher)
            await watcher
        return self.version

    def series(self) -> Collection[tuple[str, int]]:
        """The instruments and intervals there are candles of."""
        return self._candles.keys()

    def candles(self, symbol: str, interval: int) -> Sequence[Candle]:
        """The recent closed candles, oldest first."""
        return tuple(self._candles.get((symbol, interval), ()))

    def latest_candle(self, symbol: str, interval: int) -> Candle | None:
        """The last closed candle."""
        candles = self._candles.get((symbol, interval))
        return candles[-1] if candles else None

    def order_book(self, symbol: str) -> OrderBook | None:
        """The latest order book; None where the feed has none."""
        return self._books.get(symbol)

    def ticker(self, symbol: str) -> Ticker | None:
        """The latest ticker; None where the feed has none."""
        return self._tickers.get(symbol)

    def quote(self, symbol: str) -> Quote | None:
        """The latest quote; where the feed has none, the last trade or candle's close on both sides, with no size."""
        quote = self._quotes.get(symbol)
        if quote is not None:
            return quote
        latest = [candles[-1] for (name, _), candles in self._candles.items() if name == symbol and candles]
        if not latest:
            return None
        candle = max(latest, key=lambda one: one.time)
        return Quote(symbol, candle.time, candle.close, 0.0, candle.close, 0.0)
