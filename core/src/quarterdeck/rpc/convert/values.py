"""Owns how single values are spelt on the wire: amounts, moments, spans, enums, free text."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.domain.amounts import amount_text, parse_amount
from quarterdeck.v1.decimal_pb2 import Decimal as DecimalMessage
from quarterdeck.v1.mode_pb2 import Mode

NANOSECONDS = 1_000_000_000

_FINEST = Decimal("1E-18")
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)
_LARGEST_EXPONENT = 18
_SURELY_SHORT = 20  # a text below this length has neither 20 digits before the point nor 19 after it


def text(value: Decimal) -> str:
    """An amount in the contract's spelling, exactly.

    Raises:
        ValueError: it has more than 19 digits before the point or 18 after, or is no number: nothing is rounded here.
    """
    if not value:
        return "0"
    spelt = str(value)
    if len(spelt) < _SURELY_SHORT and "E" not in spelt and spelt[-1] <= "9":
        return spelt
    spelt = amount_text(value)
    parse_amount(spelt)
    return spelt


def rounded(value: Decimal) -> str:
    """A number somebody computed and nobody is owed: to 18 places, without trailing zeros.

    Empty (absent) if it can't be spelt at all.
    """
    spelt = str(value)
    if len(spelt) < _SURELY_SHORT and "E" not in spelt and "N" not in spelt and "1" <= spelt[-1] <= "9":
        return spelt
    return _rounded(spelt)


@lru_cache(maxsize=4096)  # the same few come up in every sizing
def _rounded(spelt: str) -> str:
    value = Decimal(spelt)
    if not value:
        return "0"
    if not value.is_finite() or value.adjusted() > _LARGEST_EXPONENT:
        return ""
    short = format(value.quantize(_FINEST, context=_WIDE), "f").rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def read_amount(message: DecimalMessage) -> Decimal | None:
    """An amount this daemon wrote; None if it is absent, as a present one is never empty."""
    spelt = message.value
    return Decimal(spelt) if spelt else None


def asked_amount(message: DecimalMessage) -> Decimal | None:
    """An amount a caller may have given; None if it is absent.

    Raises:
        ValueError: it is spelt in another way than the contract's.
    """
    spelt = message.value
    return parse_amount(spelt) if spelt else None


def prose(said: str) -> str:
    """Free text that any UTF-8 reader can take; what can't be encoded becomes a question mark."""
    return said if said.isascii() else said.encode("utf-8", "replace").decode("utf-8")


def set_time(message: Timestamp, nanoseconds: int) -> None:
    """Write a moment, exact to the nanosecond."""
    message.seconds, message.nanos = divmod(nanoseconds, NANOSECONDS)


def time_of(message: Timestamp) -> int:
    """Read a moment, exact to the nanosecond (`ToDatetime` would drop the last three digits)."""
    return message.seconds * NANOSECONDS + message.nanos


def set_span(message: Duration, nanoseconds: int) -> None:
    """Write a span of time of zero or more."""
    message.seconds, message.nanos = divmod(nanoseconds, NANOSECONDS)


def span_of(message: Duration) -> int:
    """Read a span of time in nanoseconds."""
    return message.seconds * NANOSECONDS + message.nanos


Choice = TypeVar("Choice", bound=StrEnum)
Number = TypeVar("Number", bound=int)
Number_co = TypeVar("Number_co", bound=int, covariant=True)


class WireEnum(Protocol[Number_co]):
    """A generated enum."""

    def Value(self, name: str) -> Number_co:  # noqa: N802 - protobuf's own name
        """The number of a value."""


def numbers(choices: type[Choice], wire: WireEnum[Number], prefix: str) -> dict[Choice, Number]:
    """The wire's number for each value of a domain enum. A value the contract lacks fails at import."""
    return {choice: wire.Value(f"{prefix}_{choice.name}") for choice in choices}


def choices(table: dict[Choice, Number]) -> dict[Number, Choice]:
    """The other way round."""
    return {number: choice for choice, number in table.items()}


def mode_number(mode: str) -> Mode.ValueType:
    """The wire's number for a mode, spelt as in the configuration, such as `exchange-demo`."""
    return Mode.Value("MODE_" + mode.upper().replace("-", "_"))


def mode_text(number: Mode.ValueType) -> str:
    """A mode's name as in the configuration."""
    return Mode.Name(number).removeprefix("MODE_").replace("_", "-").lower()
