"""Owns what calls answer with when that is more than the thing itself.

A mutation answers once it is durable, before the exchange has: `sequence` is where it was recorded, and
`events.stream(after=sequence)` shows what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from quarterdeck.client.resources import (
    Bot,
    Finding,
    NewOrder,
    Order,
    Refusal,
    RiskState,
    Sizing,
    SizingStep,
)


@dataclass(frozen=True, slots=True)
class OrderCreated:
    """The order as recorded: as it begins. `sizing` is `None` if the size was given.

    If it was only validated, nothing is recorded: `sequence` is 0.
    """

    order: NewOrder
    sequence: int
    sizing: Sizing | None


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """The order as it stood when the wish to amend or cancel it was recorded."""

    order: Order
    sequence: int


@dataclass(frozen=True, slots=True)
class OrdersChanged:
    """Several orders at once: those asked to be canceled, or those that close a position."""

    orders: tuple[Order, ...]
    sequence: int


@dataclass(frozen=True, slots=True)
class BotChanged:
    """The bot as it is now."""

    bot: Bot
    sequence: int


@dataclass(frozen=True, slots=True)
class RiskStateChanged:
    """What the account may do now."""

    risk_state: RiskState
    sequence: int


@dataclass(frozen=True, slots=True)
class AccountHalt:
    """What became of an account whose kill switch was engaged. `account` is its name."""

    account: str
    risk_state: RiskState
    sequence: int


@dataclass(frozen=True, slots=True)
class Halted(RiskStateChanged):
    """The same of the kill switch of each account that was asked, by name; the rest is the first one's."""

    accounts: tuple[AccountHalt, ...]


@dataclass(frozen=True, slots=True)
class RiskRatio:
    """The part of `basis` one new trade may lose, the same as an amount, and how it was found."""

    risk_ratio: Decimal
    tier: str
    risk_amount: Decimal
    basis: Decimal
    steps: tuple[SizingStep, ...]
    snapshot_sequence: int


@dataclass(frozen=True, slots=True)
class ComputedSize:
    """What size an order would get, and whether it would be allowed: `refusal` says why not.

    `sizing` is `None` if no size was found.
    """

    sizing: Sizing | None
    allowed: bool
    refusal: Refusal | None
    snapshot_sequence: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the daemon's checks of itself found, one finding a check, and the journal position that was looked at."""

    findings: tuple[Finding, ...]
    snapshot_sequence: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What came of comparing the journal with the exchange; `differences` are left, in words."""

    differences: tuple[str, ...]
    order_count: int
    position_count: int
    booked_count: int
    adjusted_count: int
    asked_count: int
    look_count: int
    look_time: datetime
    duration: timedelta
    snapshot_sequence: int
