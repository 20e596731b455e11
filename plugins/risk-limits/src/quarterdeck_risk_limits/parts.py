"""Owns how a part of a whole is shown to people, in refusals and limit tables. No verdict rests on it."""

from __future__ import annotations

from decimal import ROUND_UP, Context, Decimal

# Away from zero, so that what is over a limit is never shown as equal to it.
_SHOWN = Context(prec=34, rounding=ROUND_UP)
_EIGHT_PLACES = Decimal("1E-8")


def part_of(part: Decimal, whole: Decimal) -> Decimal:
    """How much of a whole above zero a part is, to eight places."""
    return _SHOWN.quantize(_SHOWN.divide(part, whole), _EIGHT_PLACES)
