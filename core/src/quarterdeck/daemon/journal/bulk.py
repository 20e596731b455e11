"""Owns writing many rows of a table: statements compiled once, with as few calls of the driver as there can be."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import ColumnClause, Connection, Dialect, Insert, LargeBinary, Text
from sqlalchemy.exc import DBAPIError

#: Rows of one statement on SQLite.
ROWS = 100

_VALUES = " VALUES "


class Bulk:
    """An insert into a table, compiled once: building it anew for a small commit takes as long as the commit.

    Many rows go into one statement. SQLite's driver hands the interpreter over for each statement, and getting it back
    from a busy event loop costs more than the row; PostgreSQL takes every column as one array. Values are bound column
    by column, by what SQLAlchemy has for the column's type: its own way through each row costs more than theirs.
    """

    def __init__(self, statement: Insert, dialect: Dialect) -> None:
        columns = statement.table.columns
        self.statement = str(statement.compile(dialect=dialect))
        """With the values of one row."""
        before, _, rest = self.statement.partition(_VALUES)
        _, conflict, after = rest.partition(" ON CONFLICT ")
        kinds: list[Callable[[Any], Any] | None]
        kinds = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns]
        if dialect.name == "postgresql":
            arrays = ", ".join(f"{_placeholder(column)}::{_type(column.type.compile(dialect))}[]" for column in columns)
            self._columnwise = f"{before} SELECT * FROM unnest({arrays})"  # noqa: S608 - names of ours
            self._conflict = conflict + after
            for at, column in enumerate(columns):
                kinds[at] = _legible if isinstance(column.type, Text) else kinds[at]
        else:
            self._columnwise = ""
            self._before, self._conflict = before, conflict + after
            self._row = f"({', '.join('?' * len(columns))})"
        self._binders = [(at, bind) for at, bind in enumerate(kinds) if bind is not None]

    def __call__(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows whose values stand in the order of the table's columns, each key once."""
        if not rows:
            return
        if self._columnwise:
            connection.exec_driver_sql(self.columnwise(), self.columns(rows))
            return
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            _run(connection, f"{self._before}{self._values(len(some))}{self._conflict}", self.cells(some))

    def rowwise(self, count: int, where: str) -> str:
        """SQLite's statement for up to `ROWS` rows, under a condition on none of them; it takes their cells."""
        return f"{self._before} SELECT * FROM ({self._values(count)}){where}{self._conflict}"  # noqa: S608 - names of ours

    def cells(self, rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
        """The values row by row."""
        return tuple(chain.from_iterable(self._bound(rows)))

    def columnwise(self, where: str = "") -> str:
        """PostgreSQL's statement for any number of rows, under a condition on none of them; it takes their columns."""
        return f"{self._columnwise}{where}{self._conflict}"

    def columns(self, rows: Sequence[Sequence[Any]]) -> tuple[list[Any], ...]:
        """The values column by column."""
        return tuple(map(list, zip(*self._bound(rows), strict=True)))

    def _values(self, count: int) -> str:
        return _VALUES + ", ".join([self._row] * count)

    def _bound(self, rows: Sequence[Sequence[Any]]) -> Iterable[Sequence[Any]]:
        if not self._binders:
            return rows
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        for at, bind in self._binders:
            columns[at] = map(bind, columns[at])
        return zip(*columns, strict=True)


def _run(connection: Connection, statement: str, values: tuple[Any, ...]) -> None:
    """Past SQLAlchemy, whose own work around each statement of a small commit is more than SQLite's."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "the dialect says so"
    try:
        driver.execute(statement, values)
    except sqlite3.Error as error:
        raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error


def _placeholder(column: ColumnClause[Any]) -> str:
    """Bytes go over as they are: as text each array of them is escaped, which takes longer than all the rest."""
    return "%b" if isinstance(column.type, LargeBinary) else "%s"


def _type(compiled: str) -> str:
    """A type's name without its collation."""
    return compiled.partition(" COLLATE")[0]


def _legible(text: Any) -> str:  # noqa: ANN401 - as SQLAlchemy's own
    """A text as PostgreSQL can hold it: it has no zero character, and somebody's free text may."""
    return str(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
