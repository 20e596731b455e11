"""Owns the path a price is taken to have gone inside a candle: open, one extreme, the other, close.

Each of the three legs takes a third of the interval and is straight, which is what tells the price at the moment an
order arrives in mid-candle. The extreme that hurts the position held after the open comes first; when flat, the nearer
one, and the low when both are as near.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from quarterdeck.domain.amounts import from_observation, nearest_to
from quarterdeck.domain.market import Candle


class Leg(NamedTuple):
    """A straight move from one price to another."""

    start_time: int
    start: Decimal
    end_time: int
    end: Decimal

    def split(self, time: int, tick_size: Decimal) -> tuple[Leg, Leg]:
        """The part until a time within it and the rest; they meet on the nearest tick."""
        passed, whole = time - self.start_time, self.end_time - self.start_time
        price = nearest_to(self.start + (self.end - self.start) * passed / whole, tick_size)
        return Leg(self.start_time, self.start, time, price), Leg(time, price, self.end_time, self.end)


def legs_of(candle: Candle, held: Decimal) -> tuple[Leg, Leg, Leg]:
    """The three legs of a candle during which a signed quantity is held."""
    opened, low, high, closed = map(from_observation, (candle.open, candle.low, candle.high, candle.close))
    low_first = held > 0 or (not held and opened - low <= high - opened)
    first, second = (low, high) if low_first else (high, low)
    start, third = candle.open_time, candle.interval // 3
    return (
        Leg(start, opened, start + third, first),
        Leg(start + third, first, start + 2 * third, second),
        Leg(start + 2 * third, second, candle.time, closed),
    )
