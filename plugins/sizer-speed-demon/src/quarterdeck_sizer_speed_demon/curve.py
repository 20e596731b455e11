"""Owns the curve: which part of a balance one trade may lose, and what an account of that size is called.

Every step rounds down, the exponential included, so the ratio is never above the formula's value. The arithmetic runs
in its own context: neither the caller's precision nor its rounding can change a ratio.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import NamedTuple

from quarterdeck_sizer_speed_demon.settings import SpeedDemonSettings

# Ten places are asked for; eighteen digits leave the roundings below far behind them and cost half of what 34 would.
_DOWN = Context(prec=18, rounding=ROUND_FLOOR, traps=[InvalidOperation, DivisionByZero, Overflow])
_TEN_PLACES = Decimal("1E-10")


class Point(NamedTuple):
    """A place on the curve."""

    ratio: Decimal
    tier: str


class Curve:
    """Flat at `max_ratio`, an exponential fall, a step down, flat at `min_ratio`.

    Between the balances: min_ratio + (max_ratio - min_ratio) * exp(-decay * (b - small) / (large - small)), to ten
    places. The source is the speed-demon table this plugin was written after; README.md shows it.
    """

    __slots__ = ("_decay", "_large", "_maximum", "_minimum", "_small", "_spread", "_width")

    def __init__(self, settings: SpeedDemonSettings) -> None:
        self._small, self._large = settings.small_balance, settings.large_balance
        self._maximum = Point(settings.max_ratio, "small")
        self._minimum = Point(settings.min_ratio, "large")
        self._decay = settings.decay
        self._width = _DOWN.subtract(self._large, self._small)
        self._spread = _DOWN.subtract(settings.max_ratio, settings.min_ratio)

    def at(self, balance: Decimal) -> Point:
        """The ratio for a balance, and its tier. A balance of nothing is a small one."""
        if balance <= self._small:
            return self._maximum
        if balance >= self._large:
            return self._minimum
        # Negative all the way, so that rounding to the floor makes the fall steeper, never flatter.
        exponent = _DOWN.divide(_DOWN.multiply(self._decay, _DOWN.subtract(self._small, balance)), self._width)
        part = _DOWN.next_minus(_DOWN.exp(exponent))  # exp itself rounds to nearest, whatever the context says
        ratio = _DOWN.add(self._minimum.ratio, _DOWN.multiply(self._spread, part))
        return Point(max(_DOWN.quantize(ratio, _TEN_PLACES), self._minimum.ratio), "medium")
