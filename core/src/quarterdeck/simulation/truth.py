"""Owns the truth: what really happened at the venue, in order. Nothing is ever taken back.

The core under test never sees it; the invariants compare what the core believes with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from quarterdeck.domain.order import OrderTerms
from quarterdeck.domain.report import BalanceChanged, Filled, FundingSettled


@dataclass(frozen=True, slots=True)
class Sent:
    """A request left a daemon. `head` is the last sequence that was on its disk at that moment."""

    time: int
    process: str
    kind: str
    link_id: str
    head: int
    signed: int
    terms: OrderTerms | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A request for a new order arrived. `reason` says why it was refused; empty when it was taken in."""

    time: int
    link_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """Something moved the account."""

    time: int
    what: Filled | FundingSettled | BalanceChanged


@dataclass(slots=True)
class Truth:
    """Everything of one run, oldest first."""

    sent: list[Sent] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)

    @property
    def orders(self) -> int:
        """Orders the venue took in."""
        return sum(not one.reason for one in self.taken)

    def position(self, symbol: str) -> Decimal:
        """What all trades add up to."""
        return sum(
            (
                one.what.side.sign * one.what.quantity
                for one in self.moved
                if isinstance(one.what, Filled) and one.what.symbol == symbol
            ),
            Decimal(0),
        )
