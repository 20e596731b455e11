"""Owns the client order ids the venue sees."""

from __future__ import annotations

from quarterdeck.domain.order import OrderRole

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no letter that reads like a digit
_NUMBER_DIGITS = 10


def base32(number: int, digits: int) -> str:
    """A non-negative number in Crockford base 32, padded with zeros; ids of one width sort like their numbers."""
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 32)
        text = _ALPHABET[digit] + text
    return text


def link_id(deployment: str, number: int, role: OrderRole) -> str:
    """The id of the account's `number`-th order, such as `a1-7F3K-00000000A2-E`: 20 characters.

    Venues allow 36 characters, so protection opened by the venue can append `-sl` and `-tp`. `deployment` is taken from
    the journal's own id: another journal on the same venue account can't mint the same ids.
    """
    return f"a1-{deployment}-{base32(number, _NUMBER_DIGITS)}-{role[0]}"
