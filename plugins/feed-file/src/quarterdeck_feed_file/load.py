"""Owns turning files into checked series: read, join, check, and only then hand over."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from quarterdeck.plugin import ConfigError
from quarterdeck_feed_file.checks import check_candles, check_times, check_trades
from quarterdeck_feed_file.faults import Rows
from quarterdeck_feed_file.series import CandleSeries, Series, TradeSeries
from quarterdeck_feed_file.settings import FileSettings
from quarterdeck_feed_file.source import CANDLE_COLUMNS, TRADE_COLUMNS, read

_INTEGERS: Mapping[int, Literal["b", "q"]] = {8: "b", 64: "q"}

log = logging.getLogger(__name__)


def load(symbol: str, paths: Sequence[Path], settings: FileSettings) -> Series:
    """Read and check all rows of a symbol.

    Raises:
        ConfigError: a file can't be used; nothing of any is delivered.
    """
    is_candles = settings.kind == "candles"
    columns = CANDLE_COLUMNS if is_candles else TRADE_COLUMNS
    tables = [read(path, columns, settings.time_unit) for path in paths]
    rows = Rows([(path, table.num_rows) for path, table in zip(paths, tables, strict=True)])
    table = pa.concat_tables(tables).combine_chunks()
    if not is_candles:
        check_trades(table, rows)
        return TradeSeries(symbol, _view(table["ts"]), *(_view(table[name]) for name in columns))
    check_candles(table, rows)
    interval, gaps = check_times(table["ts"], rows, settings.interval_length)
    if gaps and settings.on_gap == "refuse":
        raise ConfigError(f"{rows.name}: {gaps.text}. Set on_gap = 'allow' to trade across them")
    if gaps:
        log.warning("%s: %s", rows.name, gaps.text)
    return CandleSeries(symbol, interval, _view(table["ts"]), tuple(_view(table[name]) for name in columns))


def _view(column: Any) -> memoryview[Any]:  # noqa: ANN401  # pyarrow publishes no types
    """The numbers of a column without nulls, where they lie."""
    (chunk,) = column.chunks
    buffer = memoryview(chunk.buffers()[1])
    numbers = buffer.cast("d") if pa.types.is_floating(chunk.type) else buffer.cast(_INTEGERS[chunk.type.bit_width])
    return numbers[chunk.offset : chunk.offset + len(chunk)]
