"""Owns looking at a journal without having it: to verify, show or export it, whether a daemon writes it or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import URL, Connection, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from quarterdeck.daemon.journal.chain import Head
from quarterdeck.daemon.journal.database import Readers, cause
from quarterdeck.daemon.journal.opening import open_readers
from quarterdeck.daemon.journal.schema import meta
from quarterdeck.daemon.journal.verification import Finding, Verifier, malformed, newest, stored, walk
from quarterdeck.domain.errors import ConfigError


class Chained(NamedTuple):
    """An entry as it is stored, with everything its hash covers, and the hash."""

    sequence: int
    time: int
    account: str
    type: str
    body: bytes
    hash: bytes


class Archive:
    """A journal that can only be looked at. Nothing of it is changed, not even by SQLite tidying up after a crash.

    For that SQLite may leave two files beside it, `-shm` and an empty `-wal`, which the next daemon takes away.
    """

    def __init__(self, readers: Readers, url: URL) -> None:
        self.name = url.render_as_string()
        """Its URL without a password."""
        self.url = url.render_as_string(hide_password=False)
        """Its URL, for whoever wants to have it."""
        self._readers = readers
        with readers.reading() as connection:
            self.journal_id: UUID = connection.execute(select(meta.c.journal_id)).scalar_one()

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the journal at a URL, or in a file.

        Raises:
            ConfigError: there is none, or none of this schema; or not even that can be read.
        """
        parsed = _parsed(url)
        readers = open_readers(_only_to_read(parsed).render_as_string(hide_password=False))
        try:
            return cls(readers, parsed)
        except SQLAlchemyError as error:
            readers.close()
            raise ConfigError(f"cannot read the journal {parsed.render_as_string()}: {cause(error)}") from error

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees one moment of the database and can't write."""
        return self._readers.reading()

    def verifier(self, progress: Callable[[int], object] = lambda _: None) -> Verifier:
        """What checks it, and has already looked for what the database itself finds wrong."""
        verifier = Verifier(self.reading, self.journal_id, progress)
        verifier.report.damaged += malformed(self.reading)
        return verifier

    def head(self) -> int:
        """The last sequence."""
        with self.reading() as connection:
            return newest(connection)

    def entries(self, after: int, limit: int | None = None) -> Iterator[Chained | Finding]:
        """Entries after a sequence, each held against the chain; in place of those that do not fit, what is wrong."""
        with self.reading() as connection:
            start: Head = stored(connection, self.journal_id, after)
        for count, row in enumerate(walk(self.reading, start)):
            if count == limit:
                return
            yield row if isinstance(row, Finding) else Chained._make(row)

    def close(self) -> None:
        """Close every connection."""
        self._readers.close()


def _parsed(url: str) -> URL:
    if "://" not in url:
        return URL.create("sqlite", database=url)
    try:
        return make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"{url!r} is neither a file nor a URL such as sqlite:///path/to/journal.db") from error


def _only_to_read(url: URL) -> URL:
    """The URL by which SQLite neither makes a file nor moves its log into it; a server is told by the session."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    path = Path(url.database).absolute()
    if not path.is_file():
        raise ConfigError(f"there is no journal at {path}")
    has_log = path.with_name(f"{path.name}-wal").exists()
    # In a folder that can't be written SQLite has no place for the memory it shares; then nobody else is there either.
    alone = "" if has_log or os.access(path.parent, os.W_OK) else "&immutable=1"
    return make_url(f"sqlite:///file:{quote(str(path))}?mode=ro{alone}&uri=true")
