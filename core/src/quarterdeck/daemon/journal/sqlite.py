"""Owns the journal in a SQLite file: one process at a time, readers that do not wait for the writer."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy import event as listeners
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from quarterdeck.daemon.journal.bulk import ROWS, Bulk
from quarterdeck.daemon.journal.database import READERS, Database, Fenced, Readers
from quarterdeck.daemon.journal.lock import InstanceLock
from quarterdeck.daemon.journal.reserve import Reserve
from quarterdeck.domain.errors import ConfigError

#: How long SQLite waits for another connection's lock.
BUSY_TIMEOUT_MS = 2_000

#: How long a write waits for one. Only a foreign tool that writes can make it wait, and nothing is decided meanwhile; a
#: daemon that gave up sooner would have to begin again behind the same lock.
TURN_TIMEOUT_MS = 60_000


class SqliteDatabase(Database):
    """A file in WAL mode, so that readers and the writer do not wait for each other; locked for one process.

    So many bytes of disk are kept in `reserve`.
    """

    def __init__(self, url: URL, reserve: int = 0) -> None:
        self.path = _file(url)
        self._lock = sqlite_lock(url)
        self._is_synced = True
        try:
            self.reserve = Reserve(self.path.with_name(f"{self.path.name}.reserve"), reserve)
            super().__init__(_engine(url, _set_up_writer), sqlite_readers(url))
            driver = self._writer.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection), "the URL says so"
            self._driver = driver
        except BaseException:
            self._lock.release()
            raise

    @contextmanager
    def transaction(self, *, synced: bool) -> Iterator[Connection]:
        """`BEGIN IMMEDIATE`. An unsynced commit is in the log file, in order; the next synced one syncs that file."""
        self._sync(synced)
        self._run("BEGIN IMMEDIATE")
        try:
            if self._holder and self._run("SELECT holder FROM lease").fetchone() != (self._holder,):
                raise self._fenced()
            yield self._writer
            self._run("COMMIT")
        except BaseException:
            with suppress(DBAPIError):  # some failures have ended the transaction already
                self._run("ROLLBACK")
            raise

    def insert(self, bulk: Bulk, rows: Sequence[Sequence[Any]], *, synced: bool) -> None:
        """In one statement if they are few, which is a transaction of its own: none is made if the fence has fallen.

        The interpreter is handed over once and not four times, and a busy event loop does not give it back at once.
        """
        if not self._holder or len(rows) > ROWS:
            super().insert(bulk, rows, synced=synced)
            return
        self._sync(synced)
        statement = bulk.rowwise(len(rows), " WHERE EXISTS (SELECT 1 FROM lease WHERE holder = ?)")
        if self._run(statement, (*bulk.cells(rows), self._holder)).rowcount != len(rows):
            raise self._fenced()

    def _sync(self, synced: bool) -> None:
        """Have the next transactions synced, or not."""
        if synced is not self._is_synced:
            self._run(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._is_synced = synced

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Past SQLAlchemy, whose own work around each statement of a small commit is more than SQLite's."""
        try:
            return self._driver.execute(statement, values)
        except sqlite3.Error as error:
            raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error

    def take(self, now: int) -> None:
        """As ever; and the lock is proof that the process before has ended or let go."""
        super().take(now)
        self.predecessor_may_live = False

    def reconnect(self) -> None:
        """A file is never lost."""

    def renew(self, now: int) -> None:
        """A look at the lock alone: it is this process's until it ends, unless somebody took its file away."""
        if not self._lock.is_held:
            raise Fenced(f"the lock {self._lock.path} is not the file any more that this process has locked")

    @property
    def files(self) -> Sequence[Path]:
        """The database, its log, and what goes with them."""
        return tuple(self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm", ".lock"))

    def keep_before(self, version: int) -> None:
        """A copy of the file beside it, whole and on the disk before it gets its name."""
        kept = self.path.with_name(f"{self.path.name}.before-{version:04}")
        copy_file(self.path, kept)

    def make_room(self, failure: Exception) -> bool:
        """Give up the reserve, if the disk is full. SQLite says so before the commit is in the log, never after."""
        error = failure.orig if isinstance(failure, DBAPIError) else None
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL or not self.reserve.release():
            return False
        self.on_short()
        return True

    def has_room(self) -> bool:
        """Whether the reserve is kept, or can be again."""
        return self.reserve.hold()

    def close(self) -> None:
        """Close every connection, with which the write-ahead log is moved into the file, and let another process in."""
        with suppress(SQLAlchemyError):
            self._writer.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        super().close()
        self._lock.release()


def sqlite_lock(url: URL) -> InstanceLock:
    """The lock of a file."""
    path = _file(url)
    return InstanceLock(path.with_name(f"{path.name}.lock"))


def sqlite_readers(url: URL) -> Readers:
    """Readers of a file, whoever writes it. A read transaction begins with its first statement."""
    return Readers(unquote(str(url)), _engine(url, _set_up_reader), "BEGIN")


def copy_file(source: Path, target: Path) -> None:
    """Copy a database that may be in use into one file: as it is at one moment, on the disk when this ends."""
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(unfinished)) as writing:
        reading.backup(writing)
    for path in (unfinished, target.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path is unfinished:
            unfinished.replace(target)


def _file(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or "uri" in url.query:
        raise ConfigError(f"the journal's URL '{unquote(str(url))}' names no file: write sqlite:///path/journal.db")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise ConfigError(f"the journal's URL '{unquote(str(url))}': there is no directory {path.parent}")
    return path


def _engine(url: URL, set_up: Callable[[sqlite3.Connection], None]) -> Engine:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=READERS, max_overflow=0)

    @listeners.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        set_up(connection)

    return engine


def _set_up_writer(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"its file system allows no WAL mode, only {mode}")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA busy_timeout={TURN_TIMEOUT_MS}")


def _set_up_reader(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only=ON")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
