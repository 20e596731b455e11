"""Owns the way to the user: JSON for programs, tables for people.

An answer about one thing is that thing's fields; what else the daemon answered stands beside them. Lists are under
their plural. Names, units and spelling are the contract's, decimals are strings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TextIO, TypeVar

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

from quarterdeck.client import to_dict

T = TypeVar("T")

_WIDEST = 10_000
_LEAST_PROSE = 16
_WIDE = 200
"""Columns where no terminal says how many there are: nothing is cut off for a program."""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a table: its heading, and what stands in it. Where space is short, prose gives way first."""

    heading: str
    cell: Callable[[T], RenderableType]
    justify: Literal["left", "right"] = "left"
    is_prose: bool = False


@dataclass(frozen=True, slots=True)
class Figure(Column[T]):
    """A column of numbers."""

    justify: Literal["left", "right"] = "right"


@dataclass(frozen=True, slots=True)
class Prose(Column[T]):
    """A column of words that may be broken into lines."""

    is_prose: bool = True


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
            print(json.dumps(to_dict(data)), flush=True)
            return
        for each in shown:
            if isinstance(each, str):
                print(each, flush=True)  # as it is: no markup, no wrapping
                continue
            # Where figures do not fit, the terminal breaks the line: better than to leave some out.
            needed = Measurement.get(self.console, self.console.options.update(max_width=_WIDEST), each).minimum
            console(sys.stdout, least=needed).print(each, crop=False)

    def listed(self, plural: str, things: Iterable[object], sequence: int | None, shown: RenderableType) -> None:
        """Give a list: under its plural, with the journal position it reflects."""
        self.answer({plural: list(things), "snapshot_sequence": sequence}, shown)

    def note(self, text: str) -> None:
        """Tell a person what is going on, beside the answer: on stderr."""
        print(text, file=sys.stderr, flush=True)


def console(file: TextIO, least: int = 0) -> Console:
    """A console, at least so wide, that guesses no markup and no colours."""
    made = Console(file=file, highlight=False, markup=False)
    wide = made.width if file.isatty() else _WIDE
    if made.width != max(wide, least):  # a width that was set does not follow the terminal any more
        made.width = max(wide, least)
    return made


def one(thing: object, **beside: object) -> dict[str, Any]:
    """The fields of one thing, and what stands beside them."""
    return {**to_dict(thing), **beside}


def table(columns: Iterable[Column[T]], rows: Iterable[T], empty: RenderableType) -> RenderableType:
    """A compact table, or what to say when there are no rows."""
    columns = tuple(columns)
    lines = [[column.cell(row) for column in columns] for row in rows]
    if not lines:
        return empty
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column, cells in zip(columns, zip(*lines, strict=True), strict=True):
        whole = max(cell_len(str(text)) for text in (column.heading, *cells))
        least = min(whole, _LEAST_PROSE) if column.is_prose else whole
        broken: dict[str, Any] = {"overflow": "fold"} if column.is_prose else {"no_wrap": True}
        grid.add_column(column.heading, justify=column.justify, min_width=least, **broken)
    for line in lines:
        grid.add_row(*line)
    return grid


def fields(pairs: Mapping[str, RenderableType]) -> Table:
    """One thing: what is known of it, line by line."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in pairs.items():
        grid.add_row(label, value)
    return grid
