"""Owns signing the journal's head now and then, and telling of it: in the journal, an anchor file and the log."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import structlog
from sqlalchemy import Connection, delete, func, insert, make_url, select

from quarterdeck.daemon.config import JournalSection
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.journal.heads import Anchor, SignedHead
from quarterdeck.daemon.journal.schema import signed_head, signing_key
from quarterdeck.daemon.journal.signing import SigningKey
from quarterdeck.domain.errors import ConfigError

#: Nanoseconds between two signatures while the journal grows.
EVERY = 60 * 1_000_000_000

#: How long a stop waits for an anchor file that does not answer.
PATIENCE = 5.0

log = structlog.get_logger(__name__)


def key_path(section: JournalSection) -> Path:
    """Where the signing key is: where the configuration says, else beside a journal that is a file."""
    if section.signing_key:
        return Path(section.signing_key)
    url = make_url(section.url)
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(f"{url.database}.key")
    return Path(".quarterdeck/signing.key")


class Notary:
    """Signs what one daemon writes. `now` is the wall clock, in nanoseconds."""

    def __init__(
        self, journal: Journal, key: SigningKey, anchor_file: Path | None, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._journal = journal
        self._key = key
        self._anchor_file = anchor_file
        self._now = now
        self._last_time = 0  # so that a start is signed at once
        with journal.reading() as connection:
            self._last_sequence = connection.scalar(select(func.max(signed_head.c.sequence))) or 0
            known = connection.scalars(select(signing_key.c.key_id)).all()
        if key.public.key_id not in known:
            self._announce(is_first=not known)
        self._telling: threading.Thread | None = None

    @classmethod
    def open(cls, section: JournalSection, journal: Journal) -> Self:
        """With the key of the configuration, which is made if it is missing.

        Raises:
            ConfigError: the key can't be used.
        """
        path = key_path(section)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"journal.signing_key: the folder of {path} can't be made: {error.strerror}") from error
        anchor_file = Path(section.anchor_file) if section.anchor_file else None
        return cls(journal, SigningKey.open(path), anchor_file)

    def keep(self) -> None:
        """Sign the head if it has moved and the last signature is old enough."""
        now = self._now()
        if not 0 <= now - self._last_time < EVERY:  # a clock that was set back delays no signature
            self.sign()

    def sign(self) -> None:
        """Sign the head, if it has moved."""
        head = self._journal.chain_head
        self._last_time = self._now()
        if head.sequence <= self._last_sequence:
            return
        self._last_sequence = head.sequence
        signed = SignedHead.make(self._journal.journal_id, head, self._last_time, self._key)

        def record(connection: Connection) -> None:
            failpoint("head.write")
            # A write whose answer was lost is done again.
            connection.execute(delete(signed_head).where(signed_head.c.sequence == signed.sequence))
            connection.execute(insert(signed_head), signed._asdict())

        self._journal.write(head.sequence, record)
        line = Anchor(self._journal.journal_id, self._key.public, signed).line()
        log.info("head_signed", **line)
        if self._anchor_file is not None:
            self._tell(self._anchor_file, line)

    def close(self) -> None:
        """Wait for the anchor file, but not for ever. Blocks."""
        if self._telling is not None:
            self._telling.join(PATIENCE)

    def _announce(self, *, is_first: bool) -> None:
        """Say that from here on this key signs. A key nobody announced would be no evidence."""
        row = {
            "key_id": self._key.public.key_id,
            "public_key": self._key.public.raw,
            "sequence": self._journal.head,
            "time": self._now(),
        }

        def record(connection: Connection) -> None:
            connection.execute(delete(signing_key).where(signing_key.c.key_id == row["key_id"]))
            connection.execute(insert(signing_key), row)

        self._journal.write(self._journal.head, record)
        tell = log.info if is_first else log.warning
        tell("signing_key", key=self._key.public.raw.hex(), replaces_another=not is_first, sequence=self._journal.head)

    def _tell(self, path: Path, line: dict[str, str | int]) -> None:
        """Append to the anchor file, beside everything: a volume that is slow or gone holds nothing up."""
        if self._telling is not None and self._telling.is_alive():
            log.error("anchor_file_stuck", path=str(path))
            return
        self._telling = threading.Thread(target=_append, args=(path, line), name="anchor", daemon=True)
        self._telling.start()


def _append(path: Path, line: dict[str, str | int]) -> None:
    try:
        with path.open("a+b") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line that a crash cut off
                    file.write(b"\n")
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        log.error("anchor_file_failed", path=str(path), error=str(error))
