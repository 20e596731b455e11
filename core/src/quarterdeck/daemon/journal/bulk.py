"""Owns writing many rows of a table: statements compiled once, with as few calls of the driver as there can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect, Insert

#: Rows of one statement, where the driver takes values by position.
_ROWS = 100

_VALUES = " VALUES "


class Bulk:
    """An insert into a table, compiled once: building it anew for a small commit takes as long as the commit.

    By position, many rows go into one statement: SQLite's driver hands the interpreter over for each statement, and
    getting it back from a busy event loop costs more than the row. Values are bound column by column, by what
    SQLAlchemy has for the column's type: its own way through each row costs more than the database's.
    """

    def __init__(self, statement: Insert, dialect: Dialect) -> None:
        columns = statement.table.columns
        compiled = statement.compile(dialect=dialect)
        self.statement = str(compiled)
        """With the values of one row."""
        self._names = None if compiled.positional else [column.name for column in columns]
        kinds = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns]
        self._binders = [(at, bind) for at, bind in enumerate(kinds) if bind is not None]
        if compiled.positional:
            before, _, rest = self.statement.partition(_VALUES)
            end = rest.index(")") + 1
            self._before, self._row, self._after = before + _VALUES, rest[:end], rest[end:]

    def __call__(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows whose values stand in the order of the table's columns."""
        if self._names is not None:
            names = self._names
            connection.exec_driver_sql(
                self.statement, [dict(zip(names, row, strict=True)) for row in self._bound(rows)]
            )
            return
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            statement = self._before + ", ".join([self._row] * len(some)) + self._after
            connection.exec_driver_sql(statement, tuple(chain.from_iterable(self._bound(some))))

    def _bound(self, rows: Sequence[Sequence[Any]]) -> Iterable[Sequence[Any]]:
        if not self._binders:
            return rows
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        for at, bind in self._binders:
            columns[at] = map(bind, columns[at])
        return zip(*columns, strict=True)
