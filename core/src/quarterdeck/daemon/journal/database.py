"""Owns what the journal asks of a database: one connection that writes, many that read, what a transaction promises.

The rest of the package speaks SQLAlchemy Core. What differs between databases is in one class for each.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.daemon.journal.bulk import Bulk
from quarterdeck.daemon.journal.schema import lease
from quarterdeck.domain.errors import ConfigError

#: Readers at work at once; further ones wait for a connection.
READERS = 8


class ConnectionLost(Exception):
    """The database can't be reached, or refused for now. Whether the transaction under way was committed is unknown."""


class Fenced(Exception):
    """Another process has taken the journal over. Nothing may be written any more, and nothing sent."""


class InUse(ConfigError):
    """Another process is using the journal."""


class Readers:
    """A pool of connections that only read. For any thread."""

    def __init__(self, name: str, engine: Engine, begin: str) -> None:
        self.name = name
        """The URL without a password, for messages."""
        self._engine = engine
        self._begin = begin
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that can only read, and sees one moment of the database until the block ends."""
        with self._engine.connect() as connection:
            with block(connection, self._begin):
                yield connection
            if self._is_closed:
                connection.invalidate()  # the pool it would go back to is no more

    def close(self) -> None:
        """Close every connection, those that somebody is reading with as soon as that has ended."""
        self._is_closed = True
        self._engine.dispose()


class Database(ABC):
    """One connection that writes, which only one thread may use at a time, and a pool of connections that only read.

    The engines are in the driver's autocommit mode, so that a transaction begins when we say so and how we say.
    """

    def __init__(self, writing: Engine, readers: Readers) -> None:
        self.name = readers.name
        """The URL without a password, for messages."""
        self.dialect = writing.dialect
        self._writing = writing
        self._readers = readers
        self.on_short: Callable[[], object] = _unheard
        """Called when a write has used up the reserve, on the thread that writes."""
        self._writer = writing.connect()
        self.epoch = 0
        """The number of this leadership, counted up from the first; 0 before `take`."""
        self._holder = ""
        self.predecessor_may_live = False
        """Whether the leader before this one has neither released the journal nor is known to have ended."""

    def take(self, now: int) -> None:
        """Begin a leadership: from here on transactions of every older one fail. For whoever has the lock."""
        holder = f"process {os.getpid()} on {_host()}, {uuid.uuid4()}"
        with self.transaction(synced=True) as connection:
            before = connection.execute(select(lease.c.holder, lease.c.epoch)).first()
            epoch = 1 if before is None else before.epoch + 1
            connection.execute(delete(lease))
            connection.execute(insert(lease), {"id": 1, "holder": holder, "epoch": epoch, "renewed": now})
        self.epoch, self._holder = epoch, holder
        self.predecessor_may_live = before is not None and _may_live(before.holder)

    def release(self) -> None:
        """Say that this leadership is over, so that the next one need not wait for it to be."""
        with suppress(SQLAlchemyError, ConnectionLost, Fenced), self.transaction(synced=True) as connection:
            connection.execute(update(lease).values(holder=""))

    def _check_fence(self, query: str) -> None:
        """Fail if somebody else leads now. By the holder: in a copy put back from a backup numbers come again."""
        if self._holder and self._writer.exec_driver_sql(query).scalar() != self._holder:
            raise self._fenced()

    def _fenced(self) -> Fenced:
        return Fenced(f"another process has taken the journal {self.name} over")

    @abstractmethod
    def renew(self, now: int) -> None:
        """Prove that the journal is still ours alone, and say so in it.

        Raises:
            ConnectionLost: it can't be told just now.
            Fenced: it is not.
        """

    @abstractmethod
    def transaction(self, *, synced: bool) -> AbstractContextManager[Connection]:
        """A write transaction: all of it or nothing.

        With `synced` it is on the disk when the block has ended. Without, a power failure may take it back, but only
        together with everything written after it; a later synced transaction makes it durable too.

        Raises:
            ConnectionLost: at any point of the block; only where the database is another process.
            Fenced: another process has taken the journal over.
        """

    def insert(self, bulk: Bulk, rows: Sequence[Sequence[Any]], *, synced: bool) -> None:
        """A write transaction of this one insert, with the promises and the errors of `transaction`."""
        with self.transaction(synced=synced) as connection:
            bulk(connection, rows)

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that can only read, and sees one moment of the database until the block ends. For any thread."""
        return self._readers.reading()

    @abstractmethod
    def reconnect(self) -> None:
        """Go on after `ConnectionLost`: when this ends, what was under way has been committed, or never will be.

        Raises:
            ConnectionLost: not yet.
        """

    @property
    def files(self) -> Sequence[Path]:
        """The files it is made of, its own first, then its write-ahead log; none if it is somewhere else."""
        return ()

    @abstractmethod
    def keep_before(self, version: int) -> None:
        """Keep a copy of everything as it is, before the schema is changed to a version."""

    def make_room(self, failure: Exception) -> bool:
        """Whether a transaction failed for want of space, nothing of it was written, and there is some space now."""
        return False

    def has_room(self) -> bool:
        """Whether there is space to go on for long; keeps a reserve for when there is not. Blocks a little."""
        return True

    def close(self) -> None:
        """Close every connection."""
        with suppress(SQLAlchemyError):  # it may be lost already
            self._writer.close()
        self._writing.dispose()
        self._readers.close()


@contextmanager
def block(connection: Connection, begin: str) -> Iterator[Connection]:
    """A transaction begun with these words: committed at the end of the block, rolled back if that fails."""
    connection.exec_driver_sql(begin)
    try:
        yield connection
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(SQLAlchemyError):  # some failures have ended the transaction already
            connection.exec_driver_sql("ROLLBACK")
        raise


def _host() -> str:
    """This machine since it was started, and which processes we can see of it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _may_live(holder: str) -> bool:
    """Whether the process that called itself this may still run. Only of one beside us can we know that it does not."""
    found = re.fullmatch(r"process (\d+) on (.*), \S+", holder)
    if found is None or found[2] != _host():
        return bool(holder)
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return int(found[1]) != os.getpid()


def _unheard() -> None:
    """Nobody wants to know."""


def cause(error: Exception) -> str:
    """What the driver said, in one line, without SQLAlchemy's statement and link."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
