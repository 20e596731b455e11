"""Owns the way to the user: JSON for programs, tables for people.

An answer about one thing is that thing's fields; what else the daemon answered stands beside them. Lists are under
their plural. Names, units and spelling are the contract's, decimals are strings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from rich.console import Console, RenderableType
from rich.table import Table

from quarterdeck.client import to_dict

T = TypeVar("T")

_WIDE = 200
"""Columns where no terminal says how many there are: nothing is cut off for a program."""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a table: its heading, and what stands in it."""

    heading: str
    cell: Callable[[T], RenderableType]
    justify: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True)
class Figure(Column[T]):
    """A column of numbers."""

    justify: Literal["left", "right"] = "right"


class Output:
    """Where answers go."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = console(sys.stdout)

    @property
    def is_live(self) -> bool:
        """Whether a person looks at a terminal that can be drawn on."""
        return self.console.is_terminal and not self.as_json

    def answer(self, data: object, *shown: RenderableType) -> None:
        """Give an answer: `data` to a program, as one line; what is `shown` to a person."""
        if self.as_json:
            print(json.dumps(plain(data)), flush=True)
            return
        for each in shown:
            if isinstance(each, str):
                print(each, flush=True)  # as it is: no markup, no wrapping
            else:
                self.console.print(each)

    def listed(self, plural: str, things: Iterable[object], sequence: int | None, shown: RenderableType) -> None:
        """Give a list: under its plural, with the journal position it reflects."""
        self.answer({plural: list(things), "snapshot_sequence": sequence}, shown)

    def note(self, text: str) -> None:
        """Tell a person what is going on, beside the answer: on stderr."""
        print(text, file=sys.stderr, flush=True)


def console(file: Any) -> Console:  # noqa: ANN401 - whatever can be written to
    """A console that guesses no markup and no colours, and cuts nothing off when no terminal is attached."""
    return Console(file=file, highlight=False, markup=False, width=None if file.isatty() else _WIDE)


def plain(data: object) -> Any:  # noqa: ANN401 - what `json.dumps` takes
    """An answer as JSON: mappings may hold what the client returns."""
    return to_dict(data)


def one(thing: object, **beside: object) -> dict[str, Any]:
    """The fields of one thing, and what stands beside them."""
    return {**to_dict(thing), **beside}


def table(columns: Iterable[Column[T]], rows: Iterable[T], empty: RenderableType) -> RenderableType:
    """A compact table, or what to say when there are no rows."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    columns = tuple(columns)
    for column in columns:
        grid.add_column(column.heading, justify=column.justify, no_wrap=True)
    for row in rows:
        grid.add_row(*(column.cell(row) for column in columns))
    return grid if grid.row_count else empty


def fields(pairs: Mapping[str, RenderableType]) -> Table:
    """One thing: what is known of it, line by line."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in pairs.items():
        grid.add_row(label, value)
    return grid
