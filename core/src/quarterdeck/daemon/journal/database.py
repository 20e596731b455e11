"""Owns the connection to the database: which URLs are understood, how it is set up, and what a transaction promises.

The rest of the package speaks SQLAlchemy Core. What differs between databases is here, one class for each.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, insert, inspect, make_url, select
from sqlalchemy import event as listeners
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from quarterdeck.daemon.journal.lock import InstanceLock
from quarterdeck.daemon.journal.schema import SCHEMA_VERSION, meta, metadata
from quarterdeck.domain.errors import ConfigError

#: How long SQLite waits for another connection's lock. Only a foreign tool that writes can make us wait.
BUSY_TIMEOUT_MS = 2_000

#: Readers at work at once; further ones wait for a connection.
READERS = 8


class Database(ABC):
    """One connection that writes, which only one thread may use at a time, and a pool of connections that only read.

    The engines are in the driver's autocommit mode, so that a transaction begins when we say so and how we say.
    """

    def __init__(self, name: str, writing: Engine, readers: Engine) -> None:
        self.name = name
        """The URL without a password, for messages."""
        self._writing = writing
        self.dialect = writing.dialect
        self._readers = readers
        try:
            self._writer = writing.connect()
        except SQLAlchemyError as error:
            raise ConfigError(f"cannot open the journal {name}: {_cause(error)}") from error

    @abstractmethod
    def transaction(self, *, synced: bool) -> AbstractContextManager[Connection]:
        """A write transaction: all of it or nothing.

        With `synced` it is on the disk when the block has ended. Without, a power failure may take it back, but only
        together with everything written after it; a later synced transaction makes it durable too.
        """

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that can only read, and sees one moment of the database until the block ends. For any thread."""
        with self._readers.connect() as connection, _transaction(connection, "BEGIN"):
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()
        self._writing.dispose()
        self._readers.dispose()


class SqliteDatabase(Database):
    """A file in WAL mode, so that readers and the writer do not wait for each other; locked for one process."""

    def __init__(self, name: str, url: URL) -> None:
        path = _file(name, url)
        self._lock = InstanceLock(path.with_name(f"{path.name}.lock"))
        self._is_synced = True
        try:
            super().__init__(name, _sqlite(url, _set_up_writer), _sqlite(url, _set_up_reader))
        except BaseException:
            self._lock.release()
            raise

    def transaction(self, *, synced: bool) -> AbstractContextManager[Connection]:
        """`BEGIN IMMEDIATE`. An unsynced commit is in the log file, in order; the next synced one syncs that file."""
        if synced is not self._is_synced:
            self._writer.exec_driver_sql(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._is_synced = synced
        return _transaction(self._writer, "BEGIN IMMEDIATE")

    def close(self) -> None:
        """Close every connection, with which the write-ahead log is moved into the file, and let another process in."""
        super().close()
        self._lock.release()


def open_database(url: str) -> Database:
    """Open a database, as its only writer, and make sure that a journal of our schema is in it.

    Raises:
        ConfigError: the URL is not understood, another process uses it, it can't be opened, or it holds something else
            or something newer.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"the journal's URL {url!r} is not one: write sqlite:///path/to/journal.db") from error
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError(f"the journal's URL {parsed.render_as_string()!r}: {parsed.drivername} is none of: sqlite")
    database = SqliteDatabase(url, parsed)
    try:
        _check_schema(database)
    except BaseException as error:
        database.close()
        if isinstance(error, SQLAlchemyError):
            raise ConfigError(f"cannot open the journal {database.name}: {_cause(error)}") from error
        raise
    return database


def _check_schema(database: Database) -> None:
    """Create the tables in an empty database, in one transaction; refuse what is not ours or not of our version."""
    with database.transaction(synced=True) as connection:
        tables = set(inspect(connection).get_table_names())
        if not tables:
            metadata.create_all(connection)
            row = {"journal_id": uuid.uuid4(), "schema_version": SCHEMA_VERSION, "created": time.time_ns()}
            connection.execute(insert(meta), row)
            return
        if not tables >= {"meta", "event"}:
            raise ConfigError(f"{database.name} holds tables that are no journal's: {', '.join(sorted(tables))}")
        version = connection.scalar(select(meta.c.schema_version))
    if version != SCHEMA_VERSION:
        age = "a newer" if version is not None and version > SCHEMA_VERSION else "another"
        raise ConfigError(
            f"the journal {database.name} was written by {age} Quarterdeck: its schema is {version}, "
            f"this one knows {SCHEMA_VERSION}",
        )


def _file(name: str, url: URL) -> Path:
    if not url.database or url.database == ":memory:" or "uri" in url.query:
        raise ConfigError(f"the journal's URL {name!r} names no file: write sqlite:///path/journal.db")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise ConfigError(f"the journal's URL {name!r}: there is no directory {path.parent}")
    return path


@contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[Connection]:
    connection.exec_driver_sql(begin)
    try:
        yield connection
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(SQLAlchemyError):  # some failures have ended the transaction already
            connection.exec_driver_sql("ROLLBACK")
        raise


def _sqlite(url: URL, set_up: Callable[[sqlite3.Connection], None]) -> Engine:
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
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _set_up_reader(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only=ON")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _cause(error: SQLAlchemyError) -> str:
    """What the driver said, without SQLAlchemy's statement and link."""
    return str(getattr(error, "orig", None) or error)
