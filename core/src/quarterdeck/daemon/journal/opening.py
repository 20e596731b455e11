"""Owns opening a database: which URLs are understood, and that a journal of today's schema is in it afterwards."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy import URL, Connection, insert, inspect, make_url, select, update
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from quarterdeck.daemon.journal.database import ConnectionLost, Database, Readers, cause
from quarterdeck.daemon.journal.migrations import SCHEMA_VERSION, upgrade
from quarterdeck.daemon.journal.postgresql import PostgresDatabase, postgresql_lock, postgresql_readers, shown
from quarterdeck.daemon.journal.schema import meta
from quarterdeck.daemon.journal.sqlite import SqliteDatabase, sqlite_lock, sqlite_readers
from quarterdeck.domain.errors import ConfigError


def open_database(url: str, reserve: int = 0) -> Database:
    """Open a database, as its only writer, and make sure that a journal of our schema is in it.

    For a file, so many bytes of its disk are kept as a reserve.

    Raises:
        ConfigError: the URL is not understood, another process uses it, it can't be opened, or it holds something else
            or something newer.
    """
    parsed = _parsed(url)
    try:
        database = _kind(parsed).database(parsed, reserve)
    except SQLAlchemyError as error:
        raise _unusable(parsed, error) from error
    try:
        make_current(database)
    except BaseException as error:
        database.close()
        if isinstance(error, SQLAlchemyError | ConnectionLost):
            raise _unusable(parsed, error) from error
        raise
    return database


def open_readers(url: str) -> Readers:
    """Open a database to look at, whoever writes it. Nothing in it is changed, not even its schema.

    Raises:
        ConfigError: the URL is not understood, or there is no journal of our schema.
    """
    parsed = _parsed(url)
    readers = _kind(parsed).readers(parsed)
    try:
        with readers.reading() as connection:
            version = _stored_version(readers.name, connection)
        if version != SCHEMA_VERSION:
            raise _other_version(readers.name, version)
    except BaseException as error:
        readers.close()
        if isinstance(error, SQLAlchemyError):
            raise _unusable(parsed, error) from error
        raise
    return readers


def file_of(url: str) -> Path | None:
    """The file a URL names; None if it names none, or is none that is understood."""
    with suppress(ArgumentError):
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return Path(parsed.database)
    return None


def check_free(url: str) -> None:
    """Look whether anybody uses a journal.

    Raises:
        InUse: somebody does.
        ConfigError: it can't be told.
    """
    parsed = _parsed(url)
    try:
        _kind(parsed).lock(parsed).release()
    except SQLAlchemyError as error:
        raise _unusable(parsed, error) from error


class _Lock(Protocol):
    def release(self) -> None: ...


class _Kind(NamedTuple):
    """How a kind of database is opened."""

    database: Callable[[URL, int], Database]
    readers: Callable[[URL], Readers]
    lock: Callable[[URL], _Lock]


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        told = re.sub(r":[^:@/]+@", ":***@", url)
        raise ConfigError(
            f"the journal's URL {told!r} is not one: write sqlite:///path/to/journal.db or postgresql://host/database"
        ) from error


def _kind(url: URL) -> _Kind:
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _Kind(SqliteDatabase, sqlite_readers, sqlite_lock)
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise ConfigError(
            f"the journal's URL {url.render_as_string()!r}: {url.drivername} is none of: sqlite, postgresql"
        )
    if find_spec("psycopg") is None:
        raise ConfigError(
            "a journal on PostgreSQL needs its driver: install quarterdeck[postgresql], or psycopg[binary] beside it"
        )
    return _Kind(PostgresDatabase, postgresql_readers, postgresql_lock)


def _unusable(url: URL, error: Exception) -> ConfigError:
    """What is wrong, in the driver's words. No driver repeats a password, but it is looked for all the same."""
    said = cause(error)
    for secret in (url.password, *(value for key, value in url.query.items() if "password" in key)):
        said = said.replace(str(secret), "***") if secret else said
    return ConfigError(f"cannot open the journal {shown(url)}: {said}")


def make_current(database: Database) -> None:
    """Make the tables in an empty database or bring old ones up to date, all or nothing; refuse what is not ours.

    Nobody else writes, so nothing changes between the look, the copy and the upgrade.
    """
    with database.reading() as connection:
        version = _stored_version(database.name, connection)
    if version == SCHEMA_VERSION:
        return
    if version > SCHEMA_VERSION or version < 0:
        raise _other_version(database.name, version)
    if version:
        database.keep_before(SCHEMA_VERSION)
    with database.transaction(synced=True) as connection:
        upgrade(connection, version)
        if version:
            connection.execute(update(meta).values(schema_version=SCHEMA_VERSION))
        else:
            row = {"journal_id": uuid.uuid4(), "schema_version": SCHEMA_VERSION, "created": time.time_ns()}
            connection.execute(insert(meta), row)


def _stored_version(name: str, connection: Connection) -> int:
    """The version of the tables; 0 if there are none."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return 0
    if not tables >= {"meta", "event"}:
        raise ConfigError(f"{name} holds tables that are no journal's: {', '.join(sorted(tables))}")
    return connection.scalar(select(meta.c.schema_version)) or -1


def _other_version(name: str, version: int) -> ConfigError:
    writer = "a newer" if version > SCHEMA_VERSION else "an older" if version > 0 else "another"
    return ConfigError(
        f"the journal {name} was written by {writer} Quarterdeck: its schema is {version}, "
        f"this one knows {SCHEMA_VERSION}"
    )
