"""Owns checked data in memory: columns of numbers, and making events of any stretch of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Protocol

from quarterdeck.domain.market import Candle, MarketEvent, Side, Trade

# Rows turned into Python numbers at a time: few enough to stay in the cache, many enough to hide the cost of slicing.
_CHUNK = 4_096
_SIDES = {1: Side.BUY, -1: Side.SELL}


class Series(Protocol):
    """The rows of one symbol, in order of time, numbered from 0."""

    @property
    def symbol(self) -> str:
        """Whose rows they are."""

    def __len__(self) -> int: ...

    def begin(self, number: int) -> int:
        """A moment before the event of a row, as late as can be."""

    def later_than(self, time: int) -> int:
        """Number of the first row whose event is later than a time."""

    def from_to(self, start: int | None, end: int | None) -> tuple[int, int]:
        """The rows whose event lies within two moments: the first, and the one after the last."""

    def events(self, first: int, stop: int) -> Iterator[MarketEvent]:
        """Events of the rows from `first` up to, without, `stop`."""


@dataclass(frozen=True, slots=True)
class CandleSeries:
    """Candles of one symbol and interval. `opened` are the times they opened at, in nanoseconds."""

    symbol: str
    interval: int
    opened: memoryview[int]
    prices_and_volume: tuple[memoryview[float], ...]
    """Columns open, high, low, close, volume."""

    def __len__(self) -> int:
        return len(self.opened)

    def begin(self, number: int) -> int:
        """When the candle of a row opened."""
        return self.opened[number]

    def later_than(self, time: int) -> int:
        """Number of the first candle that closed after a time."""
        return bisect_right(self.opened, time - self.interval)

    def from_to(self, start: int | None, end: int | None) -> tuple[int, int]:
        """Candles that opened at or after `start` and closed at or before `end`."""
        first = 0 if start is None else bisect_left(self.opened, start)
        return first, len(self) if end is None else self.later_than(end)

    def events(self, first: int, stop: int) -> Iterator[Candle]:
        """Candles of the rows from `first` up to, without, `stop`."""
        for columns in _chunks((self.opened, *self.prices_and_volume), first, stop):
            yield from map(Candle, repeat(self.symbol), repeat(self.interval), *columns)


@dataclass(frozen=True, slots=True)
class TradeSeries:
    """Trades of one symbol. `sides` are 1 where the taker bought and -1 where it sold."""

    symbol: str
    times: memoryview[int]
    prices: memoryview[float]
    sizes: memoryview[float]
    sides: memoryview[int]

    def __len__(self) -> int:
        return len(self.times)

    def begin(self, number: int) -> int:
        """The nanosecond before a trade."""
        return self.times[number] - 1

    def later_than(self, time: int) -> int:
        """Number of the first trade after a time."""
        return bisect_right(self.times, time)

    def from_to(self, start: int | None, end: int | None) -> tuple[int, int]:
        """Trades at or after `start` and before `end`."""
        first = 0 if start is None else bisect_left(self.times, start)
        return first, len(self) if end is None else bisect_left(self.times, end)

    def events(self, first: int, stop: int) -> Iterator[Trade]:
        """Trades of the rows from `first` up to, without, `stop`."""
        for times, prices, sizes, sides in _chunks((self.times, self.prices, self.sizes, self.sides), first, stop):
            yield from map(Trade, repeat(self.symbol), times, prices, sizes, map(_SIDES.__getitem__, sides))


def _chunks(columns: Sequence[memoryview[Any]], first: int, stop: int) -> Iterator[list[list[Any]]]:
    """The rows from `first` up to `stop` as Python numbers, some thousands at a time."""
    for begin in range(first, stop, _CHUNK):
        rows = slice(begin, min(begin + _CHUNK, stop))
        yield [column[rows].tolist() for column in columns]
