"""Owns the order of one instrument's candles of one interval: each once, none left out without being named."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum, auto

from quarterdeck.domain.market import Candle


class Place(Enum):
    """Where a candle belongs."""

    NEXT = auto()
    """It follows the last one."""
    KNOWN = auto()
    """It was told before, just so."""
    CORRECTED = auto()
    """It was told before, with other numbers."""
    LATER = auto()
    """Others are missing before it; or they are being asked for."""


class Series:
    """The latest candles. While a hole is being filled, what closes meanwhile waits behind it."""

    def __init__(self, interval: int, candles: Iterable[Candle], keep: int) -> None:
        self.interval = interval
        self.candles: deque[Candle] = deque(candles, maxlen=keep)
        self.is_waiting = False
        """Whether something before the next candle is being asked for."""
        self._held: dict[int, Candle] = {}
        self._expected = 0

    @property
    def next_open(self) -> int:
        """When the next candle opens; 0 before the first."""
        return self.candles[-1].open_time + self.interval if self.candles else 0

    def place(self, candle: Candle) -> Place:
        """Where a candle belongs; one that was corrected takes its old place."""
        after = self.next_open
        if after and candle.open_time < after:
            for at in range(len(self.candles) - 1, -1, -1):
                known = self.candles[at]
                if known.open_time == candle.open_time:
                    if known == candle:
                        return Place.KNOWN
                    self.candles[at] = candle
                    return Place.CORRECTED
                if known.open_time < candle.open_time:
                    break
            return Place.KNOWN  # older than what is kept
        return Place.LATER if self.is_waiting or (after and candle.open_time > after) else Place.NEXT

    def add(self, candle: Candle) -> None:
        """Take what is next."""
        self.candles.append(candle)

    def hold(self, candle: Candle) -> None:
        """Keep a candle until what is missing before it has come."""
        self._held[candle.open_time] = candle

    def expect(self, candle: Candle) -> None:
        """Wait for a candle that was told, but not believed."""
        self._expected = max(self._expected, candle.open_time)

    def fill(self, found: Iterable[Candle]) -> None:
        """Take what was fetched: what is told twice counts for more than what was told once."""
        for candle in found:
            if candle.open_time >= self.next_open:
                self._held[candle.open_time] = candle

    @property
    def has_hole(self) -> bool:
        """Whether something is missing before, or between, what waits."""
        after = self.next_open
        for at in sorted(self._held):
            if after and at != after:
                return True
            after = at + self.interval
        return after <= self._expected

    def release(self) -> tuple[Sequence[Candle], Sequence[tuple[int, int]]]:
        """End the wait: what goes on now, in order, and the holes nobody could fill, each from and up to a time."""
        released = [self._held[at] for at in sorted(self._held) if at >= self.next_open]
        holes = []
        for candle in released:
            if self.candles and candle.open_time != self.next_open:
                holes.append((self.next_open, candle.open_time))
            self.candles.append(candle)
        self._held.clear()
        self._expected = 0
        self.is_waiting = False
        return released, holes
