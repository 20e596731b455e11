"""Owns how numbers and times look to people. JSON has them exact and in full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from rich.text import Text

from quarterdeck.client import short_id

NONE = "-"
_SIGNIFICANT = 8


def number(value: Decimal | float | None) -> str:
    """A quantity or a price: eight digits that matter, thousands apart."""
    if value is None:
        return NONE
    exact = Decimal(str(value)) if isinstance(value, float) else value
    if exact == exact.to_integral_value():
        return f"{exact:,.0f}"
    places = max(2, _SIGNIFICANT - 1 - exact.adjusted())
    return f"{exact:,.{places}f}".rstrip("0").rstrip(".")


def money(value: Decimal | None) -> str:
    """An amount of the settle currency, to a hundredth."""
    return NONE if value is None else f"{value:,.2f}"


def gain(value: Decimal | None) -> Text:
    """Profit in green, loss in red, always signed."""
    if value is None:
        return Text(NONE)
    shown = f"{value:+,.2f}"
    return Text(shown, style="green" if value > 0 else "red" if value < 0 else "")


def percent(part: Decimal | None) -> str:
    """A part of one as a percentage."""
    return NONE if part is None else f"{part * 100:.2f} %"


def share(part: Decimal | None) -> str:
    """A small part of one, such as a risk ratio: no more digits than there are, at most four."""
    return NONE if part is None else f"{part * 100:.4f}".rstrip("0").rstrip(".") + " %"


def moment(time: datetime) -> str:
    """A time in UTC, to a second."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def day_and_time(time: datetime) -> str:
    """A time in UTC where the year goes without saying."""
    return f"{time.astimezone(UTC):%m-%d %H:%M:%S}"


def clock(time: datetime) -> str:
    """The time of day in UTC."""
    return f"{time.astimezone(UTC):%H:%M:%S}"


def length(time: timedelta | None) -> str:
    """How long something is or was, in its two largest units."""
    if time is None:
        return NONE
    seconds = time.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    parts, rest = [], round(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def name(resource: str) -> str:
    """A resource by its id."""
    return short_id(resource) or NONE


def word(text: str) -> str:
    """A word of the contract, in small letters."""
    return text.replace("_", " ").lower()


def trading_state(state: str) -> Text:
    """What trading is allowed."""
    return Text(word(state), style={"ACTIVE": "green", "REDUCING": "yellow"}.get(state, "red"))


def bot_state(state: str) -> Text:
    """What a bot does."""
    return Text(word(state), style={"RUNNING": "green", "PAUSED": "yellow", "FAILED": "red"}.get(state, ""))


def milliseconds(time: timedelta | None) -> str:
    """A short time."""
    return NONE if time is None else f"{time.total_seconds() * 1e3:,.1f} ms"


def size(count: int) -> str:
    """So many bytes."""
    for unit, each in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= each:
            return f"{count / each:,.1f} {unit}"
    return f"{count:,} bytes"
