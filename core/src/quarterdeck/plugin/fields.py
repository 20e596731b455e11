"""Owns how people write an interval, a moment and a speed in settings, and what those are in nanoseconds.

A settings model keeps what was written, so that showing a configuration gives back what its author recognises.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from quarterdeck.domain.market import DAY, HOUR, MINUTE, SECOND

_UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def interval_ns(text: str) -> int:
    """Read an interval such as `5m`, `1h` or `30s` as nanoseconds.

    Raises:
        ValueError: it is not a positive whole number and one of the units s, m, h, d.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if match is None:
        raise ValueError(f"{text!r} is not an interval such as '30s', '5m', '1h' or '1d'")
    return int(match[1]) * _UNITS[match[2]]


def interval_text(nanoseconds: int) -> str:
    """Write an interval the way `interval_ns` reads it, in the largest unit that divides it."""
    for unit, length in _UNITS.items():
        if nanoseconds % length == 0:
            return f"{nanoseconds // length}{unit}"
    return f"{nanoseconds}ns"


def moment_ns(moment: datetime) -> int:
    """A moment in nanoseconds since the epoch, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def moment_text(nanoseconds: int) -> str:
    """A moment for people: UTC, and no more of the fraction of a second than there is."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def _is_interval(text: str) -> str:
    interval_ns(text)
    return text


def _is_written_out(value: object) -> object:
    if isinstance(value, (str, datetime)):
        return value
    raise ValueError("must be a moment with a time zone, such as 2025-01-01T00:00:00Z")


#: An interval as text, such as `5m`; `interval_ns` gives its length.
Interval = Annotated[str, AfterValidator(_is_interval)]

#: A moment with a time zone, such as `2025-01-01T00:00:00Z`; `moment_ns` gives its time. Bare numbers are refused.
Moment = Annotated[AwareDatetime, BeforeValidator(_is_written_out)]

#: How fast a replay runs: `max`, or a number above zero whose unit the setting states.
Speed = Literal["max"] | Annotated[float, Field(gt=0, strict=True)]
