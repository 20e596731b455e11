"""Owns the client order ids the venue sees, and telling ours from those of others.

    a1-7F3K-0L2M9D-00000000A2-E-9QWFV
    |  |    |      |          | +-- check: three characters say "ours", two say "with these terms"
    |  |    |      |          +---- role: E entry, X exit, S stop-loss
    |  |    |      +--------------- number of the order in its journal
    |  |    +---------------------- epoch: rises with every daemon that takes up the account
    |  +--------------------------- deployment: from the journal's own id
    +------------------------------ scheme

33 characters; venues allow 36, so protection opened by the venue can append `-sl` and `-tp`. A journal restored from an
old copy counts its orders from where the copy ended, but under a new epoch: an id is never used for two orders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from quarterdeck.domain.order import OrderRole, OrderTerms

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no letter that reads like a digit
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}

_LETTERS = {OrderRole.ENTRY: "E", OrderRole.EXIT: "X", OrderRole.STOP_LOSS: "S"}
_ROLES = {letter: role for role, letter in _LETTERS.items()}
_CHILDREN = {"-sl": OrderRole.STOP_LOSS, "-tp": OrderRole.TAKE_PROFIT}
_FORM = re.compile(
    rf"(a1-([{_ALPHABET}]{{4}})-([{_ALPHABET}]{{6}})-([{_ALPHABET}]{{10}})-([EXS]))-([{_ALPHABET}]{{5}})(-sl|-tp)?"
)


def base32(number: int, digits: int) -> str:
    """A non-negative number in Crockford base 32, padded with zeros; ids of one width sort like their numbers.

    `digits` is even.
    """
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * digits - 10, -1, -10)])


@dataclass(frozen=True, slots=True)
class LinkId:
    """What one of our link ids says. `parent_link_id` is set on protection, whose role is then its own."""

    deployment: str
    epoch: int
    number: int
    role: OrderRole
    parent_link_id: str = ""


class LinkIds:
    """Mints link ids of one journal and epoch, and knows those of all its epochs again.

    `key` is the journal's id, in bytes: it makes the check. `deployment` is made from it: its four characters let a
    person tell whose order it is, and another journal on the same venue account can't mint the same ids.
    """

    def __init__(self, key: bytes, epoch: int) -> None:
        self.epoch = epoch
        self.deployment = base32(int.from_bytes(key, "big") % 32**4, 4)
        self._keyed = blake2b(key=key, digest_size=4)
        self._head = f"a1-{self.deployment}-{base32(epoch, 6)}-"

    def mint(self, number: int, role: OrderRole, terms: OrderTerms) -> str:
        """The id of the journal's `number`-th order with these terms: an entry, an exit or a stop-loss."""
        stem = f"{self._head}{base32(number, 10)}-{_LETTERS[role]}"
        ours = self._keyed.copy()
        ours.update(stem.encode())
        mine = ours.digest()
        ours.update(_content(terms))
        return f"{stem}-{_check(mine, ours.digest())}"

    def read(self, link_id: str) -> LinkId | None:
        """What an id says if this journal minted it, in whichever epoch; None for everybody else's."""
        form = _FORM.fullmatch(link_id)
        if form is None or form[2] != self.deployment:
            return None
        ours = self._keyed.copy()
        ours.update(form[1].encode())
        if form[6][:3] != _check(ours.digest(), b"\0\0\0\0")[:3]:
            return None
        epoch, number = _number(form[3]), _number(form[4])
        if form[7]:
            return LinkId(self.deployment, epoch, number, _CHILDREN[form[7]], link_id[:-3])
        return LinkId(self.deployment, epoch, number, _ROLES[form[5]])

    def matches(self, link_id: str, terms: OrderTerms) -> bool:
        """Whether an id of ours was minted for these terms; an order that was amended has others."""
        form = _FORM.fullmatch(link_id)
        if form is None or form[7]:
            return False
        ours = self._keyed.copy()
        ours.update(form[1].encode())
        mine = ours.digest()
        ours.update(_content(terms))
        return form[6] == _check(mine, ours.digest())


def _content(terms: OrderTerms) -> bytes:
    """What every venue tells of an order; equal amounts are equal however they are spelled."""
    limit, trigger = terms.limit_price, terms.trigger_price
    return (
        f"{terms.symbol} {terms.side} {terms.type} {terms.quantity.normalize()}"
        f" {limit and limit.normalize()} {trigger and trigger.normalize()}"
    ).encode()


def _check(mine: bytes, content: bytes) -> str:
    """Fifteen bits of one digest and ten of the other."""
    ours = mine[0] << 7 | mine[1] >> 1
    return _ALPHABET[ours >> 10] + _PAIRS[ours & 1023] + _PAIRS[content[0] << 2 | content[1] >> 6]


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number << 5 | _VALUES[digit]
    return number
