"""Owns Bybit's market as a feed: candles without holes, quotes, order books, tickers and trades.

What the topics mean is the `market` package's; here they are listened to, and what they leave out is fetched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import structlog

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, MarketEvent
from quarterdeck.plugin import ConfigError, KeepFrame, MarketHealth
from quarterdeck.plugin.fields import interval_ns
from quarterdeck_exchange_bybit.budget import Budget, address_at
from quarterdeck_exchange_bybit.codec.frames import Reply
from quarterdeck_exchange_bybit.codec.listing import LINEAR, Listing, category_of
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook
from quarterdeck_exchange_bybit.codec.words import INTERVAL_WORDS
from quarterdeck_exchange_bybit.feed_settings import BybitFeedSettings
from quarterdeck_exchange_bybit.line import Broken, Line
from quarterdeck_exchange_bybit.market.listener import Listener, Market
from quarterdeck_exchange_bybit.market.outbox import Outbox
from quarterdeck_exchange_bybit.market.quarantine import Quarantine
from quarterdeck_exchange_bybit.market.repair import Repair
from quarterdeck_exchange_bybit.market.series import Series
from quarterdeck_exchange_bybit.market.sieve import Sieve
from quarterdeck_exchange_bybit.market.watch import Watch
from quarterdeck_exchange_bybit.rest import Rest
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings

log = structlog.get_logger(__name__)

#: Seconds of silence after which a topic that begins with a snapshot is asked for again. Level 1 is told again by Bybit
#: after three seconds without a change.
SILENCE = 8.0

#: Seconds after which the latest price is too old to go by; and where there are only candles, which come once a minute.
STALE, STALE_CANDLES = 15.0, 90.0

_LOOK_SECONDS = 0.5


class _Channel:
    """One connection: its line, what is heard on it, and what has gone silent."""

    def __init__(self, line: Line, listener: Listener, watch: Watch, markets: list[Market]) -> None:
        self.line = line
        self.listener = listener
        self.watch = watch
        self.markets = markets


class BybitFeed:
    """A live market. Implements `quarterdeck.plugin.Feed`, `WatchedFeed` and `FrameSource`."""

    is_replay = False
    start_time = 0

    def __init__(self, settings: BybitFeedSettings) -> None:
        self._settings = settings
        self._words = {INTERVAL_WORDS[interval_ns(text)]: interval_ns(text) for text in settings.intervals}
        self._clock = ServerClock()
        public = BybitSettings.model_construct(
            environment=settings.environment, symbols=settings.symbols, simulator=settings.simulator
        )
        self._site = public.site
        self._rest = Rest(public, None, self._clock, Budget(address_at(self._site.rest)))
        self._outbox = Outbox()
        self._quarantine = Quarantine()
        self._repair = Repair(self._rest, self._outbox, self._quarantine)
        self._markets: dict[str, Market] = {}
        self._channels: list[_Channel] = []
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
        for symbol in self._settings.symbols:
            self._markets[symbol] = await self._market(known[symbol])
        if not self._channels:
            self._listen()

    async def _market(self, instrument: Instrument) -> Market:
        settings, now = self._settings, time.time_ns()
        sieve = Sieve(instrument, settings.bad_print_band)
        series = {}
        for word, interval in self._words.items():
            candles = await self._repair.fetch(instrument, word, interval, now - settings.history * interval)
            series[word] = Series(interval, candles, settings.history)
            if candles:
                sieve.believe(candles[-1].close)
        books = {depth: LiveBook(instrument.symbol, depth) for depth in settings.depths}
        marks = Sieve(instrument, settings.bad_print_band)
        return Market(instrument, sieve, marks, series, books, time.monotonic())

    async def close(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._repair.close()
        self._rest.close()

    def _listen(self) -> None:
        listing = Listing(market.instrument for market in self._markets.values())
        for category in sorted({category_of(one.kind) for one in listing}):
            markets = [each for each in self._markets.values() if category_of(each.instrument.kind) == category]
            channel = self._channel(category, {each.instrument.venue_symbol: each for each in markets})
            self._channels.append(channel)
            self._start(channel.line.run())
            self._start(self._look(channel))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _channel(self, category: str, markets: dict[str, Market]) -> _Channel:
        settings = self._settings
        bounds = {f"orderbook.{depth}.{name}": SILENCE for name in markets for depth in settings.depths}
        if settings.tickers and category == LINEAR:
            bounds |= {f"tickers.{name}": SILENCE for name in markets}
        topics = [f"kline.{word}.{name}" for name in markets for word in self._words]
        topics += [topic for topic in bounds if not topic.startswith(f"orderbook.{settings.depth}.")]
        deep = [topic for topic in bounds if topic not in topics]  # there is not each for each instrument
        if settings.trades:
            topics += [f"publicTrade.{name}" for name in markets]
        watch = Watch(bounds)
        listener = Listener(
            markets.get,
            self._outbox,
            self._quarantine,
            watch,
            self._repair.begin,
            lambda: (time.monotonic(), time.time_ns()),
        )
        heard = list(markets.values())

        def up() -> None:
            for topic, why in line.refused.items():
                log.error("topic_refused", topic=topic, why=why)
                watch.forget(topic)
            listener.begin()
            for market in heard:
                market.tape.begin()
                for word in self._words:
                    self._repair.begin(market, word)

        line = Line(
            f"public {category}", self._site.public, category, topics, self._clock, listener.hear,
            welcome=deep, answered=lambda reply: _refused(line, reply), up=up, down=lambda _: listener.end(heard),
            keep=listener.keep, doubt=listener.doubt,
        )  # fmt: skip
        return _Channel(line, listener, watch, heard)

    # ------------------------------------------------------------ what it offers

    @property
    def is_live(self) -> bool:
        """Whether every stream is up."""
        return bool(self._channels) and all(channel.line.is_up for channel in self._channels)

    def offers(self, symbol: str, interval: int) -> bool:
        """Whether the settings name both."""
        return symbol in self._settings.symbols and interval in self._words.values()

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        """The last candles that closed at or before a time, of those that are kept."""
        market = self._markets.get(symbol)
        series = market.series.get(INTERVAL_WORDS.get(interval, "")) if market else None
        return [candle for candle in series.candles if candle.time <= before][-limit:] if series else []

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        """Events as they happen; first the candles that closed after `after` and before anybody listened."""
        kept = [
            candle for market in self._markets.values() for each in market.series.values() for candle in each.candles
        ]
        for candle in sorted(
            (candle for candle in kept if candle.time > after > 0),
            key=lambda candle: (candle.time, candle.symbol, candle.interval),
        ):
            yield candle
        while True:
            yield await self._outbox.get()

    def record_frames(self, keep: KeepFrame) -> None:
        """Hand on what is held back, as it came."""
        self._quarantine.keep = keep

    def health(self) -> MarketHealth:
        """Whose prices are too old to go by, and what was held back."""
        now = time.monotonic()
        ages = {symbol: now - market.price_at for symbol, market in self._markets.items()}
        stale = {symbol: f"no price for {age:.0f} s" for symbol, age in ages.items() if age > self._patience}
        return MarketHealth(stale, dict(self._quarantine.counts), self._quarantine.last)

    @property
    def _patience(self) -> float:
        return STALE if self._settings.quotes else STALE_CANDLES

    # ------------------------------------------------------------ what is not heard

    async def _look(self, channel: _Channel) -> None:
        """Notice what should have been heard: of a topic, of a candle that has closed."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if channel.line.is_up:
                topics, lost = channel.watch.look(now)
                lost = lost or self._untold(channel)
                if lost:
                    channel.line.suspect(lost)
                elif topics:
                    log.info("topics_asked_again", line=channel.line.name, topics=topics[:10])
                    await self._renew(channel, topics)
            for market in channel.markets:
                if now - market.price_at > self._patience:
                    channel.listener.unsay(market)
                for word in self._words:
                    if self._repair.look(market, word, time.time_ns()):
                        await self._renew(channel, [f"kline.{word}.{market.instrument.venue_symbol}"])

    async def _renew(self, channel: _Channel, topics: Sequence[str]) -> None:
        try:
            await channel.line.renew(topics)
        except (Broken, ConnectionError, RuntimeError) as error:
            channel.line.suspect(f"could not ask: {error}")

    def _untold(self, channel: _Channel) -> str:
        if self._settings.trades:
            for market in channel.markets:
                if market.tape.is_mute:
                    return f"no trades of {market.instrument.symbol} are told, though its candles grow"
        return ""


def _refused(line: Line, reply: Reply) -> None:
    """A topic that was to begin anew is not told at all any more."""
    if reply.operation == "subscribe" and not reply.succeeded:
        line.suspect(f"subscribe was refused: {reply.code} {reply.text}")
