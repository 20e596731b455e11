"""Owns the truth log: everything that reached the venue and everything that happened there, in order, never changed.

A test compares what a client believes with this, and with nothing the client could have touched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact. `at` is this machine's monotonic time in nanoseconds; `kind` says what `data` is about."""

    number: int
    at: int
    kind: str
    data: Mapping[str, Any]


class Truth:
    """An append-only list of facts, written through to a file if there is one."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._file: TextIO | None = None if path is None else path.open("a", encoding="utf-8")

    def note(self, kind: str, **data: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
        """Write a fact down."""
        entry = Entry(len(self._entries) + 1, time.monotonic_ns(), kind, data)
        self._entries.append(entry)
        if self._file is not None:
            record = {"number": entry.number, "at": entry.at, "kind": kind, **data}
            self._file.write(json.dumps(record, default=str) + "\n")
            self._file.flush()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last(self) -> int:
        """This machine's monotonic time of the latest fact, in nanoseconds."""
        return self._entries[-1].at if self._entries else 0

    def of(self, *kinds: str) -> list[Entry]:
        """The facts of some kinds."""
        return [entry for entry in self._entries if entry.kind in kinds]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
