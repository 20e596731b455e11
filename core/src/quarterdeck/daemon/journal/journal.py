"""Owns the journal: entries go in at one end, in order, and are durable before anybody hears of them.

journal = Journal.open("sqlite:///var/quarterdeck/journal.db", account="main")
await journal.append([Entry(journal.head + 1, time, "OrderPrepared", body)])
journal.read(after=0, limit=100)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.journal.chain import Head, follows, seal
from quarterdeck.daemon.journal.database import ConnectionLost, Database, cause
from quarterdeck.daemon.journal.opening import open_database
from quarterdeck.daemon.journal.schema import event, meta, snapshot
from quarterdeck.daemon.journal.verification import ENTRIES, Finding, base, is_sealed, stored, walk
from quarterdeck.daemon.journal.writer import Entry, JournalBroken, Trouble, Turns, Writer
from quarterdeck.domain.errors import ConfigError

__all__ = ["Entry", "Journal", "JournalBroken", "JournalDamaged", "Snapshot"]

#: Snapshots kept: the newest, and one to fall back on.
SNAPSHOTS_KEPT = 2


class JournalDamaged(Exception):
    """What is in the database can't have been written like this: an entry is missing, or not what was written."""


class Snapshot(NamedTuple):
    """A state in bytes, as it was after the entry `sequence`; `format` says which code can read it."""

    sequence: int
    format: str
    body: bytes


class Journal:
    """One account's journal, open for writing by this process alone.

    Entries are durable when `append` ends. Reading is for any thread, sees only what is durable, and never holds up the
    writer. After `JournalBroken` only `close` makes sense.
    """

    def __init__(
        self,
        database: Database,
        account: str,
        *,
        sync: bool = True,
        patience: float = 60.0,
        turns: Turns | None = None,
    ) -> None:
        """Over an open database. `turns` has the writing done without a thread of its own, see `Writer`."""
        self._database = database
        try:
            head = self._look(database, account)
        except SQLAlchemyError as error:
            raise JournalDamaged(f"{database.name}: can't be read: {cause(error)}") from error
        self._writer = Writer(database, account, head, synced=sync, patience=patience, turns=turns)

    def _look(self, database: Database, account: str) -> Head:
        with database.reading() as connection:
            self.journal_id: UUID = connection.execute(select(meta.c.journal_id)).scalar_one()
            """Names this journal among all: positions of one mean nothing in another."""
            self._check_owner(connection, account)
        try:
            database.take(time.time_ns())  # whoever wrote before can't any more, so what is read now is the end
        except (SQLAlchemyError, ConnectionLost) as error:
            raise ConfigError(f"cannot open the journal {database.name}: {cause(error)}") from error
        with database.reading() as connection:
            last = connection.scalar(select(func.max(event.c.sequence))) or 0
            head = stored(connection, self.journal_id, last)
            first = connection.scalar(select(func.min(event.c.sequence))) or head.sequence + 1
            self.oldest: int = max(first, base(connection, self.journal_id).sequence + 1)
            """The first entry that is kept; the one after the head if none is."""
        return head

    @classmethod
    def open(cls, url: str, account: str, *, sync: bool = True, patience: float = 60.0, reserve: int = 0) -> Self:
        """Open or create the journal at a database URL such as `sqlite:///var/journal.db` or `postgresql://host/name`.

        With `sync=False` the disk is not waited for: a crash of this process still loses nothing, but a power failure
        can lose the newest entries (never one from the middle). For replays and demonstrations. A server that is away
        is waited for, `patience` seconds at most; a journal in a file keeps `reserve` bytes of its disk for when that
        is full, see `has_room`.

        Raises:
            InUse: another process has the journal open.
            ConfigError: the URL is not understood, its directory is missing, it can't be reached, or it belongs to
                another account, to a newer Quarterdeck or to something else.
            JournalDamaged: not even its beginning and its end can be read.
        """
        database = open_database(url, reserve)
        try:
            return cls(database, account, sync=sync, patience=patience)
        except BaseException:
            database.close()
            raise

    def _check_owner(self, connection: Connection, account: str) -> None:
        """Refuse another account's journal. A first entry that is not what was written does not say whose it is."""
        start = base(connection, self.journal_id)
        first = connection.execute(ENTRIES, {"after": start.sequence, "limit": 1}).first()
        if first is not None and first.account != account and follows(start.hash, first):
            name = self._database.name
            raise ConfigError(f"the journal {name} belongs to the account {first.account!r}, not to {account!r}")

    @property
    def head(self) -> int:
        """The last durable sequence; 0 when the journal is empty."""
        return self._writer.head.sequence

    @property
    def name(self) -> str:
        """The URL without a password."""
        return self._database.name

    @property
    def epoch(self) -> int:
        """The number of this leadership: one more than that of whoever had the journal open before."""
        return self._database.epoch

    def forget(self, until: int) -> None:
        """Hand out nothing up to a sequence any more: it is being compacted."""
        self.oldest = max(self.oldest, until + 1)

    @property
    def predecessor_may_live(self) -> bool:
        """Whether the process that had the journal open before has neither closed it nor is known to have ended."""
        return self._database.predecessor_may_live

    def on_trouble(self, hear: Trouble) -> None:
        """Have it told, on the writer's thread, when the database is away (and why) and when it is back (None)."""
        self._writer.on_trouble = hear

    def renew(self, now: int) -> None:
        """Prove that the journal is ours alone, and say so in it, with the time in nanoseconds. Blocks; any thread.

        Raises:
            ConnectionLost: the database is away.
            Fenced: another process has taken the journal over.
        """
        self._database.renew(now)

    @property
    def chain_head(self) -> Head:
        """The last durable sequence, and the hash that stands for every entry up to it."""
        return self._writer.head

    @property
    def files(self) -> Sequence[Path]:
        """The files it is made of, its own first, then its write-ahead log; none if it is on another machine."""
        return self._database.files

    def append(self, entries: Sequence[Entry]) -> asyncio.Future[None]:
        """Write entries that continue the journal; the future of the running event loop is done when they are durable.

        What is appended while a commit is running goes into the next one, together, and the event loop is called once
        per commit. Canceling the future does not take the entries back.

        Raises:
            ValueError: their sequences do not continue what was appended before, or the journal is closed.
            JournalBroken: an earlier write failed. The future raises it too, if this write fails.
        """
        done = asyncio.get_running_loop().create_future()
        self._writer.append(entries, done)
        return done

    def append_threadsafe(self, entries: Sequence[Entry]) -> Future[None]:
        """`append`, for a thread without an event loop."""
        done: Future[None] = Future()
        self._writer.append(entries, done)
        return done

    def read(self, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries after a sequence, in order. Blocks: not for the event loop."""
        query = select(event.c.sequence, event.c.time, event.c.type, event.c.body).order_by(event.c.sequence)
        with self.reading() as connection:
            rows = connection.execute(query.where(event.c.sequence > after).limit(limit))
            return [Entry._make(row) for row in rows]

    def read_one(self, sequence: int) -> Entry | None:
        """The entry with this sequence. Blocks: not for the event loop."""
        found = self.read(sequence - 1, 1)
        return found[0] if found and found[0].sequence == sequence else None

    def iterate(self, after: int) -> Iterator[Entry]:
        """Every entry after a sequence, page by page, in short transactions, each held against the chain.

        Raises:
            JournalDamaged: an entry is missing, or not what was written.
        """
        with self.reading() as connection:
            start = stored(connection, self.journal_id, after)
        for row in walk(self.reading, start):
            if isinstance(row, Finding):
                raise JournalDamaged(f"{self._database.name}: {row}")
            sequence, time, _, name, body, _ = row
            yield Entry(sequence, time, name, body)

    def save_snapshot(self, new: Snapshot) -> Future[None]:
        """Keep a snapshot, and drop the oldest. It may be lost by a power failure: entries are what is durable."""

        def save(connection: Connection) -> None:
            failpoint("snapshot.write")
            connection.execute(delete(snapshot).where(snapshot.c.sequence == new.sequence))
            head = stored(connection, self.journal_id, new.sequence)
            digest = seal(head.hash, new.format, new.body)
            connection.execute(insert(snapshot), new._asdict() | {"digest": digest})
            newest = select(snapshot.c.sequence).order_by(snapshot.c.sequence.desc()).limit(SNAPSHOTS_KEPT)
            connection.execute(delete(snapshot).where(snapshot.c.sequence.not_in(newest)))
            failpoint("snapshot.written")

        return self.write(new.sequence, save)

    def kept(self, snapshot_format: str) -> int:
        """Up to where the newest snapshot of a format reaches; 0 if there is none. Blocks."""
        query = select(func.max(snapshot.c.sequence)).where(snapshot.c.format == snapshot_format)
        with self.reading() as connection:
            return connection.scalar(query) or 0

    def latest_snapshot(self, snapshot_format: str, at_most: int) -> Snapshot | None:
        """The newest snapshot of a format that is not beyond a sequence.

        Raises:
            JournalDamaged: it is not what was written.
        """
        query = select(snapshot).order_by(snapshot.c.sequence.desc())
        query = query.where(snapshot.c.format == snapshot_format, snapshot.c.sequence <= at_most)
        with self.reading() as connection:
            row = connection.execute(query.limit(1)).first()
            if row is None:
                return None
            if not is_sealed(row, stored(connection, self.journal_id, row.sequence).hash):
                raise JournalDamaged(f"{self._database.name}: snapshot {row.sequence}: is not what was written")
        return Snapshot(row.sequence, row.format, row.body)

    def write(self, sequence: int, action: Callable[[Connection], object]) -> Future[None]:
        """Run a transaction of what follows from the entries up to `sequence`, on the writer's thread, after them.

        Entries overtake it, it is not waited for by the disk, and if it fails the journal is broken: so its action is
        short and certain, and what it writes can be derived again.

        Raises:
            ValueError: that entry was not appended yet, or the journal is closed.
            JournalBroken: an earlier write failed.
        """
        return self._writer.run(sequence, action)

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees one moment of the database and can't write. Blocks: not for the event loop."""
        return self._database.reading()

    def has_room(self) -> bool:
        """Whether the disk has space to go on for long, as far as we can tell. Blocks a little."""
        return self._database.has_room()

    def on_short(self, tell: Callable[[], object]) -> None:
        """Have `tell` called, on the writer's thread, when a write found the disk full and used the reserve."""
        self._database.on_short = tell

    def close(self) -> None:
        """Write what was appended, and let another process in. Blocks."""
        self._writer.close()
        self._database.release()
        self._database.close()
