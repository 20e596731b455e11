"""Owns reaching into a journal's database past the journal, as somebody else with the same rights would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, create_engine, make_url, select, text
from sqlalchemy.pool import NullPool

#: For tests of one database's own ways.
ON_SQLITE = pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("journal_url", ["postgresql"], indirect=True)


@contextmanager
def outside(url: str) -> Iterator[Connection]:
    """A connection of its own, in a transaction that is committed at the end."""
    parsed = make_url(url)
    options = {}
    if parsed.drivername == "postgresql":
        options["options"] = f"-c search_path={parsed.query['schema']} -c lock_timeout=5s"
        parsed = parsed.set(drivername="postgresql+psycopg").difference_update_query(["schema"])
    engine = create_engine(parsed, connect_args=options, poolclass=NullPool)
    with engine.begin() as connection:
        if options:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {make_url(url).query['schema']}"))
        yield connection


def execute(url: str, statement: str) -> None:
    with outside(url) as connection:
        connection.exec_driver_sql(statement)


def rows(url: str, statement: str) -> list[Any]:
    with outside(url) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def everything(url: str) -> dict[str, list[Any]]:
    """Every table with its rows, as values and in a fixed order."""
    with outside(url) as connection:
        metadata = MetaData()
        metadata.reflect(connection)
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for table in metadata.sorted_tables
        }
