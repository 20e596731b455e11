"""Owns how a fault in a file is told: file, row, column, value, and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.fields import moment_text


class Rows(NamedTuple):
    """Which rows of a table came from which file: names and row counts, in order."""

    files: Sequence[tuple[Path, int]]

    def place(self, row: int) -> str:
        """File and number of a row for people: rows count from 1, a header is not one."""
        for path, count in self.files:
            if row < count:
                return f"{path}: row {row + 1}"
            row -= count
        raise IndexError(row)

    @property
    def name(self) -> str:
        """The files for people."""
        return ", ".join(str(path) for path, _ in self.files)


def refuse_where(mask: Any, rows: Rows, column: str, values: Any, allowed: str) -> None:  # noqa: ANN401  # pyarrow is untyped
    """Raise ConfigError for the first row where the mask is true."""
    row = pc.index(mask, True).as_py()
    if row >= 0:
        raise fault(rows, row, column, values[row].as_py(), allowed)


def fault(rows: Rows, row: int, column: str, value: object, allowed: str) -> ConfigError:
    """What is wrong with one cell."""
    if value is None:
        return ConfigError(f"{rows.place(row)}: {column} is missing; {allowed}")
    text = moment_text(value) if column == "ts" and isinstance(value, int) else repr(value)
    return ConfigError(f"{rows.place(row)}: {column} = {text}: {allowed}")
