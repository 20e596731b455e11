"""Owns the simulated disk: a database in memory that outlives the processes that write to it, and fails.

What was committed stays when a process ends; a transaction that was under way is gone. With a loss of power, what was
not synced is gone too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from random import Random
from uuid import UUID

from sqlalchemy import Connection, Engine, StaticPool, create_engine, update
from sqlalchemy.exc import OperationalError

from quarterdeck.daemon.journal import Entry
from quarterdeck.daemon.journal.database import Database, Readers, block
from quarterdeck.daemon.journal.opening import make_current
from quarterdeck.daemon.journal.schema import meta
from quarterdeck.simulation.faults import Faults
from quarterdeck.simulation.loop import SECOND, Process, VirtualLoop

#: What SQLite says when there is no space.
FULL = "database or disk is full"


class Disk:
    """One disk with one journal on it. There is one at a time in this process, since connections are dear."""

    def __init__(self, loop: VirtualLoop, faults: Faults, journal_id: UUID) -> None:
        self.loop = loop
        self.faults = faults
        self.engine, self._raw = _connection()
        self._raw.deserialize(_empty_journal())
        self.is_full = False
        """There is no space but what is in reserve."""
        self.has_reserve = True
        self.spare = 0
        """Writes there is space for when the reserve was given up and the disk is full."""
        self._before_unsynced: bytes | None = None
        self._wants_undo = "power-loss" in faults.rates
        with self.engine.connect() as connection:
            connection.execute(update(meta).values(journal_id=journal_id))

    @property
    def head(self) -> int:
        """The last sequence on the disk."""
        (head,) = self._raw.execute("SELECT max(sequence) FROM event").fetchone()
        return int(head or 0)

    def lose_power(self) -> None:
        """Forget what was not synced."""
        if self._before_unsynced is not None:
            self._raw.deserialize(self._before_unsynced)
            self._before_unsynced = None

    def run(self, statement: str) -> object:
        """Past SQLAlchemy, whose own work around a small statement is more than SQLite's; returns the first row."""
        return self._raw.execute(statement).fetchone()

    def copy(self) -> bytes:
        """Everything on it."""
        return self._raw.serialize()

    def entries(self) -> list[Entry]:
        """What the journal holds, whatever it is worth."""
        rows = self._raw.execute("SELECT sequence, time, type, body FROM event ORDER BY sequence")
        return [Entry._make(row) for row in rows]

    def type_of(self, sequence: int) -> str:
        """The name of an event; empty if it is not there."""
        found = self._raw.execute("SELECT type FROM event WHERE sequence = ?", (sequence,)).fetchone()
        return str(found[0]) if found else ""

    def damage(self, dice: Random, kind: str) -> None:
        """Change what was written: flip a bit of an entry, or lose one."""
        sequence = dice.randint(2, self.head - 1)
        if kind == "lose":
            self._raw.execute("DELETE FROM event WHERE sequence = ?", (sequence,))
            return
        (body,) = self._raw.execute("SELECT body FROM event WHERE sequence = ?", (sequence,)).fetchone()
        changed = bytearray(body)
        changed[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
        self._raw.execute("UPDATE event SET body = ? WHERE sequence = ?", (bytes(changed), sequence))

    def restore(self, copy: bytes) -> None:
        """Be as it was when the copy was made."""
        self._raw.deserialize(copy)
        self._before_unsynced = None

    def will_write(self, *, synced: bool) -> None:
        """A transaction is about to begin."""
        if self._raw.in_transaction:  # of a process that was killed within it
            self._raw.rollback()
        if not synced and self._wants_undo and self._before_unsynced is None:
            self._before_unsynced = self._raw.serialize()

    def has_synced(self) -> None:
        """All that was written before is safe now."""
        self._before_unsynced = None


class SimulatedDatabase(Database):
    """The journal's database as one process has it open."""

    def __init__(self, disk: Disk, process: Process) -> None:
        super().__init__(disk.engine, Readers("simulated", disk.engine, "BEGIN"))
        self._disk = disk
        self._process = process

    @contextmanager
    def transaction(self, *, synced: bool) -> Iterator[Connection]:
        """All or nothing, unless the disk fails in between: then nobody here knows which."""
        self._process.check()
        disk, run = self._disk, self._disk.run
        disk.will_write(synced=synced)
        fails_before = synced and disk.faults.strikes("fail-commit")
        fails_after = synced and disk.faults.strikes("fail-after-commit")
        run("BEGIN IMMEDIATE")
        try:
            self._check_fence("SELECT holder FROM lease")
            yield self._writer
            self._process.check()
            if fails_before:
                raise _failure("disk I/O error")
            if disk.is_full:
                if disk.has_reserve or not disk.spare:
                    raise _failure(FULL)
                disk.spare -= 1
            run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                run("ROLLBACK")
            raise
        if synced:
            disk.has_synced()
        if fails_after:
            raise _failure("disk I/O error")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One moment of the database: nothing else runs meanwhile."""
        self._process.check()
        yield self._writer

    def make_room(self, failure: Exception) -> bool:
        """Give up the reserve, if the disk is full."""
        disk = self._disk
        if FULL not in str(failure) or not disk.has_reserve:
            return False
        disk.has_reserve, disk.spare = False, disk.faults.dice("disk-full").randint(100, 400)
        self.on_short()
        return True

    def has_room(self) -> bool:
        """Whether the reserve is kept, or can be again."""
        self._disk.has_reserve |= not self._disk.is_full
        return self._disk.has_reserve

    def reconnect(self) -> None:
        """There is no connection to lose."""

    def _check_fence(self, query: str) -> None:
        if self._holder and self._disk.run(query) != (self._holder,):
            raise self._fenced()

    def lead(self, now: int, *, alone: bool) -> None:
        """Take the journal over. Unless `alone`, as on a server, the process before may still live."""
        self.take(now)
        self.predecessor_may_live = not alone and self.epoch > 1

    def renew(self, now: int) -> None:
        """Whether another process has taken the journal over shows in it."""
        self._process.check()
        self._check_fence("SELECT holder FROM lease")

    def keep_before(self, version: int) -> None:
        """The schema is always of today."""

    def close(self) -> None:
        """Nothing to let go of: the disk stays."""

    def turns(self, write: Callable[[], None]) -> None:
        """Have the journal's writer write after the time a sync takes."""
        faults, loop = self._disk.faults, self._disk.loop
        delay = SECOND // 1000
        if faults.strikes("slow-commit"):
            delay = round(faults.dice("slow-commit").random() ** 2 * 5 * SECOND)
        loop.call_later(delay / SECOND, write)


def _failure(what: str) -> OperationalError:
    return OperationalError("COMMIT", None, sqlite3.OperationalError(what))


@cache
def _connection() -> tuple[Engine, sqlite3.Connection]:
    raw = sqlite3.connect(":memory:", check_same_thread=False)
    return create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, isolation_level="AUTOCOMMIT"), raw


@cache
def _empty_journal() -> bytes:
    """The bytes of a journal without entries, made once: the schema is the same for every run."""
    engine, raw = _connection()
    make_current(_Plain(engine, Readers("empty", engine, "BEGIN")))
    return raw.serialize()


class _Plain(Database):
    """The database without faults."""

    @contextmanager
    def transaction(self, *, synced: bool) -> Iterator[Connection]:
        with block(self._writer, "BEGIN IMMEDIATE"):
            yield self._writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        yield self._writer

    def reconnect(self) -> None:
        raise NotImplementedError("nothing is lost in memory")

    def renew(self, now: int) -> None:
        raise NotImplementedError("nobody leads an empty journal")

    def keep_before(self, version: int) -> None:
        raise NotImplementedError("an empty database is not upgraded")
