"""Owns the order in which a moving price reaches resting orders."""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Decimal
from math import inf

from quarterdeck.matching.order import BookOrder

_FIRST, _SECOND = 0, -1


class Ladder:
    """Orders that wait for the price to fall (or to rise) to their level, the next to be reached last.

    At one level, orders that act when the level is touched come before limits that must be traded through, and among
    equals the earlier order comes first. Rungs are kept sorted, with levels negated on the rising side, so that
    "reached" means the same on both: a rung at or above the price. `nearest` is the level that is reached first, or an
    infinity that no price reaches.
    """

    __slots__ = ("_falling", "_rungs", "_through", "nearest")

    def __init__(self, *, falling: bool, through: bool) -> None:
        self._falling = falling
        self._through = through
        self._rungs: list[tuple[Decimal, int, int, BookOrder]] = []
        self._note_nearest()

    def add(self, order: BookOrder) -> None:
        """Let an order wait at its level."""
        level = order.level if self._falling else -order.level
        rank = _SECOND if self._through and not order.awaits_trigger else _FIRST
        order.rung = (level, rank, -order.number, order)
        insort(self._rungs, order.rung)
        self._note_nearest()

    def remove(self, order: BookOrder) -> None:
        """Take an order off."""
        assert order.rung is not None, f"{order.link_id} is on no ladder"
        at = bisect_left(self._rungs, order.rung)
        assert self._rungs[at][3] is order, f"{order.link_id} is not where it was put"
        del self._rungs[at]
        order.rung = None
        self._note_nearest()

    def reached(self, bid: Decimal, ask: Decimal, *, strictly: bool) -> BookOrder | None:
        """The first order that prices `bid` and `ask` reach. Buys look at the ask, sells at the bid.

        With `strictly`, limits that must be traded through are not reached by their own price.
        """
        if not self._rungs:
            return None
        buys_see, sells_see = (ask, bid) if self._falling else (-ask, -bid)
        farthest = min(buys_see, sells_see)
        for level, rank, _, order in reversed(self._rungs):
            if level < farthest:
                return None
            seen = buys_see if order.is_buy else sells_see
            if level > seen or (level == seen and (rank == _FIRST or not strictly)):
                return order
        return None

    def _note_nearest(self) -> None:
        if self._falling:
            self.nearest = float(self._rungs[-1][0]) if self._rungs else -inf
        else:
            self.nearest = -float(self._rungs[-1][0]) if self._rungs else inf
