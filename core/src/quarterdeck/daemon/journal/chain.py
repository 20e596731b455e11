"""Owns the chain through the journal: an entry's hash covers the entry and the hash before it.

So one hash stands for everything up to its place, and nothing before it can be changed, moved or taken out unseen.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception, whatever `struct` calls it
from typing import Any, NamedTuple
from uuid import UUID

HASH_SIZE = 32

_FRONT = Struct(">32sqq").pack
_LENGTH = Struct(">H").pack


class Head(NamedTuple):
    """A place in the chain: the last entry so far, and the hash that stands for all up to it."""

    sequence: int
    hash: bytes


def genesis(journal_id: UUID) -> Head:
    """Where a journal's chain begins, before its first entry: another place for every journal."""
    return Head(0, sha256(b"quarterdeck journal 1\n" + journal_id.bytes).digest())


def link(previous: bytes, sequence: int, time: int, account: str, name: str, body: bytes) -> bytes:
    """The hash of an entry that follows the one with hash `previous`.

    SHA-256 of, one after the other: the previous hash (32 bytes), sequence and time (8 bytes each), the account and the
    event's name (UTF-8, each after its length in 2 bytes), and the body. Numbers are signed and big-endian; lengths are
    unsigned.
    """
    return sha256(_FRONT(previous, sequence, time) + _label(account, name) + body).digest()


def follows(previous: bytes, row: Any) -> bool:  # noqa: ANN401 - whatever a damaged database gives
    """Whether a row `(sequence, time, account, type, body, hash)` is what was written after `previous`.

    Its values may be of any type, as SQLite keeps no column to one.
    """
    sequence, time, account, name, body, found = row
    try:
        return len(previous) == HASH_SIZE and bool(link(previous, sequence, time, account, name, body) == found)
    except (TypeError, ValueError, AttributeError, OverflowError, StructError):
        return False


@lru_cache(maxsize=1024)
def _label(account: str, name: str) -> bytes:
    """The account and the name, each after its length. There are few, and making it takes as long as hashing."""
    return b"".join(_LENGTH(len(text)) + text for text in (account.encode(), name.encode()))


def seal(head: bytes, name: str, body: bytes) -> bytes:
    """The digest of something derived from all up to a head, such as a snapshot of the state in some format."""
    return sha256(b"".join((head, _LENGTH(len(name)), name.encode(), body))).digest()
