"""Owns Bybit's public market data as observations: candles, trades, tickers, funding rates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, FundingRate, Ticker, Trade
from quarterdeck_exchange_bybit.codec import words
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed, Row, number

_KLINE_FIELDS = 6


def read_kline(fields: object, instrument: Instrument, interval: int, where: str = "kline") -> Candle:
    """One candle of `/v5/market/kline`: start, open, high, low, close, volume, and what else there is.

    Raises:
        Malformed: a number is missing, not above zero, or the high is not the highest or the low not the lowest.
    """
    if not isinstance(fields, Sequence) or isinstance(fields, str | bytes) or len(fields) < _KLINE_FIELDS:
        raise Malformed(where, fields, "a list of start, open, high, low, close and volume")
    start = number(fields[0], f"{where}[0]")
    if start is None or start <= 0 or start != int(start) or start > 10**14:
        raise Malformed(f"{where}[0]", fields[0], "a time in milliseconds")
    prices = [_price(fields[at], f"{where}[{at}]") for at in range(1, 5)]
    return _candle(instrument, interval, int(start) * MILLISECOND, prices, _size(fields[5], f"{where}[5]"), where)


def read_live_kline(row: Row, instrument: Instrument, interval: int) -> tuple[Candle, bool]:
    """One message of the kline topic, and whether the candle has closed."""
    prices = [_price(row.raw(name), f"{row.where}.{name}") for name in ("open", "high", "low", "close")]
    candle = _candle(instrument, interval, row.time("start"), prices, _size(row.raw("volume"), row.where), row.where)
    return candle, row.flag("confirm")


def _candle(
    instrument: Instrument, interval: int, start: int, prices: list[float], volume: float, where: str
) -> Candle:
    first, high, low, last = prices
    if high < max(first, low, last) or low > min(first, last):
        raise Malformed(where, prices, "a candle whose high is highest and whose low is lowest")
    if start % interval:
        raise Malformed(where, start, f"a start on a whole interval of {interval // 1_000_000_000} s")
    return Candle(instrument.symbol, interval, start, first, high, low, last, volume)


def read_trades(rows: Iterator[Row], instrument: Instrument) -> Iterator[tuple[str, Trade]]:
    """The trades of one message of the publicTrade topic, each with its id. Block trades do not move the book."""
    for row in rows:
        if row.flag("BT"):
            continue
        price, size = _price(row.raw("p"), f"{row.where}.p"), _size(row.raw("v"), f"{row.where}.v")
        yield row.text("i"), Trade(instrument.symbol, row.time("T"), price, size, words.side(row, "S"))


def read_ticker(row: Row, symbol: str, time: int, before: Ticker | None = None) -> Ticker:
    """One message of the tickers topic, or one row of `/v5/market/tickers`.

    A change leaves out what is as it was `before`. A price that Bybit lacks it writes as nothing, or as 0.
    """

    def value(read: Decimal | None, was: float | None) -> float | None:
        return was if read is None else float(read)

    was = before or Ticker(symbol, time)
    due = row.number_or("nextFundingTime")
    interest, rate = row.number_or("openInterest"), row.number_or("fundingRate")
    if rate is not None and abs(rate) >= 1:
        raise Malformed(f"{row.where}.fundingRate", row.raw("fundingRate"), "a part of the notional")
    if interest is not None and interest < 0:
        raise Malformed(f"{row.where}.openInterest", row.raw("openInterest"), "a size")
    return Ticker(
        symbol,
        time,
        value(row.price_or("lastPrice"), was.last),
        value(row.price_or("markPrice"), was.mark),
        value(row.price_or("indexPrice"), was.index),
        value(rate, was.funding_rate),
        int(due) * MILLISECOND if due else was.next_funding_time,
        value(interest, was.open_interest),
    )


def read_funding_rate(row: Row, instrument: Instrument) -> FundingRate:
    """One row of `/v5/market/funding/history`."""
    return FundingRate(instrument.symbol, row.time("fundingRateTimestamp"), float(row.number("fundingRate")))


def _price(value: object, where: str) -> float:
    price = _size(value, where)
    if price <= 0:
        raise Malformed(where, value, "a price above zero")
    return price


def _size(value: object, where: str) -> float:
    read = number(value, where)
    size = math.nan if read is None else float(read)
    if not size >= 0 or math.isinf(size):
        raise Malformed(where, value, "a size")
    return size
