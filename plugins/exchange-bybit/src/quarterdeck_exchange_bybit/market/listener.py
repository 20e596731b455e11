"""Owns what the public topics mean: market events out, or a wish to be told again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, FundingRate, Ticker
from quarterdeck_exchange_bybit.codec.frames import Topic
from quarterdeck_exchange_bybit.codec.market import read_live_kline, read_ticker, read_trades
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook, OutOfStep
from quarterdeck_exchange_bybit.codec.row import Malformed
from quarterdeck_exchange_bybit.market.outbox import Outbox
from quarterdeck_exchange_bybit.market.quarantine import Quarantine
from quarterdeck_exchange_bybit.market.series import Place, Series
from quarterdeck_exchange_bybit.market.sieve import CORRECTED, GAP, MALFORMED, Sieve, Times
from quarterdeck_exchange_bybit.market.tape import Tape
from quarterdeck_exchange_bybit.market.watch import Watch

#: The levels of the book that quotes are made of.
TOP = 1


@dataclass(slots=True)
class Market:
    """One instrument as it was told so far."""

    instrument: Instrument
    sieve: Sieve
    marks: Sieve
    series: Mapping[str, Series]
    """By Bybit's word for the interval."""
    books: Mapping[int, LiveBook]
    """By depth."""
    price_at: float
    """When the latest price was believed, by the steady clock; when it was begun to listen, before."""
    ticker: Ticker | None = None
    seen: int = 0
    """The latest time of anything believed."""
    tape: Tape = field(default_factory=Tape)
    times: dict[str, Times] = field(default_factory=dict)


class Listener:
    """Takes the messages of one connection. `repair` is called for candles that have to be fetched."""

    def __init__(
        self,
        find: Callable[[str], Market | None],
        outbox: Outbox,
        quarantine: Quarantine,
        watch: Watch,
        repair: Callable[[Market, str], None],
        clock: Callable[[], tuple[float, int]],
    ) -> None:
        self._find = find
        self._outbox = outbox
        self._quarantine = quarantine
        self._watch = watch
        self._repair = repair
        self._clock = clock
        self._raw = b""

    def keep(self, _: str, raw: bytes) -> None:
        """Remember the frame that is about to be heard."""
        self._raw = raw

    def doubt(self, reason: str) -> None:
        """The frame could not be read at all."""
        self._quarantine.note(MALFORMED, reason, "public", self._raw)

    def hear(self, topic: Topic) -> None:
        """Take one message."""
        kind, _, rest = topic.name.partition(".")
        word, _, venue_symbol = rest.rpartition(".")
        market = self._find(venue_symbol)
        if market is None:
            return
        try:
            match kind:
                case "orderbook":
                    self._book(topic, market, int(word))
                case "kline":
                    self._klines(topic, market, word)
                case "tickers":
                    self._ticker(topic, market)
                case "publicTrade":
                    self._trades(topic, market)
                case _:
                    pass
        except Malformed as error:
            self._note(MALFORMED, str(error), topic)

    def begin(self) -> None:
        """A new connection is up, and may have told something already."""
        self._watch.begin(self._clock()[0])

    def end(self, markets: list[Market]) -> None:
        """The connection has ended: there are no books until they have been told again."""
        self._watch.end()
        for market in markets:
            for depth, book in market.books.items():
                book.reset()
                self._show(market, depth)

    def _note(self, reason: str, detail: str, topic: Topic) -> None:
        self._quarantine.note(reason, detail, topic.name, self._raw)

    def _is_timely(self, topic: Topic, market: Market, time: int) -> bool:
        reason = market.times.setdefault(topic.name, Times()).judge(time, self._clock()[1])
        if reason:
            self._note(reason, f"{time} ns", topic)
            return False
        market.seen = max(market.seen, time)
        return True

    # ------------------------------------------------------------ books

    def _book(self, topic: Topic, market: Market, depth: int) -> None:
        book = market.books[depth]
        was_ready, now = book.is_ready, self._clock()[0]
        try:
            book.take(topic.message)
        except (OutOfStep, Malformed) as error:
            if was_ready or isinstance(error, Malformed):  # else it is still under way to a snapshot
                self._note(MALFORMED if isinstance(error, Malformed) else GAP, str(error), topic)
                self._show(market, depth)
            self._watch.want(topic.name, now)
            return
        self._watch.heard(topic.name, now)
        if not self._is_timely(topic, market, book.time):
            return
        if depth != TOP:
            self._show(market, depth)
        elif (quote := book.quote()) is not None:
            if reason := market.sieve.quote(quote):
                self._note(reason, f"bid {quote.bid:g}, ask {quote.ask:g}", topic)
                return
            market.price_at = now
            self._outbox.renew(("quote", market.instrument.symbol), lambda: quote)

    def _show(self, market: Market, depth: int) -> None:
        if depth != TOP:
            self._outbox.renew(("book", market.instrument.symbol), market.books[depth].book)

    # ------------------------------------------------------------ candles

    def _klines(self, topic: Topic, market: Market, word: str) -> None:
        series = market.series[word]
        for row in topic.message.rows("data"):
            candle, is_closed = read_live_kline(row, market.instrument, series.interval)
            now = self._clock()[0]
            market.tape.counted(word, candle.open_time, candle.volume, now)
            if is_closed:
                self._closed(topic, market, word, candle)
            elif TOP not in market.books:
                market.price_at = now

    def _closed(self, topic: Topic, market: Market, word: str, candle: Candle) -> None:
        series = market.series[word]
        place = series.place(candle)
        if place is Place.CORRECTED:
            self._note(CORRECTED, f"the candle of {candle.open_time} ns has other numbers now", topic)
        if place in (Place.KNOWN, Place.CORRECTED):
            return
        if reason := market.sieve.candle(candle):
            self._note(reason, f"the candle of {candle.open_time} ns", topic)
            series.expect(candle)  # what it is asked for again is believed
            self._repair(market, word)
        elif place is Place.NEXT:
            series.add(candle)
            market.seen = max(market.seen, candle.time)
            if TOP not in market.books:
                market.price_at = self._clock()[0]
                market.sieve.believe(candle.close)
            self._outbox.put(candle)
        else:
            series.hold(candle)
            self._repair(market, word)

    # ------------------------------------------------------------ tickers and trades

    def _ticker(self, topic: Topic, market: Market) -> None:
        time = topic.message.time("ts")
        before = None if topic.message.text("type") == "snapshot" else market.ticker
        ticker = read_ticker(topic.message.row("data"), market.instrument.symbol, time, before)
        if not self._is_timely(topic, market, time):
            return
        self._watch.heard(topic.name, self._clock()[0])
        if ticker.mark is not None and (reason := market.marks.price(ticker.mark)):
            self._note(reason, f"mark {ticker.mark:g}", topic)
            ticker = replace(ticker, mark=before.mark if before else None)
        last = market.ticker or ticker
        due, rate = last.next_funding_time, last.funding_rate
        if due and rate is not None and (ticker.next_funding_time or 0) > due:  # it has just been paid
            self._outbox.put(FundingRate(ticker.symbol, market.seen, rate))
        market.ticker = ticker
        self._outbox.renew(("ticker", ticker.symbol), lambda: ticker)

    def _trades(self, topic: Topic, market: Market) -> None:
        now = self._clock()[0]
        market.tape.traded(now)
        for _, trade in read_trades(topic.message.rows("data"), market.instrument):
            if reason := market.sieve.trade(trade.price):
                self._note(reason, f"trade at {trade.price:g}", topic)
            elif self._is_timely(topic, market, trade.time):
                market.price_at = now
                self._outbox.put_trade(trade)

    def unsay(self, market: Market) -> None:
        """What was told of an instrument is too old to go by: its marks are nobody's any more."""
        if market.ticker is not None and market.ticker.mark is not None:
            stale = Ticker(market.instrument.symbol, market.seen)
            market.ticker = None
            self._outbox.renew(("ticker", stale.symbol), lambda: stale)
