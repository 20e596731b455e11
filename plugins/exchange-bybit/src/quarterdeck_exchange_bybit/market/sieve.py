"""Owns what is not believed of a market's data though it can be read: prices and times that can hardly be."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MINUTE, SECOND, Candle, Quote

#: Why something is held back.
MALFORMED = "malformed"
BAD_PRINT = "bad-print"
OFF_GRID = "off-grid"
BACKWARDS = "time-backwards"
AHEAD = "time-ahead"
GAP = "gap"
CORRECTED = "late-correction"

#: How many in a row have to say the same before what nobody expected is believed: a market may really have moved.
CONFIRMED = 3

#: How far ahead of this machine's clock Bybit's may say that something was.
AHEAD_LIMIT = 60 * SECOND

#: How far from a tick, in ticks, a price may lie that was a tick before it became a float.
_GRID = 1e-3


class Sieve:
    """Judges the prices of one instrument by those before. `band` is how far they may jump, as a part of the price."""

    def __init__(self, instrument: Instrument, band: float) -> None:
        self._tick = float(instrument.tick_size)
        self._band = band
        self._last: float | None = None
        self._doubted: dict[str, tuple[int, float]] = {}
        """By reason, how many in a row were held back, and the price of the latest."""

    def quote(self, quote: Quote) -> str:
        """Why a quote is held back; empty if it is believed."""
        return self.prices((quote.bid + quote.ask) / 2, (quote.bid, quote.ask))

    def price(self, price: float) -> str:
        """Why a price that need not be on the grid is held back, such as a mark price; empty if it is believed."""
        return self.prices(price, ())

    def trade(self, price: float) -> str:
        """Why a trade is held back; empty if it is believed."""
        return self.prices(price, (price,))

    def prices(self, level: float, on_grid: Iterable[float]) -> str:
        """Why prices around a level are held back; empty if they are believed.

        What does not fit is believed as soon as enough in a row agree: then it was the market that moved, or the grid.
        """
        reason = ""
        if self._last is not None and abs(level / self._last - 1) > self._band:
            reason = BAD_PRINT
        elif not self._fits(on_grid):
            reason = OFF_GRID
        if not reason:
            self._doubted.clear()
        else:
            count, before = self._doubted.get(reason, (0, level))
            count = count + 1 if abs(level / before - 1) <= self._band else 1
            if count < CONFIRMED:
                self._doubted[reason] = (count, level)
                return reason
            self._doubted.pop(reason, None)
            if reason == OFF_GRID:
                self._tick = 0.0  # the tick is another now; nobody knows which until the next start
        self._last = level
        return ""

    def candle(self, candle: Candle) -> str:
        """Why a candle is doubted, so that it has to be asked for again; empty if it is believed."""
        if is_bad_print(candle, self._last, self._band):
            return BAD_PRINT
        return "" if self._fits((candle.open, candle.high, candle.low, candle.close)) else OFF_GRID

    def believe(self, price: float) -> None:
        """Take a price for right, as one that was told twice."""
        self._last = price

    def _fits(self, prices: Iterable[float]) -> bool:
        tick = self._tick
        return not tick or all(abs(price / tick - round(price / tick)) < _GRID for price in prices)


def is_bad_print(candle: Candle, before: float | None, band: float) -> bool:
    """Whether a candle can hardly be after a price: a wick far beyond its body, or a close far from that price.

    `band` is what is far within a minute; what is far grows with the root of time.
    """
    band *= sqrt(max(candle.interval / MINUTE, 1.0))
    top, bottom = max(candle.open, candle.close), min(candle.open, candle.close)
    if candle.high > top * (1 + band) or candle.low < bottom * (1 - band):
        return True
    return before is not None and abs(candle.close / before - 1) > band


class Times:
    """Judges the times of one topic: none before the last, none in the future."""

    def __init__(self) -> None:
        self._last = 0
        self._backwards = 0

    def judge(self, time: int, now: int) -> str:
        """Why something of this time is held back; empty if it is believed. Enough in a row that agree are believed."""
        if time > now + AHEAD_LIMIT:
            return AHEAD
        if time < self._last:
            self._backwards += 1
            if self._backwards < CONFIRMED:
                return BACKWARDS
        self._backwards = 0
        self._last = time
        return ""
