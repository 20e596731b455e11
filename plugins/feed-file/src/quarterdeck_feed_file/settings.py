"""Owns the settings of the file feed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from quarterdeck.plugin import Settings
from quarterdeck.plugin.fields import Interval, Moment, Speed, interval_ns, moment_ns

PathText = Annotated[str, Field(min_length=1)]
Paths = PathText | Annotated[tuple[PathText, ...], Field(min_length=1)]


class FileSettings(Settings):
    """Which files are replayed, how they are read, and how fast time passes."""

    path: Paths | Annotated[Mapping[str, Paths], Field(min_length=1)] = Field(
        description="a file, a list of files that continue one another, or a table of either by symbol",
    )
    symbol: str | None = Field(
        default=None,
        description="instrument the files are of; needed if the venue has several and path is not a table",
    )
    kind: Literal["candles", "trades"] = Field(default="candles", description="what a row is")
    interval: Interval | None = Field(
        default=None,
        description="length of a candle, such as 5m; without it, the step between most rows",
    )
    time_unit: Literal["s", "ms", "us", "ns"] | None = Field(
        default=None,
        description="unit of ts, if it is a number; timestamps carry their own",
    )
    start: Moment | None = Field(default=None, description="replay from here on; what is before it is history")
    end: Moment | None = Field(default=None, description="replay up to here")
    on_gap: Literal["refuse", "allow"] = Field(default="refuse", description="what to do when candles are missing")
    speed: Speed = Field(default="max", description="how many times faster than it happened, or 'max'")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.path, Mapping) and self.symbol is not None:
            raise ValueError(f"symbol ({self.symbol!r}) must not be set when path is a table, which names the symbols")
        if self.interval is not None and self.kind == "trades":
            raise ValueError(f"interval ({self.interval!r}) must not be set when kind is 'trades'")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"start ({self.start.isoformat()}) must be before end ({self.end.isoformat()})")
        return self

    def files(self, symbols: list[str]) -> dict[str, tuple[Path, ...]]:
        """The files of each symbol, in the order they are to be read; `symbols` are those the venue has.

        Raises:
            ValueError: it is not clear which symbol is meant, or the venue does not have it.
        """
        if isinstance(self.path, Mapping):
            files = {symbol: _paths(paths) for symbol, paths in self.path.items()}
        elif self.symbol is not None:
            files = {self.symbol: _paths(self.path)}
        elif len(symbols) == 1:
            files = {symbols[0]: _paths(self.path)}
        else:
            raise ValueError(f"symbol: missing, and the venue has several instruments: {', '.join(sorted(symbols))}")
        for symbol in files:
            if symbol not in symbols:
                raise ValueError(f"symbol {symbol!r}: no such instrument; there are: {', '.join(sorted(symbols))}")
        return dict(sorted(files.items()))

    @property
    def interval_length(self) -> int | None:
        """Length of a candle in nanoseconds, if it is set."""
        return None if self.interval is None else interval_ns(self.interval)

    @property
    def start_time(self) -> int | None:
        """`start` in nanoseconds."""
        return None if self.start is None else moment_ns(self.start)

    @property
    def end_time(self) -> int | None:
        """`end` in nanoseconds."""
        return None if self.end is None else moment_ns(self.end)


def _paths(paths: str | tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(Path(path).expanduser() for path in ((paths,) if isinstance(paths, str) else paths))
