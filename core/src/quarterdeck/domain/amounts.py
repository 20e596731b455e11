"""Owns exact numbers: the strict text form, rounding to a step, and the arithmetic context money is computed in."""

from __future__ import annotations

import re
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DefaultContext,
    DivisionByZero,
    FloatOperation,
    InvalidOperation,
    Overflow,
    setcontext,
)

ZERO = Decimal(0)
ONE = Decimal(1)
CENT_OF_A_MICRO = Decimal("1E-8")  # the finest amount a settlement currency is kept in

# One number has one spelling; the same pattern stands in the contract's Decimal message.
_PATTERN = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?")

_MONEY = Context(
    prec=34,
    rounding=ROUND_HALF_EVEN,
    traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation],
)


def use_money_context() -> None:
    """Make this thread, and threads started later, compute in 34 digits and refuse to mix floats with decimals.

    With FloatOperation trapped, `Decimal(0.1)` and `Decimal("1") < 1.5` raise instead of quietly being inexact.
    """
    setcontext(_MONEY.copy())
    DefaultContext.prec = _MONEY.prec
    DefaultContext.rounding = _MONEY.rounding
    DefaultContext.traps[FloatOperation] = True


def parse_amount(text: str) -> Decimal:
    """Read the strict decimal form: no exponent, plus sign, leading zero, blank, underscore or foreign digit.

    At most 19 digits before the point and 18 after. Minus zero reads as zero.

    Raises:
        ValueError: the text is spelt in any other way; the message quotes it.
    """
    if _PATTERN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a decimal such as '-12.50'")
    value = Decimal(text)
    return value or ZERO


def amount_text(value: Decimal) -> str:
    """Write an amount in the strict form `parse_amount` reads, keeping its trailing zeros."""
    text = str(value)  # takes half as long, and seldom has an exponent
    if "E" in text:
        text = format(value, "f")
    return text[1:] if text.startswith("-") and not value else text


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros or exponent, so that equal amounts are also spelt alike."""
    if not value:
        return ZERO
    value = value.normalize()
    return value.quantize(ONE) if value.as_tuple().exponent > 0 else value  # type: ignore[operator]  # finite by context


def from_observation(value: float) -> Decimal:
    """An observed float as the shortest decimal that reads back as the same float; NumPy's are taken too."""
    return Decimal(str(value))


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`. Quantities round this way, so risk never rounds up."""
    steps = value // step  # exact, and towards zero
    if steps * step > value:
        steps -= ONE
    return steps * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    steps = value // step
    if steps * step < value:
        steps += ONE
    return steps * step


def nearest_to(value: Decimal, step: Decimal) -> Decimal:
    """The multiple of `step` nearest to `value`; halfway goes to the even one."""
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole number of steps."""
    return not value % step


def settle(value: Decimal) -> Decimal:
    """Round an amount of money to the eight places a settlement currency is kept in."""
    return value.quantize(CENT_OF_A_MICRO)
