"""Owns reading a file: its format, its columns, and the number each cell stands for.

What comes out has the wanted columns only: `ts` as int64 nanoseconds since the epoch, `side` as int8, the others as
float64. Whether the numbers make sense is for `checks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from quarterdeck.domain.market import DAY, SECOND
from quarterdeck.plugin import ConfigError
from quarterdeck_feed_file.faults import Rows, fault, refuse_where

#: Columns besides `ts`.
CANDLE_COLUMNS = ("open", "high", "low", "close", "volume")
TRADE_COLUMNS = ("price", "size", "side")

_KINDS = {"candles": ("ts", *CANDLE_COLUMNS), "trades": ("ts", *TRADE_COLUMNS)}
_UNITS = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
# Times outside of these years are a wrong unit, not a market.
_EARLIEST, _LATEST = 365 * DAY, 84_006 * DAY
_SIDES = {"buy": 1, "1": 1, "+1": 1, "sell": -1, "-1": -1}
_ZONE = re.compile(r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$")

Column = Any  # pyarrow publishes no types


def read(path: Path, columns: Sequence[str], time_unit: str | None) -> pa.Table:
    """Read the wanted columns of a file, and `ts`.

    Raises:
        ConfigError: there is no such file, it is of another format, a column is missing, or a cell is not what its
            column needs; the text names file, row, column and value.
    """
    raw = _raw(path, ("ts", *columns))
    rows = Rows([(path, raw.num_rows)])
    if not raw.num_rows:
        raise ConfigError(f"{path}: has no rows")
    return pa.table(
        {
            "ts": _times(raw["ts"], rows, time_unit),
            **{name: (_sides if name == "side" else _numbers)(raw[name], rows, name) for name in columns},
        },
    )


def _raw(path: Path, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as the file has them; text for CSV."""
    formats: Mapping[str, Callable[[Path, Sequence[str]], pa.Table]] = {
        ".parquet": _raw_parquet,
        ".csv": _raw_csv,
        ".csv.gz": _raw_csv,
    }
    read_raw = next((read_raw for suffix, read_raw in formats.items() if path.name.lower().endswith(suffix)), None)
    if read_raw is None:
        raise ConfigError(f"{path}: unknown format; the name must end in one of {', '.join(formats)}")
    try:
        return read_raw(path, wanted)
    except (OSError, pa.ArrowException) as failure:
        text = "no such file" if isinstance(failure, FileNotFoundError) else str(failure)
        raise ConfigError(f"{path}: {text}") from failure


def _raw_parquet(path: Path, wanted: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        _check_names(path, file.schema_arrow.names, wanted)
        return file.read(columns=list(wanted))


def _raw_csv(path: Path, wanted: Sequence[str]) -> pa.Table:
    as_text = pcsv.ConvertOptions(
        column_types=dict.fromkeys(wanted, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
    )
    one_thread = pcsv.ReadOptions(use_threads=False)  # so that an error names the row
    with pcsv.open_csv(str(path), read_options=one_thread, convert_options=as_text) as header:
        _check_names(path, header.schema.names, wanted)
    as_text.include_columns = list(wanted)
    return pcsv.read_csv(str(path), read_options=one_thread, convert_options=as_text)


def _check_names(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if names.count(name) > 1:
            raise ConfigError(f"{path}: column {name} is there {names.count(name)} times")
    missing = [name for name in wanted if name not in names]
    if not missing:
        return
    other = next((kind for kind, columns in _KINDS.items() if set(columns) <= set(names)), None)
    hint = f"; it looks like kind = '{other}'" if other else ""
    raise ConfigError(f"{path}: column {', '.join(missing)} is missing; it has {', '.join(names)}{hint}")


def _times(column: Column, rows: Rows, time_unit: str | None) -> Column:
    """Nanoseconds since the epoch. Times without a zone are UTC."""
    if pa.types.is_string(column.type):
        column = _times_from_text(column, rows)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_integer(column.type):
        if time_unit is None:
            raise ConfigError(f"{rows.name}: ts is a number; set time_unit to 's', 'ms', 'us' or 'ns'")
        unit = time_unit
    elif pa.types.is_timestamp(column.type):
        if time_unit is not None:
            raise ConfigError(
                f"{rows.name}: ts is a timestamp, which has its own unit; remove time_unit = {time_unit!r}"
            )
        unit = column.type.unit
    else:
        told = f"{rows.name}: column ts has type {column.type}"
        raise ConfigError(f"{told}; must be a timestamp, or a whole number and time_unit")
    length = _UNITS[unit]
    counts = _cast(column, pa.int64(), rows, "ts", "must be a time")
    too_far = pc.or_(pc.less(counts, _EARLIEST // length), pc.greater(counts, _LATEST // length))
    row = pc.index(too_far, True).as_py()
    if row >= 0:
        told = f"{rows.place(row)}: ts = {counts[row].as_py()} {unit} since 1970"
        raise ConfigError(f"{told}: must be between the years 1971 and 2200; is it another unit?")
    return pc.multiply(counts, length)


def _times_from_text(column: Column, rows: Rows) -> Column:
    """Whole numbers or timestamps, as the first row shows."""
    first = str(column[0].as_py()).strip()
    if re.fullmatch(r"[+-]?[0-9]+", first):
        return _cast(column, pa.int64(), rows, "ts", "must be a whole number, as in the first row")
    if _ZONE.search(first) and ":" in first:
        allowed = "must be a timestamp with a time zone, such as 2025-01-01T00:00:00Z, as in the first row"
        return _cast(column, pa.timestamp("ns", "UTC"), rows, "ts", allowed)
    allowed = "must be a timestamp, such as 2025-01-01 00:00:00 (UTC), in every row alike"
    return _cast(column, pa.timestamp("ns"), rows, "ts", allowed)


def _numbers(column: Column, rows: Rows, name: str) -> Column:
    kind = column.type
    of_number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    if not (of_number or _is_csv_text(column, rows)):
        raise ConfigError(f"{rows.name}: column {name} has type {kind}; must be a number")
    return _cast(column, pa.float64(), rows, name, "must be a number")


def _sides(column: Column, rows: Rows, name: str) -> Column:
    """1 where the taker bought, -1 where it sold."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise ConfigError(f"{rows.name}: column {name} has type {kind}; must be 'buy' and 'sell', or 1 and -1")
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    which = pc.index_in(text, value_set=pa.array(list(_SIDES)))
    refuse_where(pc.is_null(which), rows, name, column, "must be the taker's, 'buy' or 'sell', or 1 or -1")
    return pc.take(pa.array(list(_SIDES.values()), pa.int8()), which)


def _is_csv_text(column: Column, rows: Rows) -> bool:
    (path, _), *_ = rows.files
    return pa.types.is_string(column.type) and not path.name.lower().endswith(".parquet")


def _cast(column: Column, kind: pa.DataType, rows: Rows, name: str, allowed: str) -> Column:
    """The column as another type. Text may have blanks around it."""
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    try:
        return column.cast(kind)
    except pa.ArrowException:
        for row, cell in enumerate(column):
            try:
                cell.cast(kind)
            except pa.ArrowException:
                raise fault(rows, row, name, cell.as_py(), allowed) from None
        raise
