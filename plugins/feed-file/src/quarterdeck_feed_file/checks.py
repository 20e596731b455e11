"""Owns whether rows make sense. Every check looks at all rows at once; the first fault it finds stops the start."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.fields import interval_text, moment_text
from quarterdeck_feed_file.faults import Rows, fault, refuse_where
from quarterdeck_feed_file.source import CANDLE_COLUMNS

Column = Any  # pyarrow publishes no types


class Gaps(NamedTuple):
    """Candles that are missing: in how many places, how many in all, and the text that tells it."""

    places: int
    candles: int
    text: str


def check_candles(table: pa.Table, rows: Rows) -> None:
    """Refuse candles whose numbers contradict each other.

    Raises:
        ConfigError: names file, row, column, value and what is allowed.
    """
    for name in CANDLE_COLUMNS:
        _check_finite(table, rows, name)
    for name in ("open", "high", "low", "close"):
        refuse_where(pc.less_equal(table[name], 0.0), rows, name, table[name], "must be above zero")
    refuse_where(pc.less(table["volume"], 0.0), rows, "volume", table["volume"], "must not be negative")
    refuse_where(pc.less(table["high"], table["low"]), rows, "high", table["high"], "must not be below low")
    for name in ("open", "close"):
        outside = pc.or_(pc.less(table[name], table["low"]), pc.greater(table[name], table["high"]))
        refuse_where(outside, rows, name, table[name], "must be between low and high")


def check_trades(table: pa.Table, rows: Rows) -> None:
    """Refuse trades that can't have happened, and times that go back.

    Raises:
        ConfigError: names file, row, column, value and what is allowed.
    """
    for name in ("price", "size"):
        _check_finite(table, rows, name)
        refuse_where(pc.less_equal(table[name], 0.0), rows, name, table[name], "must be above zero")
    _steps(table["ts"], rows)


def check_times(opened: Column, rows: Rows, interval: int | None) -> tuple[int, Gaps | None]:
    """Check that candles follow one another, and find their interval (nanoseconds) and gaps.

    Raises:
        ConfigError: a time is missing, repeated, earlier than the one before, off the interval, or the interval is not
            the one that is wanted.
    """
    steps = _steps(opened, rows)
    found = _most_common(steps)
    refuse_where(_after_first(pc.equal(steps, 0)), rows, "ts", opened, "is there twice; remove one of the two rows")
    if found is None and interval is None:
        raise ConfigError(f"{rows.name}: one row does not tell the interval; set interval")
    if found is not None and interval is not None and found != interval:
        raise ConfigError(
            f"{rows.name}: candles are {interval_text(found)} apart, but interval = {interval_text(interval)!r}; "
            "correct or remove interval",
        )
    length = interval or found or 0
    whole = pc.multiply(pc.divide(steps, length), length)
    off = _after_first(pc.not_equal(steps, whole))
    refuse_where(
        off, rows, "ts", opened, f"must be a multiple of the interval ({interval_text(length)}) after the row before"
    )
    return length, _gaps(opened, steps, rows, length)


def _check_finite(table: pa.Table, rows: Rows, name: str) -> None:
    column = table[name]
    refuse_where(pc.is_null(column), rows, name, column, "every row needs a number")
    refuse_where(pc.invert(pc.is_finite(column)), rows, name, column, "must be a finite number")


def _steps(times: Column, rows: Rows) -> Column:
    """Time from each row to the next."""
    refuse_where(pc.is_null(times), rows, "ts", times, "every row needs a time")
    steps = pc.subtract(times.slice(1), times.slice(0, len(times) - 1))
    row = pc.index(pc.less(steps, 0), True).as_py()
    if row >= 0:
        before = moment_text(times[row].as_py())
        raise fault(rows, row + 1, "ts", times[row + 1].as_py(), f"is before the row above it ({before}); sort by ts")
    return steps


def _after_first(mask: Column) -> Column:
    """A mask over steps as a mask over the rows they lead to."""
    return pa.chunked_array([pa.array([False]), *mask.chunks])


def _most_common(steps: Column) -> int | None:
    found = pc.mode(steps)
    return found[0]["mode"].as_py() if len(found) else None


def _gaps(opened: Column, steps: Column, rows: Rows, interval: int) -> Gaps | None:
    places = pc.sum(pc.greater(steps, interval)).as_py() or 0
    if not places:
        return None
    longest = pc.max(steps).as_py()
    row = pc.index(steps, longest).as_py() + 1
    missing = pc.sum(pc.subtract(pc.divide(steps, interval), 1)).as_py()
    text = (
        f"{missing} candles of {interval_text(interval)} are missing in {places} places, {longest // interval - 1} of "
        f"them before {rows.place(row)} (ts = {moment_text(opened[row].as_py())})"
    )
    return Gaps(places, missing, text)
