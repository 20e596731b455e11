"""Owns the market of a simulator that nobody feeds: prices of a seeded walk, or of a file, as trades of the present."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import HOUR, MINUTE, SECOND, Candle, FundingRate, MarketEvent, Quote, Side, Trade

#: Standard deviation of one step, as a part of the price; about 60 % a year at two steps a second.
_STEP = 0.000_08

_STEPS_A_MINUTE = 30
_SIZE = 5.0
_FUNDING_EVERY = 8 * HOUR
_COLUMNS = ("ts", "open", "high", "low", "close")


class Walk:
    """The prices of one instrument, one after another: the same for the same seed and instrument."""

    def __init__(self, instrument: Instrument, price: float, seed: int, step: float = _STEP) -> None:
        self.instrument = instrument
        self._price = price
        self._step = step
        self._floor = price / 100
        self._random = Random(f"{seed}/{instrument.symbol}")  # noqa: S311 - a market, not a secret
        self._tick = float(instrument.tick_size)

    def next(self) -> float:
        """The next price, on a tick."""
        self._price = max(self._price * (1 + self._random.gauss(0, self._step)), self._floor)
        return round(round(self._price / self._tick) * self._tick, 8)

    def history(self, now: int, minutes: int) -> Iterator[Candle | FundingRate]:
        """Candles of the whole minutes that have just ended, oldest first, and the funding that fell due in them."""
        start = now - now % MINUTE - minutes * MINUTE
        last = self.next()
        for open_time in range(start, now - now % MINUTE, MINUTE):
            prices = [last, *(self.next() for _ in range(_STEPS_A_MINUTE))]
            last = prices[-1]
            volume = round(1 + 9 * self._random.random(), 3)
            if self.instrument.kind is InstrumentKind.LINEAR and open_time % _FUNDING_EVERY == 0:
                yield FundingRate(self.instrument.symbol, open_time, round(self._random.gauss(0.000_1, 0.000_05), 8))
            yield Candle(self.instrument.symbol, MINUTE, open_time, prices[0], max(prices), min(prices), last, volume)


def at(instrument: Instrument, price: float, now: int, *, rises: bool) -> Sequence[MarketEvent]:
    """What the market shows when it trades at a price: the trade, and the book around it."""
    tick = float(instrument.tick_size)
    side = Side.BUY if rises else Side.SELL
    return (
        Trade(instrument.symbol, now, price, 0.01, side),
        Quote(instrument.symbol, now, round(price - tick, 8), _SIZE, price, _SIZE),
    )


def read_prices(path: Path) -> tuple[list[float], int]:
    """The prices along the candles of a CSV file, four each, and the nanoseconds from one to the next.

    `ts` is in seconds, milliseconds or nanoseconds since the epoch; other columns than ts, open, high, low and close do
    not matter. Low comes before high where the candle rises.

    Raises:
        ValueError: a column, a number or a second row is missing; the text names file and row.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{path}: column {', '.join(missing)} is missing")
        rows = []
        for number, row in enumerate(reader, start=1):
            try:
                rows.append([float(row[name]) for name in _COLUMNS])
            except (TypeError, ValueError):
                raise ValueError(f"{path}: row {number}: {', '.join(_COLUMNS)} must be numbers") from None
            if min(rows[-1][1:]) <= 0:
                raise ValueError(f"{path}: row {number}: prices must be above zero")
    steps = [later[0] - earlier[0] for earlier, later in pairwise(rows)]
    if not steps or min(steps) <= 0:
        raise ValueError(f"{path}: needs two rows or more, in order of ts")
    unit = next(unit for bound, unit in ((1e11, SECOND), (1e14, 1_000_000), (float("inf"), 1)) if rows[0][0] < bound)
    prices = [
        price
        for _, first, high, low, last in rows
        for price in ((first, low, high, last) if last >= first else (first, high, low, last))
    ]
    return prices, int(min(steps) * unit) // 4
