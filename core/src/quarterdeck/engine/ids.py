"""Owns the client order ids the venue sees."""

from __future__ import annotations

from quarterdeck.domain.order import OrderRole

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no letter that reads like a digit
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]


def base32(number: int, digits: int) -> str:
    """A non-negative number in Crockford base 32, padded with zeros; ids of one width sort like their numbers.

    `digits` is even.
    """
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * digits - 10, -1, -10)])


def link_id(deployment: str, number: int, role: OrderRole) -> str:
    """The id of the account's `number`-th order, such as `a1-7F3K-00000000A2-E`: 20 characters.

    Venues allow 36 characters, so protection opened by the venue can append `-sl` and `-tp`. `deployment` is taken from
    the journal's own id: another journal on the same venue account can't mint the same ids.
    """
    return f"a1-{deployment}-{base32(number, 10)}-{role[0]}"
