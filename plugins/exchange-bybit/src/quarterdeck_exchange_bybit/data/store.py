"""Owns the files of a store: one Parquet file for each symbol, interval and month, replaced whole or not at all.

`ts` is when a candle opened, or when funding was due. What Bybit was asked for and did not have is noted in the file's
metadata, so that it is not asked for again. What was refused stands in a quarantine file beside, with the reason.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.fields import interval_ns

MILLISECOND = 1_000_000

CANDLES = ("open", "high", "low", "close", "volume")
FUNDING = ("rate",)

_ABSENT = b"quarterdeck.absent"
_TIME = pa.timestamp("ms", tz="UTC")

#: A row's numbers, by when it opened in nanoseconds.
Rows = dict[int, tuple[float, ...]]


@dataclass(slots=True)
class Part:
    """What one file holds. `absent` are the times that Bybit has nothing for."""

    path: Path
    columns: tuple[str, ...]
    rows: Rows = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path, columns: tuple[str, ...]) -> Part:
        """The file as it is, or an empty one where there is none.

        Raises:
            ConfigError: it is there and can't be read.
        """
        part = cls(path, columns)
        if path.exists():
            table = _table(path, columns)
            times = _times(table)
            part.rows = dict(zip(times, zip(*(table[name].to_pylist() for name in columns), strict=True), strict=True))
            noted = (table.schema.metadata or {}).get(_ABSENT)
            part.absent = set(json.loads(noted)) if noted else set()
        return part

    def write(self) -> None:
        """Put the file in the place of the one before, whole."""
        ordered = sorted(self.rows)
        data: dict[str, Any] = {"ts": pa.array([time // MILLISECOND for time in ordered], _TIME)}
        for at, name in enumerate(self.columns):
            data[name] = pa.array([self.rows[time][at] for time in ordered], pa.float64())
        table = pa.table(data).replace_schema_metadata({_ABSENT: json.dumps(sorted(self.absent))})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".partial")
        with beside.open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def quarantine(self, refused: Iterable[tuple[object, str]]) -> int:
        """Keep what was refused beside the file, each with its reason; returns how many."""
        records = [json.dumps({"row": row, "reason": reason}) + "\n" for row, reason in refused]
        if records:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".quarantine.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(records)
        return len(records)


def candle_path(folder: Path, symbol: str, interval: str, month: datetime) -> Path:
    """Where a month's candles are."""
    return folder / f"{symbol}-{interval}-{month:%Y-%m}.parquet"


def funding_path(folder: Path, symbol: str) -> Path:
    """Where funding rates are."""
    return folder / f"{symbol}-funding.parquet"


def months(start: int, end: int) -> Iterator[tuple[datetime, int, int]]:
    """The months from `start` up to, without, `end`: each with the part of it that is meant, in nanoseconds."""
    at = datetime.fromtimestamp(start / 1e9, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while (begin := int(at.timestamp()) * 10**9) < end:
        later = at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
        yield at, max(begin, start), min(int(later.timestamp()) * 10**9, end)
        at = later


# ---------------------------------------------------------------- verification


@dataclass(frozen=True, slots=True)
class Verified:
    """What is wrong with a file: how often, by kind. `known` are gaps that Bybit has, too."""

    path: Path
    rows: int
    faults: Mapping[str, int]
    known: int

    def data(self) -> dict[str, Any]:
        """It, for a program."""
        return {"file": str(self.path), "rows": self.rows, "faults": dict(self.faults), "absent_at_bybit": self.known}


def verify(folder: Path) -> Sequence[Verified]:
    """Look every file of a store over.

    Raises:
        ConfigError: there is none, or one can't be read.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise ConfigError(f"{folder}: there are no Parquet files")
    return [_verify(path) for path in paths]


def _verify(path: Path) -> Verified:
    is_funding = path.stem.endswith("-funding")
    columns = FUNDING if is_funding else CANDLES
    table = _table(path, columns)
    times = _times(table)
    known = set(json.loads((table.schema.metadata or {}).get(_ABSENT, b"[]")))
    faults: Counter[str] = Counter()
    for earlier, later in pairwise(times):
        faults["duplicates"] += earlier == later
        faults["not in order"] += later < earlier
    for row in zip(*(table[name].to_pylist() for name in columns), strict=True):
        faults.update(_wrong_with(row, is_funding=is_funding))
    if not is_funding and times:
        interval = _interval_of(path)
        there = set(times)
        gaps = [time for time in range(min(times), max(times), interval) if time not in there]
        faults["missing"] = len(set(gaps) - known)
        faults["off the interval"] = sum(time % interval != 0 for time in times)
    return Verified(path, len(times), {name: count for name, count in faults.items() if count}, len(known))


def _interval_of(path: Path) -> int:
    try:
        return interval_ns(path.stem.rsplit("-", 3)[1])
    except (IndexError, ValueError):
        raise ConfigError(f"{path}: is not named like a file of a store, such as btcusdt-1m-2025-01.parquet") from None


def _wrong_with(row: Sequence[float | None], *, is_funding: bool) -> Iterator[str]:
    numbers = [math.nan if value is None else value for value in row]
    if not all(map(math.isfinite, numbers)):
        yield "not a number"
    elif not is_funding:
        first, high, low, last, volume = numbers
        if min(first, high, low, last) <= 0 or volume < 0:
            yield "not above zero"
        if high < max(first, low, last) or low > min(first, last):
            yield "high below low"


def _table(path: Path, columns: Sequence[str]) -> Any:  # noqa: ANN401 - pyarrow publishes no types
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: {error}") from error
    missing = [name for name in ("ts", *columns) if name not in table.column_names]
    if missing:
        raise ConfigError(f"{path}: column {', '.join(missing)} is missing")
    return table


def _times(table: Any) -> list[int]:  # noqa: ANN401 - pyarrow publishes no types
    return [value * MILLISECOND for value in table["ts"].cast(_TIME).cast(pa.int64()).to_pylist()]
