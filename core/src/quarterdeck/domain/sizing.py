"""Owns sizes: how much of an instrument an entry may be, and the trace of how that came about."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Side


class SizingStep(NamedTuple):
    """One step of a sizing: `rule` took the value from `before` to `after` using `inputs`. Prose is for the edge."""

    rule: str
    before: Decimal
    after: Decimal
    inputs: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class RiskRatio:
    """The fraction of the basis one trade may lose, and the name of the account size it comes from."""

    ratio: Decimal
    tier: str
    steps: tuple[SizingStep, ...] = ()


@dataclass(frozen=True, slots=True)
class SizingRequest:
    """What a sizer is asked. `basis` is the money the risk is a fraction of; prices are on the instrument's tick."""

    instrument: Instrument
    side: Side
    entry_price: Decimal
    stop_price: Decimal
    basis: Decimal


@dataclass(frozen=True, slots=True)
class Sized:
    """A sizer's answer, before scaling and rounding. `quantity` is in base units, `risk_amount` in settle currency."""

    quantity: Decimal
    risk_amount: Decimal
    risk_ratio: Decimal
    tier: str
    steps: tuple[SizingStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """A scaler's answer: a factor from 0 to 1 and why."""

    factor: Decimal
    reason: str = ""


@dataclass(slots=True)  # nobody changes one; it is made for every order, and freezing it costs five times as much
class Sizing:
    """The size an order gets, on the instrument's lot, with every step that led to it."""

    quantity: Decimal
    risk_amount: Decimal
    risk_ratio: Decimal
    tier: str
    basis: Decimal
    entry_price: Decimal
    stop_price: Decimal
    notional: Decimal
    steps: tuple[SizingStep, ...]


class SizingRefused(Exception):
    """A sizer can't give a size; `reason` is a short code, the text says what was given and what is allowed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
