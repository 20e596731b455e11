"""Owns the comparison of two simple moving averages, one candle at a time, without rounding.

Running sums of floats drift: what leaves the window is not exactly what it had added, and after a year of candles two
equal averages differ. Here prices are whole numbers of 1e-10, so sums are exact for ever, whatever came before, and an
average that touches the other is seen to be equal. A price with up to ten places is taken exactly below 225 000 (2^51
units); above, it may be off by a few units, in its sixteenth digit, but still leaves the sums as it entered them.
"""

from __future__ import annotations

from collections import deque

_SCALE = 1e10


class AverageGap:
    """Whether the fast average is above or below the slow one.

    Keeps slow * (sum of the last `fast` prices) - fast * (sum of the last `slow` prices), which has the sign of the
    difference of the averages, and needs no division. Windows start filled with zeros, which leave as prices arrive.
    """

    __slots__ = ("_fast", "_fast_prices", "_gap", "_missing", "_slow", "_slow_prices", "_weight")

    def __init__(self, fast: int, slow: int) -> None:
        self._fast = fast
        self._slow = slow
        self._weight = slow - fast
        self._fast_prices = deque([0] * fast, maxlen=fast)
        self._slow_prices = deque([0] * slow, maxlen=slow)
        self._gap = 0
        self._missing = slow

    def after(self, price: float) -> int | None:
        """Take in a price. Positive when the fast average is above the slow one; None until both windows are full."""
        scaled = round(price * _SCALE)
        fast_prices, slow_prices = self._fast_prices, self._slow_prices
        self._gap = gap = self._gap + self._weight * scaled - self._slow * fast_prices[0] + self._fast * slow_prices[0]
        fast_prices.append(scaled)
        slow_prices.append(scaled)
        if self._missing:
            self._missing -= 1
            if self._missing:
                return None
        return gap
