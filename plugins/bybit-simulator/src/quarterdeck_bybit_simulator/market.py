"""Owns the public market of the simulated Bybit: what book, tape, tickers and candles show of a feed's events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import DAY, MINUTE, SECOND, Candle, FundingRate, MarketEvent, Quote, Side, Trade
from quarterdeck_bybit_simulator.order import MILLISECOND, category_of, text

#: Candle intervals by Bybit's words.
INTERVALS = {
    **{str(minutes): minutes * MINUTE for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": DAY,
}

#: Book depths there are topics of.
DEPTHS = (1, 50, 200, 500, 1000)

#: After so long without a change the best level is told again.
_TOLD_AGAIN = 3 * SECOND

_LEVELS = 25
_KLINES_KEPT = 10_000
_TRADES_KEPT = 1_000


@dataclass(slots=True)
class Bar:
    """A candle in the making, or made."""

    start: int
    interval: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    is_closed: bool = False

    def row(self) -> list[str]:
        """As `/v5/market/kline` lists it."""
        prices = [digits(each) for each in (self.open, self.high, self.low, self.close)]
        return [str(self.start // MILLISECOND), *prices, digits(self.volume), digits(self.volume * self.close)]

    def message(self, word: str, now: int) -> dict[str, Any]:
        """As the kline topic tells it."""
        return {
            "start": self.start // MILLISECOND,
            "end": (self.start + self.interval) // MILLISECOND - 1,
            "interval": word,
            "open": digits(self.open),
            "close": digits(self.close),
            "high": digits(self.high),
            "low": digits(self.low),
            "volume": digits(self.volume),
            "turnover": digits(self.volume * self.close),
            "confirm": self.is_closed,
            "timestamp": now // MILLISECOND,
        }


#: What tickers say of futures with an end; empty for perpetuals.
_OF_FUTURES = {
    "basis": "",
    "basisRate": "",
    "basisRateYear": "",
    "deliveryFeeRate": "",
    "deliveryTime": "0",
    "predictedDeliveryPrice": "",
}


def digits(value: float) -> str:
    """An observation in plain digits."""
    return f"{value:.8f}".rstrip("0").rstrip(".") or "0"


@dataclass(slots=True)
class Market:
    """One instrument as the public sees it."""

    instrument: Instrument
    status: str = "Trading"
    """Bybit's word for whether it can be traded."""
    last: float = 0.0
    bid: float = 0.0
    ask: float = 0.0
    bid_size: float = 1.0
    ask_size: float = 1.0
    funding_rate: float = 0.0001
    update_id: int = 0
    told_at: int = 0
    """When the best level was told last."""
    bids: dict[float, float] = field(default_factory=dict)
    asks: dict[float, float] = field(default_factory=dict)
    bars: dict[str, deque[Bar]] = field(default_factory=dict)
    trades: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_TRADES_KEPT))
    funding: list[FundingRate] = field(default_factory=list)

    @property
    def category(self) -> str:
        """`linear` or `spot`."""
        return category_of(self.instrument)

    def see(self, event: MarketEvent, now: int) -> list[tuple[str, str, Any]]:
        """Take an event; returns the messages it makes: topic, type, data."""
        messages: list[tuple[str, str, Any]] = []
        symbol = self.instrument.venue_symbol
        if isinstance(event, FundingRate):
            self.funding_rate = event.rate
            self.funding.append(event)
            return [(f"tickers.{symbol}", "snapshot", self.ticker(now))]
        if isinstance(event, Quote):
            self.bid, self.bid_size, self.ask, self.ask_size = event.bid, event.bid_size, event.ask, event.ask_size
            self.last = self.last or event.bid
        elif isinstance(event, Trade):
            self.last = event.price
            row = self._trade(event, len(self.trades))
            self.trades.append(row)
            messages.append((f"publicTrade.{symbol}", "snapshot", [row]))
            messages += self._count(event.time, event.price, event.size, now)
            self._follow(event.price)
        elif isinstance(event, Candle):
            self.last = event.close
            self._follow(event.close)
            messages += self._count_candle(event, now)
        messages += self._book_changes(now)
        messages.append((f"tickers.{symbol}", "snapshot", self.ticker(now)))
        return messages

    def quote(self, now: int) -> Quote | None:
        """What the book shows now; None before anything was seen."""
        if not self.bid or not self.ask:
            return None
        return Quote(self.instrument.symbol, now, self.bid, self.bid_size, self.ask, self.ask_size)

    def _follow(self, price: float) -> None:
        """Without quotes of its own the book stands one tick around the last price."""
        tick = float(self.instrument.tick_size)
        self.bid, self.ask = price - tick, price + tick

    def _trade(self, event: Trade, number: int) -> dict[str, Any]:
        return {
            "T": event.time // MILLISECOND,
            "s": self.instrument.venue_symbol,
            "S": "Buy" if event.side is Side.BUY else "Sell",
            "v": digits(event.size),
            "p": digits(event.price),
            "L": "PlusTick",
            "i": f"{self.instrument.symbol}-{event.time}-{number}",
            "BT": False,
            "seq": number,
        }

    def _count(self, time: int, price: float, size: float, now: int) -> list[tuple[str, str, Any]]:
        messages = []
        for word, interval in INTERVALS.items():
            bars = self.bars.setdefault(word, deque(maxlen=_KLINES_KEPT))
            start = time - time % interval
            if bars and bars[-1].start != start and not bars[-1].is_closed:
                bars[-1].is_closed = True
                messages.append(self._kline(word, bars[-1], now))
            if not bars or bars[-1].start != start:
                bars.append(Bar(start, interval, price, price, price, price))
            bar = bars[-1]
            bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
            bar.volume += size
            messages.append(self._kline(word, bar, now))
        return messages

    def remember(self, event: Candle | FundingRate) -> None:
        """Take in what has long been over: queries find it, and nobody is told."""
        if isinstance(event, FundingRate):
            self.funding_rate = event.rate
            self.funding.append(event)
            return
        self.last = event.close
        for _ in self._bars_of(event):
            pass

    def _count_candle(self, candle: Candle, now: int) -> list[tuple[str, str, Any]]:
        return [self._kline(word, bar, now) for word, bar in self._bars_of(candle)]

    def _bars_of(self, candle: Candle) -> Iterator[tuple[str, Bar]]:
        """The bars of every interval that a candle is a part of, with it in them."""
        for word, interval in INTERVALS.items():
            if interval < candle.interval:
                continue
            bars = self.bars.setdefault(word, deque(maxlen=_KLINES_KEPT))
            start = candle.open_time - candle.open_time % interval
            if not bars or bars[-1].start != start:
                bars.append(Bar(start, interval, candle.open, candle.high, candle.low, candle.close))
            bar = bars[-1]
            bar.high, bar.low, bar.close = max(bar.high, candle.high), min(bar.low, candle.low), candle.close
            bar.volume += candle.volume
            bar.is_closed = candle.time >= start + interval
            yield word, bar

    def _kline(self, word: str, bar: Bar, now: int) -> tuple[str, str, Any]:
        return f"kline.{word}.{self.instrument.venue_symbol}", "snapshot", [bar.message(word, now)]

    # ------------------------------------------------------------ the book

    def _levels(self) -> tuple[dict[float, float], dict[float, float]]:
        tick = float(self.instrument.tick_size)
        bids = {round(self.bid - at * tick, 8): self.bid_size * (1 + at) for at in range(_LEVELS)}
        asks = {round(self.ask + at * tick, 8): self.ask_size * (1 + at) for at in range(_LEVELS)}
        return {price: size for price, size in bids.items() if price > 0}, asks

    def _book_changes(self, now: int) -> list[tuple[str, str, Any]]:
        bids, asks = self._levels()
        changes = {"b": _difference(self.bids, bids), "a": _difference(self.asks, asks)}
        if not changes["b"] and not changes["a"]:
            if now - self.told_at < _TOLD_AGAIN:
                return []
            self.told_at = now
            return [(f"orderbook.1.{self.instrument.venue_symbol}", "snapshot", self.book(1))]
        is_first = not self.update_id
        self.told_at = now
        self.bids, self.asks = bids, asks
        self.update_id += 1
        symbol = self.instrument.venue_symbol
        messages: list[tuple[str, str, Any]] = []
        for depth in DEPTHS:
            topic = f"orderbook.{depth}.{symbol}"
            if is_first or depth == 1:  # the best level is always told whole
                messages.append((topic, "snapshot", self.book(depth)))
            else:
                data = {"s": symbol, **changes, "u": self.update_id, "seq": self.update_id}
                messages.append((topic, "delta", data))
        return messages

    def book(self, depth: int) -> dict[str, Any]:
        """The book as a snapshot of so many levels; an empty one is numbered, too."""
        self.update_id = self.update_id or 1
        bids = sorted(self.bids.items(), reverse=True)[:depth]
        asks = sorted(self.asks.items())[:depth]
        return {
            "s": self.instrument.venue_symbol,
            "b": [[digits(price), digits(size)] for price, size in bids],
            "a": [[digits(price), digits(size)] for price, size in asks],
            "u": self.update_id,
            "seq": self.update_id,
        }

    def restart_book(self) -> list[tuple[str, str, Any]]:
        """Bybit's service has restarted: a snapshot whose update id is 1."""
        self.update_id = 1
        return [(f"orderbook.{depth}.{self.instrument.venue_symbol}", "snapshot", self.book(depth)) for depth in DEPTHS]

    # ------------------------------------------------------------ rows

    def ticker(self, now: int) -> dict[str, Any]:
        """The ticker, whole."""
        row = {
            "symbol": self.instrument.venue_symbol,
            "price24hPcnt": "0",
            "lastPrice": digits(self.last),
            "prevPrice24h": digits(self.last),
            "highPrice24h": digits(self.last),
            "lowPrice24h": digits(self.last),
            "volume24h": "0",
            "turnover24h": "0",
            "bid1Price": digits(self.bid),
            "bid1Size": digits(self.bid_size),
            "ask1Price": digits(self.ask),
            "ask1Size": digits(self.ask_size),
        }
        if self.instrument.kind is InstrumentKind.SPOT:
            return row | {"usdIndexPrice": digits(self.last)}
        every = 8 * 60 * MINUTE
        return row | {
            "tickDirection": "PlusTick",
            "prevPrice1h": digits(self.last),
            "markPrice": digits(self.last),
            "indexPrice": digits(self.last),
            "openInterest": "0",
            "openInterestValue": "0",
            "fundingRate": digits(self.funding_rate),
            "nextFundingTime": str((now - now % every + every) // MILLISECOND),
            "fundingIntervalHour": "8",
            "fundingCap": "0.005",
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
            **_OF_FUTURES,
        }

    def instrument_row(self) -> dict[str, Any]:
        """The instrument as instruments-info lists it."""
        one = self.instrument
        row = {
            "symbol": one.venue_symbol,
            "baseCoin": one.base,
            "quoteCoin": one.quote,
            "status": self.status,
            "symbolType": "",
            "priceFilter": {"tickSize": text(one.tick_size)},
        }
        if one.kind is InstrumentKind.SPOT:
            return row | {
                "marginTrading": "utaOnly",
                "innovation": "0",
                "stTag": "0",
                "lotSizeFilter": {
                    "basePrecision": text(one.lot_size),
                    "quotePrecision": "0.00000001",
                    "minOrderQty": text(one.min_quantity),
                    "maxOrderQty": text(one.max_quantity) if one.max_quantity else "1000000",
                    "minOrderAmt": text(one.min_notional) if one.min_notional else "1",
                    "maxOrderAmt": "8000000",
                    "maxLimitOrderQty": text(one.max_quantity) if one.max_quantity else "1000000",
                    "maxMarketOrderQty": text(one.max_quantity) if one.max_quantity else "1000000",
                    "postOnlyMaxLimitOrderSize": "1000000",
                },
                "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.15"},
            }
        most = text(one.max_quantity) if one.max_quantity else "1190"
        return row | {
            "contractType": "LinearPerpetual",
            "launchTime": "1585526400000",
            "deliveryTime": "0",
            "deliveryFeeRate": "",
            "priceScale": "2",
            "settleCoin": one.settle,
            "unifiedMarginTrade": True,
            "fundingInterval": 480,
            "copyTrading": "none",
            "isPreListing": False,
            "preListingInfo": None,
            "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
            "upperFundingRate": "0.005",
            "lowerFundingRate": "-0.005",
            "leverageFilter": {"minLeverage": "1", "maxLeverage": text(one.max_leverage), "leverageStep": "0.01"},
            "priceFilter": {"minPrice": text(one.tick_size), "maxPrice": "1999999.8", "tickSize": text(one.tick_size)},
            "lotSizeFilter": {
                "maxOrderQty": most,
                "minOrderQty": text(one.min_quantity),
                "qtyStep": text(one.lot_size),
                "postOnlyMaxOrderQty": most,
                "maxMktOrderQty": most,
                "minNotionalValue": text(one.min_notional) if one.min_notional else "5",
            },
        }


def _difference(before: dict[float, float], after: dict[float, float]) -> list[list[str]]:
    """What a delta of one side says: levels that are new or changed, and those that are gone, with size zero."""
    changed = [[digits(price), digits(size)] for price, size in after.items() if before.get(price) != size]
    gone = [[digits(price), "0"] for price in before if price not in after]
    return changed + gone


def markets_of(instruments: Iterable[Instrument]) -> dict[tuple[str, str], Market]:
    """Every market by category and Bybit's name."""
    return {(category_of(one), one.venue_symbol): Market(one) for one in instruments}
