"""Owns the journal in a PostgreSQL database: one process writes, many connections read, and a lost one is replaced.

A URL is what libpq takes, such as `postgresql://user@host:5432/database`, and may end in `?schema=name`: a schema holds
one journal, so that several can share a database.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, inspect
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from quarterdeck.daemon.journal.advisory import AdvisoryLock
from quarterdeck.daemon.journal.bulk import Bulk
from quarterdeck.daemon.journal.database import READERS, ConnectionLost, Database, Readers, block, cause
from quarterdeck.domain.errors import ConfigError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")

#: How a connection is made, unless the URL says otherwise: to a server that can write, and noticed when it is dead.
_CONNECTION = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "target_session_attrs": "read-write",
}

#: A statement of ours takes milliseconds; one that takes this long waits for something that will not come.
_SESSION = {
    "synchronous_commit": "on",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}


class PostgresDatabase(Database):
    """A schema that this process alone writes, as long as it holds the lock. The server's disk is somebody else's."""

    def __init__(self, url: URL, _reserve: int = 0) -> None:
        self._lock = postgresql_lock(url)
        try:
            super().__init__(_engine(url), postgresql_readers(url))
            self._errors = self._writing.dialect.loaded_dbapi
        except BaseException:
            self._lock.release()
            raise

    @contextmanager
    def transaction(self, *, synced: bool) -> Iterator[Connection]:
        """Unsynced transactions leave the sync to the server, which catches up within a second, in order."""
        try:
            with block(self._writer, "BEGIN" if synced else "BEGIN; SET LOCAL synchronous_commit TO OFF"):
                self._check_fence("SELECT holder FROM lease FOR NO KEY UPDATE")
                yield self._writer
        except (InterfaceError, OperationalError) as error:
            raise ConnectionLost(f"{self.name}: {cause(error)}") from error

    def insert(self, bulk: Bulk, rows: Sequence[Sequence[Any]], *, synced: bool) -> None:
        """In one statement, which is a transaction of its own: one round trip instead of four.

        It locks the fence before it makes the first row, and makes none if the fence has fallen. It goes past
        SQLAlchemy, as on SQLite.
        """
        fence = "1" if synced else "set_config('synchronous_commit', 'off', true)"
        statement = (
            f"WITH fence AS (SELECT {fence} FROM lease WHERE holder = %s FOR NO KEY UPDATE) "  # noqa: S608 - ours
            f"{bulk.columnwise(' WHERE EXISTS (TABLE fence)')}"
        )
        driver: Any = self._writer.connection.driver_connection
        try:
            written = driver.execute(statement, (self._holder, *bulk.columns(rows))).rowcount
        except (self._errors.InterfaceError, self._errors.OperationalError) as error:
            raise ConnectionLost(f"{self.name}: {cause(error)}") from error
        if written != len(rows):
            raise self._fenced()

    def reconnect(self) -> None:
        """Take the lock again if it went too, and a new connection.

        What the old one had under way has the row of the lease locked: the next transaction begins when it has ended.
        An insert that has not got that far begins after it, and fails if what it would write is there.
        """
        self._lock.hold()
        try:
            with suppress(SQLAlchemyError):
                self._writer.invalidate()
                self._writer.close()
            self._writer = self._writing.connect()
        except DBAPIError as error:
            raise ConnectionLost(f"{self.name}: {cause(error)}") from error

    def renew(self, now: int) -> None:
        """On the connection of the lock itself, so that a success proves that we have it."""
        self._lock.hold()
        if self._lock.execute("UPDATE lease SET renewed = %s WHERE holder = %s", now, self._holder) != 1:
            raise self._fenced()

    def keep_before(self, version: int) -> None:
        """Copies of the tables that can't be built again, in the same schema: `before_0002_event` and so on."""
        with self.transaction(synced=True) as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout TO 0")
            tables = set(inspect(connection).get_table_names())
            for table in tables & {"meta", "event", "base"}:
                kept = f"before_{version:04}_{table}"
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {kept}")
                connection.exec_driver_sql(f"CREATE TABLE {kept} AS TABLE {table}")

    def close(self) -> None:
        """Close every connection, and let another process in."""
        super().close()
        self._lock.release()


def postgresql_lock(url: URL) -> AdvisoryLock:
    """The lock of a schema."""
    return AdvisoryLock(shown(url), _engine(url, poolclass=NullPool), str(url.query.get("schema", "")))


def postgresql_readers(url: URL) -> Readers:
    """Readers of a database, whoever writes it. Each transaction sees one moment, and is refused a write."""
    # The server may have been restarted between two reads.
    engine = _engine(url, pool_size=READERS, max_overflow=0, pool_pre_ping=True)
    return Readers(shown(url), engine, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")


def shown(url: URL) -> str:
    """The URL as it may be shown: every password is `***`."""
    secrets = {key: "***" for key in url.query if "password" in key}
    return unquote(url.update_query_dict(secrets).render_as_string(hide_password=True))


def _engine(url: URL, **settings: Any) -> Engine:  # noqa: ANN401 - whatever SQLAlchemy takes
    """A transaction begins when we say so, and several statements can go to the server at once."""
    plain, options = _connection(url)
    return create_engine(
        plain,
        isolation_level="AUTOCOMMIT",
        execution_options={"no_parameters": True},
        connect_args=options,
        **settings,
    )


def _connection(url: URL) -> tuple[URL, Mapping[str, str]]:
    """What SQLAlchemy gets: the URL without what is ours, and the options of every connection."""
    schema = url.query.get("schema")
    session = [f"-c {name}={value}" for name, value in _SESSION.items()]
    if schema is not None:
        if not isinstance(schema, str) or _SCHEMA.fullmatch(schema) is None:
            raise ConfigError(f"the journal's URL {shown(url)!r}: schema must be lower-case letters, digits and '_'")
        session.append(f"-c search_path={schema}")
    own = url.query.get("options", "")
    options = {
        **{name: value for name, value in _CONNECTION.items() if name not in url.query},
        "application_name": f"quarterdeck {os.getpid()} on {socket.gethostname()}"[:63],
        "options": " ".join([*session, *([own] if isinstance(own, str) else own)]),
    }
    plain = url.set(drivername="postgresql+psycopg").difference_update_query(["schema", "options"])
    return plain, options
