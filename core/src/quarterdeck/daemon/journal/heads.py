"""Owns signed heads: what exactly is signed, how it is kept in the journal, and how a line of an anchor file says it.

An anchor is a signed head held elsewhere. Only that proves that the newest entries were not cut off, or the whole
journal put back to an older copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception, whatever `struct` calls it
from typing import NamedTuple, Self
from uuid import UUID

from quarterdeck.daemon.journal.chain import Head
from quarterdeck.daemon.journal.signing import PublicKey, SigningKey
from quarterdeck.domain.errors import ConfigError

_NUMBERS = Struct(">qq").pack


class SignedHead(NamedTuple):
    """A head, when it was signed (nanoseconds since the epoch), by which key, and the signature."""

    sequence: int
    hash: bytes
    time: int
    key_id: str
    signature: bytes

    @classmethod
    def make(cls, journal_id: UUID, head: Head, time: int, key: SigningKey) -> Self:
        """Sign a head."""
        return cls(*head, time, key.public.key_id, key.sign(statement(journal_id, head, time)))

    @property
    def head(self) -> Head:
        """What was signed."""
        return Head(self.sequence, self.hash)

    def is_signed_by(self, key: PublicKey, journal_id: UUID) -> bool:
        """Whether the signature is this key's, for this journal."""
        try:
            return key.has_signed(statement(journal_id, self.head, self.time), self.signature)
        except (TypeError, StructError):  # a damaged database holds anything
            return False


def statement(journal_id: UUID, head: Head, time: int) -> bytes:
    """What is signed: a heading, the journal's id (16 bytes), sequence and time (8 each, big-endian), and the hash."""
    return b"".join((b"quarterdeck head 1\n", journal_id.bytes, _NUMBERS(head.sequence, time), head.hash))


class Anchor(NamedTuple):
    """A signed head as it is told elsewhere, with whatever is needed to check it."""

    journal_id: UUID
    key: PublicKey
    signed: SignedHead

    def line(self) -> dict[str, str | int]:
        """As the fields of a line of JSON."""
        return {
            "journal": str(self.journal_id),
            "sequence": self.signed.sequence,
            "hash": self.signed.hash.hex(),
            "time": self.signed.time,
            "key": self.key.raw.hex(),
            "signature": self.signed.signature.hex(),
        }


def anchors_in(path: Path) -> Iterator[Anchor]:
    """The signed heads in a file of JSON lines, which may be an anchor file or a log; other lines are passed over.

    Raises:
        ConfigError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                found = _parsed(line)
                if found is not None:
                    yield found
    except OSError as error:
        raise ConfigError(f"the anchor file {path} can't be read: {error.strerror}") from error


def _parsed(line: bytes) -> Anchor | None:
    try:
        told = json.loads(line)
        key = PublicKey(bytes.fromhex(told["key"]))
        signed = SignedHead(
            int(told["sequence"]),
            bytes.fromhex(told["hash"]),
            int(told["time"]),
            key.key_id,
            bytes.fromhex(told["signature"]),
        )
        return Anchor(UUID(told["journal"]), key, signed)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
