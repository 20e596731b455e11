"""Owns reading Bybit's JSON: every field by name and kind, so that what is missing or absurd is refused by name.

Bybit writes numbers as texts, leaves out what does not apply as an empty text, and counts time in milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

MILLISECOND = 1_000_000

#: Digits Bybit never comes near; a longer number is damage, and would make arithmetic crawl.
_LONGEST = 60

_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?")


class Malformed(Exception):
    """A message lacks something it can't be understood without, or says something that can't be."""

    def __init__(self, field: str, given: object, wanted: str) -> None:
        shown = repr(given)
        super().__init__(f"{field}: {shown[:80]}{'…' if len(shown) > 80 else ''} is not {wanted}")
        self.field = field


class Row:
    """One JSON object, read field by field. `where` names it in complaints."""

    __slots__ = ("_fields", "where")

    def __init__(self, fields: object, where: str) -> None:
        if not isinstance(fields, Mapping):
            raise Malformed(where, fields, "an object")
        self._fields: Mapping[str, Any] = fields
        self.where = where

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def raw(self, name: str) -> object:
        """A field as it came; None if it is not there."""
        return self._fields.get(name)

    def text(self, name: str) -> str:
        """A text that must be there and not be empty."""
        value = self._fields.get(name)
        if not isinstance(value, str) or not value:
            raise Malformed(f"{self.where}.{name}", value, "a text")
        return value

    def text_or(self, name: str, default: str = "") -> str:
        """A text that may be missing."""
        value = self._fields.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Malformed(f"{self.where}.{name}", value, "a text")
        return value

    def number(self, name: str) -> Decimal:
        """A number that must be there."""
        value = self.number_or(name)
        if value is None:
            raise Malformed(f"{self.where}.{name}", self._fields.get(name), "a number")
        return value

    def number_or(self, name: str) -> Decimal | None:
        """A number, or None where Bybit leaves it out."""
        return number(self._fields.get(name), f"{self.where}.{name}")

    def positive(self, name: str) -> Decimal:
        """A number above zero."""
        value = self.number(name)
        if value <= 0:
            raise Malformed(f"{self.where}.{name}", self._fields.get(name), "a number above zero")
        return value

    def price_or(self, name: str) -> Decimal | None:
        """A price, or None: Bybit writes a price that is not set as nothing or as zero."""
        value = self.number_or(name)
        if value is not None and value < 0:
            raise Malformed(f"{self.where}.{name}", self._fields.get(name), "a price")
        return value or None

    def integer(self, name: str) -> int:
        """A whole number that must be there, as a number or as a text."""
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Malformed(f"{self.where}.{name}", value, "a whole number")
        if isinstance(value, str):
            if len(value) > _LONGEST or not value.removeprefix("-").isdecimal() or not value.isascii():
                raise Malformed(f"{self.where}.{name}", value, "a whole number")
            return int(value)
        return value

    def time(self, name: str) -> int:
        """A moment that must be there, in nanoseconds since the epoch."""
        value = self.integer(name)
        if not 0 < value < 10**14:
            raise Malformed(f"{self.where}.{name}", value, "a time in milliseconds")
        return value * MILLISECOND

    def flag(self, name: str) -> bool:
        """Whether a field is true; missing is false."""
        value = self._fields.get(name, False)
        if not isinstance(value, bool):
            raise Malformed(f"{self.where}.{name}", value, "true or false")
        return value

    def row(self, name: str) -> Row:
        """An object within this one."""
        return Row(self._fields.get(name), f"{self.where}.{name}")

    def rows(self, name: str) -> Iterator[Row]:
        """The objects of a list."""
        for index, each in enumerate(self.list(name)):
            yield Row(each, f"{self.where}.{name}[{index}]")

    def list(self, name: str) -> list[Any]:
        """A list that must be there."""
        value = self._fields.get(name)
        if not isinstance(value, list):
            raise Malformed(f"{self.where}.{name}", value, "a list")
        return value


def number(value: object, where: str) -> Decimal | None:
    """A finite number from Bybit's text (or a JSON integer); None for an empty text or null."""
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if len(text) > _LONGEST or _NUMBER.fullmatch(text) is None:
        raise Malformed(where, value, "a number")
    parsed = Decimal(text)
    if abs(parsed.adjusted()) > _LONGEST:
        raise Malformed(where, value, "a number of a sensible size")
    return parsed
