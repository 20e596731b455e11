"""Owns verdicts on orders: refusals that carry data, and approval as a type that only the gate makes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

from quarterdeck.domain.order import OrderRole, OrderTerms

T = TypeVar("T")


class TradingState(StrEnum):
    """What the account may do."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    """Only orders that reduce exposure."""
    HALTED = "HALTED"
    """The kill switch is engaged: only reduce-only closing and cancelling."""


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """An order that wants approval. It should trade at `reference_price`: its limit, its trigger or the mark."""

    terms: OrderTerms
    role: OrderRole
    bot_id: str
    reference_price: Decimal

    @property
    def increases_exposure(self) -> bool:
        """Whether it may add risk. Risk rules judge only these, so no rule can ever trap a position."""
        return self.role is OrderRole.ENTRY and not self.terms.reduce_only

    @property
    def notional(self) -> Decimal:
        """Quantity times reference price."""
        return self.terms.quantity * self.reference_price


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and why, in data. The sentence is written at the edge."""

    rule: str
    reason: str
    limit: Decimal | None = None
    observed: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Approved(Generic[T]):
    """Proof that every configured rule said yes. Only the engine's gate makes one."""

    item: T
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """One limit of one rule, and how much of it is used, in the unit the limit's name tells.

    `observed` is None where it depends on the order that is asked about.
    """

    rule: str
    name: str
    limit: Decimal
    observed: Decimal | None
