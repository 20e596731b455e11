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


@dataclass(frozen=True, slots=True)
class Misjudged:
    """A risk rule failed when it was asked about an order."""

    time: int
    terms: OrderTerms


@dataclass(slots=True)
class Attention:
    """When the daemon could know: it was up and ran, and the venue was there and heard."""

    away: list[tuple[int, int]] = field(default_factory=list)
    """From when until when it could not, in order."""
    _reasons: set[str] = field(default_factory=set, repr=False)
    _since: int = 0

    def set(self, reason: str, now: int, *, is_away: bool) -> None:
        """One reason for which it can't know begins, or ends."""
        before = bool(self._reasons)
        (self._reasons.add if is_away else self._reasons.discard)(reason)
        if self._reasons and not before:
            self._since = now
        elif before and not self._reasons:
            self.away.append((self._since, now))

    def within(self, begin: int, end: int) -> int:
        """Nanoseconds of a time in which it could know."""
        away = [*self.away, (self._since, end)] if self._reasons else self.away
        return end - begin - sum(max(0, min(end, until) - max(begin, since)) for since, until in away)


@dataclass(slots=True)
class Truth:
    """Everything of one run, oldest first."""

    sent: list[Sent] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    misjudged: list[Misjudged] = field(default_factory=list)
    failed: set[str] = field(default_factory=set, repr=False)
    """Instruments whose strategies have failed."""
    attention: Attention = field(default_factory=Attention)

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
