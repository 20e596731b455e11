"""Owns signals: what a strategy wants done, before anyone has said how much of it or whether."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.market import Side


class Action(StrEnum):
    """What a strategy can want."""

    ENTER_LONG = "ENTER_LONG"
    ENTER_SHORT = "ENTER_SHORT"
    EXIT = "EXIT"
    """Close everything this bot holds."""

    @property
    def side(self) -> Side:
        """The side an entry trades on; meaningless for EXIT."""
        return Side.SELL if self is Action.ENTER_SHORT else Side.BUY


@dataclass(frozen=True, slots=True)
class Signal:
    """A wish. Prices are observations; the engine puts them on the instrument's tick.

    `stop` is where the idea is wrong: sizing divides the risk by the distance to it, and the venue holds it as the
    position's stop. An entry without a stop can't be sized by stop distance and is refused.
    """

    action: Action
    stop: float | None = None
    take_profit: float | None = None
    limit: float | None = None
    reason: str = ""


class Holding(NamedTuple):
    """What a bot holds when its strategy is asked. `quantity` is signed; `busy` is true while an order is working."""

    quantity: Decimal = ZERO
    average_price: Decimal | None = None
    busy: bool = False

    @property
    def direction(self) -> int:
        """+1 long, -1 short, 0 flat."""
        return (self.quantity > 0) - (self.quantity < 0)


FLAT = Holding()
