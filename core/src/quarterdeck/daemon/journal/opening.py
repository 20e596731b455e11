"""Owns opening a database: which URLs are understood, and that a journal of today's schema is in it afterwards."""

from __future__ import annotations

import time
import uuid

from sqlalchemy import Connection, insert, inspect, make_url, select, update
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from quarterdeck.daemon.journal.database import Database, cause
from quarterdeck.daemon.journal.migrations import SCHEMA_VERSION, upgrade
from quarterdeck.daemon.journal.schema import meta
from quarterdeck.daemon.journal.sqlite import SqliteDatabase
from quarterdeck.domain.errors import ConfigError


def open_database(url: str, reserve: int = 0) -> Database:
    """Open a database, as its only writer, and make sure that a journal of our schema is in it.

    For a file, so many bytes of its disk are kept as a reserve.

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
    database = SqliteDatabase(url, parsed, reserve)
    try:
        make_current(database)
    except BaseException as error:
        database.close()
        if isinstance(error, SQLAlchemyError):
            raise ConfigError(f"cannot open the journal {database.name}: {cause(error)}") from error
        raise
    return database


def make_current(database: Database) -> None:
    """Make the tables in an empty database or bring old ones up to date, all or nothing; refuse what is not ours.

    Nobody else writes, so nothing changes between the look, the copy and the upgrade.
    """
    with database.reading() as connection:
        version = _stored_version(database.name, connection)
    if version == SCHEMA_VERSION:
        return
    if version > SCHEMA_VERSION or version < 0:
        raise ConfigError(
            f"the journal {database.name} was written by {'a newer' if version > 0 else 'another'} Quarterdeck: "
            f"its schema is {version}, this one knows {SCHEMA_VERSION}",
        )
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
