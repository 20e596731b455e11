"""Owns one made-up price: a walk through regimes that is a pure function of seed, symbol and settings.

The walk is cut into blocks, each with its own random numbers, so that any part of it can be made again from the small
state at the start of its block. Only `random.random()` and arithmetic that IEEE 754 fixes to the last bit are used
(no exp, log or gauss), so a seed gives the same candles on every machine and version of Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import sqrt
from random import Random
from typing import NamedTuple

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MINUTE, Candle

BLOCK = 1_024
"""Candles per block. The first block is history: it ends where the settings let the market start."""
FEWEST_TICKS = 1_000
"""A price of fewer ticks than this could not move smoothly."""

_STEPS = 4  # price changes inside one candle
_MEAN_LENGTH = 120  # candles a regime lasts on average
_TURNOVER = 2_000_000.0  # settle currency traded in an ordinary minute
_UNIT = sqrt(6.0)  # scales the sum of two uniform numbers, less one, to a variance of one


class Regime(NamedTuple):
    """How the price behaves for a while. Drift and volatility are parts of the price, for a candle of one minute."""

    drift: float
    volatility: float
    pull: float
    """The part of the distance to where the regime began that is taken back with each candle, however long."""
    activity: float
    """Volume against an ordinary candle."""


UP = Regime(drift=0.000_25, volatility=0.000_7, pull=0.0, activity=1.2)
DOWN = Regime(drift=-0.000_25, volatility=0.000_7, pull=0.0, activity=1.2)
RANGE = Regime(drift=0.0, volatility=0.000_6, pull=0.05, activity=0.7)
STORM = Regime(drift=0.0, volatility=0.002, pull=0.0, activity=3.0)


class State(NamedTuple):
    """Where the walk stands between two candles."""

    price: float
    regime: Regime
    anchor: float


Row = tuple[float, float, float, float, float]
"""Open, high, low, close and volume of one candle."""


class Walk:
    """The candles of one instrument, numbered from 0.

    Number `BLOCK` opens at `start` and `price`; those before it are history. `count` is how many there are from `start`
    on; None never ends.
    """

    def __init__(
        self, instrument: Instrument, price: float, seed: int, start: int, interval: int, count: int | None
    ) -> None:
        self.symbol = instrument.symbol
        self._count = None if count is None else BLOCK + count
        self._seed = seed
        self._start = start - BLOCK * interval
        self._interval = interval
        self._scale = sqrt(interval / MINUTE)
        self._tick = instrument.tick_size.as_integer_ratio()
        self._lot = instrument.lot_size.as_integer_ratio()
        self._cached_block = lru_cache(maxsize=4)(self._block)
        self._begin(price)
        self._begin(price * price / self._block_states[1].price)

    def _begin(self, price: float) -> None:
        """Begin the walk at a price. Everything is in proportion to it, so where the first block ends is too."""
        self._origin = price
        self._block_states = [State(price, RANGE, price)]
        self._rows(0)

    def closed_at(self, time: int) -> int:
        """How many candles have closed at or before a time."""
        closed = max((time - self._start) // self._interval, 0)
        return closed if self._count is None else min(closed, self._count)

    def candles(self, first: int, stop: int | None = None) -> Iterator[Candle]:
        """Candles from number `first` on, up to but without `stop`."""
        end = min((number for number in (stop, self._count) if number is not None), default=None)
        while end is None or first < end:
            block = self._cached_block(first // BLOCK)
            offset = first % BLOCK
            taken = block[offset:] if end is None else block[offset : offset + end - first]
            yield from taken
            first += len(taken)

    def _block(self, number: int) -> list[Candle]:
        while len(self._block_states) <= number:
            self._rows(len(self._block_states) - 1)
        open_time = self._start + number * BLOCK * self._interval
        candles = []
        for row in self._rows(number):
            candles.append(Candle(self.symbol, self._interval, open_time, *row))
            open_time += self._interval
        return candles

    def _rows(self, number: int) -> list[Row]:
        """The candles of a block whose state is known; then the state of the next is known too."""
        uniform = Random(f"{self._seed}/{self.symbol}/{number}").random  # noqa: S311  # a market, not a secret
        price, regime, anchor = self._block_states[number]
        (tick, ticks_per), (lot, lots_per) = self._tick, self._lot
        per_tick = ticks_per / tick
        floor = self._origin / 1_000
        drift_scale = self._scale / _STEPS
        noise_scale = self._scale * _UNIT / sqrt(_STEPS)
        turnover = _TURNOVER * self._scale * self._scale * lots_per / lot
        rows = []
        first = round(price * per_tick) or 1
        for _ in range(BLOCK):
            if uniform() * _MEAN_LENGTH < 1.0:
                regime, anchor = self._next_regime(regime, uniform(), price), price
            still = 1.0 + regime.drift * drift_scale + regime.pull / _STEPS * (anchor - price) / price
            noise = regime.volatility * noise_scale
            high = low = last = first
            for _ in range(_STEPS):
                price *= still + noise * (uniform() + uniform() - 1.0)
                price = max(price, floor)
                last = round(price * per_tick) or 1
                if last > high:
                    high = last
                elif last < low:
                    low = last
            lots = 1 + int(turnover / price * regime.activity * (0.5 + uniform()))
            rows.append(
                (
                    first * tick / ticks_per,
                    high * tick / ticks_per,
                    low * tick / ticks_per,
                    last * tick / ticks_per,
                    lots * lot / lots_per,
                )
            )
            first = last
        if len(self._block_states) == number + 1:
            self._block_states.append(State(price, regime, anchor))
        return rows

    def _next_regime(self, current: Regime, chance: float, price: float) -> Regime:
        """Another regime. Trends lead back to where the price began more often than away from it."""
        if current is not STORM and chance < 0.25:
            return STORM
        if current is not RANGE and chance < 0.6:
            return RANGE
        # What is left of the chance decides the direction, spread to 0..1 again.
        left = 0.6 if current is not RANGE else 0.25
        rises = (chance - left) / (1.0 - left) < self._origin**2 / (self._origin**2 + price**2)
        return UP if rises else DOWN
