"""Owns Bybit's market as a feed: closed candles and the best bid and ask, without holes.

Candles come from the stream as they close. After every break what closed meanwhile is asked for, so whoever listens
gets each candle once and in order; what Bybit can't give any more is said by name.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import structlog
from pydantic import Field, field_validator

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, MarketEvent
from quarterdeck.plugin import ConfigError, Settings
from quarterdeck.plugin.fields import interval_ns
from quarterdeck_exchange_bybit.budget import Budget
from quarterdeck_exchange_bybit.codec.frames import Topic
from quarterdeck_exchange_bybit.codec.listing import Listing, category_of
from quarterdeck_exchange_bybit.codec.market import read_kline, read_live_kline
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook, OutOfStep
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed
from quarterdeck_exchange_bybit.codec.words import INTERVAL_WORDS
from quarterdeck_exchange_bybit.line import Line
from quarterdeck_exchange_bybit.rest import Rest, Unreachable
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings, Environment, Site

log = structlog.get_logger(__name__)

#: Candles of one REST answer.
_PAGE = 1_000

#: Events that wait for the daemon; quotes beyond this are dropped, candles never.
_BACKLOG = 10_000

_DEPTH = 1


class BybitFeedSettings(Settings):
    """`[feed.settings]` of a daemon that lives on Bybit's market."""

    environment: Environment = Environment.LIVE
    """Whose market. The demo's is the live one."""
    symbols: Annotated[tuple[str, ...], Field(min_length=1, max_length=200)]
    intervals: Annotated[tuple[str, ...], Field(min_length=1)] = ("1m",)
    """Candle lengths, such as `1m`, `5m`, `1h`; those that Bybit makes."""
    history: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Candles of each kind fetched at the start, for strategies to warm up on."""
    quotes: bool = True
    """Whether the best bid and ask are followed, too."""
    simulator: Site | None = None
    """Stands in for Bybit, on this machine only."""

    @field_validator("intervals")
    @classmethod
    def _are_made(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if interval_ns(text) not in INTERVAL_WORDS:
                raise ValueError(f"{text!r} is no candle that Bybit makes")
        return value


class BybitFeed:
    """A live market. Implements `quarterdeck.plugin.Feed`."""

    is_replay = False
    start_time = 0

    def __init__(self, settings: BybitFeedSettings) -> None:
        self._settings = settings
        self._intervals = {interval_ns(text): INTERVAL_WORDS[interval_ns(text)] for text in settings.intervals}
        self._clock = ServerClock()
        public = BybitSettings.model_construct(
            environment=settings.environment, symbols=settings.symbols, simulator=settings.simulator
        )
        self._site = public.site
        self._rest = Rest(public, None, self._clock, Budget())
        self._listing = Listing(())
        self._kept: dict[tuple[str, int], deque[Candle]] = {}
        self._books: dict[str, LiveBook] = {}
        self._events: asyncio.Queue[MarketEvent] = asyncio.Queue()
        self._lines: list[Line] = []
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ life

    async def open(self, instruments: Sequence[Instrument]) -> None:
        """Fetch the latest candles of everything, and begin to listen.

        Raises:
            ConfigError: the exchange does not trade one of the symbols.
            Unreachable: Bybit did not give the candles.
        """
        known = {one.symbol: one for one in instruments}
        missing = [symbol for symbol in self._settings.symbols if symbol not in known]
        if missing:
            raise ConfigError(
                f"feed: symbols: {', '.join(missing)} is not traded; there are: {', '.join(sorted(known))}"
            )
        self._listing = Listing(known[symbol] for symbol in self._settings.symbols)
        now = time.time_ns()
        for instrument in self._listing:
            for interval in self._intervals:
                since = now - self._settings.history * interval
                candles = await self._fetch(instrument, interval, since)
                self._kept[instrument.symbol, interval] = deque(candles, maxlen=self._settings.history)
        if not self._lines:
            self._listen()

    async def close(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._rest.close()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for category in sorted({category_of(one.kind) for one in self._listing}):
            ours = [one for one in self._listing if category_of(one.kind) == category]
            topics = [f"kline.{word}.{one.venue_symbol}" for one in ours for word in self._intervals.values()]
            if self._settings.quotes:
                topics += [f"orderbook.{_DEPTH}.{one.venue_symbol}" for one in ours]
            line = Line(
                f"public {category}",
                self._site.public,
                category,
                topics,
                self._clock,
                lambda topic, category=category: self._hear(topic, category),  # type: ignore[misc]  # bound early
                up=lambda ours=ours: self._came_up(ours),  # type: ignore[misc]  # bound early
            )
            self._lines.append(line)
            self._keep_task(loop.create_task(line.run()))

    def _keep_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------ what it offers

    @property
    def is_live(self) -> bool:
        """Whether every stream is up."""
        return bool(self._lines) and all(line.is_up for line in self._lines)

    def offers(self, symbol: str, interval: int) -> bool:
        """Whether the settings name both."""
        return symbol in self._settings.symbols and interval in self._intervals

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        """The last candles that closed at or before a time, of those that are kept."""
        kept = self._kept.get((symbol, interval), ())
        return [candle for candle in kept if candle.time <= before][-limit:]

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        """Events as they happen; first the candles that closed after `after` and before anybody listened."""
        waiting = sorted(
            (candle for kept in self._kept.values() for candle in kept if candle.time > after > 0),
            key=lambda candle: (candle.time, candle.symbol, candle.interval),
        )
        for candle in waiting:
            yield candle
        while True:
            yield await self._events.get()

    # ------------------------------------------------------------ the stream

    def _hear(self, topic: Topic, category: str) -> None:
        kind, _, rest = topic.name.partition(".")
        word, _, venue_symbol = rest.partition(".")
        instrument = self._listing.find(category, venue_symbol)
        if instrument is None:
            return
        if kind == "kline":
            interval = next(length for length, name in self._intervals.items() if name == word)
            for row in topic.message.rows("data"):
                candle, is_closed = read_live_kline(row, instrument, interval)
                if is_closed:
                    self._take(candle)
        elif kind == "orderbook":
            self._quote(topic, instrument)

    def _quote(self, topic: Topic, instrument: Instrument) -> None:
        book = self._books.setdefault(instrument.symbol, LiveBook(instrument.symbol))
        try:
            book.take(topic.message)
        except OutOfStep as error:
            log.warning("book_out_of_step", reason=str(error))
            for line in self._lines:
                if topic.name in line.topics:
                    line.suspect(str(error))
            return
        quote = book.quote()
        if quote is not None and self._events.qsize() < _BACKLOG:
            self._events.put_nowait(quote)

    def _take(self, candle: Candle) -> None:
        """Hand a candle on if it is the next; if some are missing before it, fetch them first."""
        kept = self._kept[candle.symbol, candle.interval]
        last = kept[-1].open_time if kept else None
        if last is not None and candle.open_time <= last:
            return
        if last is not None and candle.open_time > last + candle.interval:
            self._repair(self._listing[candle.symbol], candle.interval, last + candle.interval)
            return  # it comes again, with what is missing before it
        kept.append(candle)
        self._events.put_nowait(candle)

    def _came_up(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            if instrument.symbol in self._books:
                self._books[instrument.symbol].reset()
            for interval in self._intervals:
                kept = self._kept[instrument.symbol, interval]
                if kept:
                    self._repair(instrument, interval, kept[-1].open_time + interval)

    def _repair(self, instrument: Instrument, interval: int, since: int) -> None:
        self._keep_task(asyncio.get_running_loop().create_task(self._fill(instrument, interval, since)))

    async def _fill(self, instrument: Instrument, interval: int, since: int) -> None:
        """Fetch what closed since a time, and hand it on in order."""
        try:
            candles = await self._fetch(instrument, interval, since)
        except Unreachable as error:
            log.warning("candles_missing", symbol=instrument.symbol, reason=str(error))
            return  # the next candle that closes shows the hole again
        kept = self._kept[instrument.symbol, interval]
        for candle in candles:
            last = kept[-1].open_time if kept else 0
            if candle.open_time <= last:
                continue
            if last and candle.open_time != last + interval:
                log.error("candles_lost", symbol=instrument.symbol, after=last, before=candle.open_time)
            kept.append(candle)
            self._events.put_nowait(candle)

    async def _fetch(self, instrument: Instrument, interval: int, since: int) -> list[Candle]:
        """All closed candles that opened at or after a time, oldest first.

        Raises:
            Unreachable: Bybit did not give them, or gave some that can't be.
        """
        now = time.time_ns()
        found: dict[int, Candle] = {}
        start = since - since % interval
        while start + interval <= now:
            end = min(start + (_PAGE - 1) * interval, now)
            result = await self._rest.read(
                "get_kline",
                category=category_of(instrument.kind),
                symbol=instrument.venue_symbol,
                interval=self._intervals[interval],
                start=start // MILLISECOND,
                end=end // MILLISECOND,
                limit=_PAGE,
            )
            try:
                for at, fields in enumerate(result.list("list")):
                    candle = read_kline(fields, instrument, interval, f"kline[{at}]")
                    if candle.time <= now:
                        found[candle.open_time] = candle
            except Malformed as error:
                raise Unreachable(f"{instrument.symbol}: {error}") from error
            start = end - end % interval + interval
        return [found[at] for at in sorted(found)]
