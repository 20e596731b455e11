"""Owns the feed: which files belong to which instrument, which rows are replayed, and how fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, MarketEvent
from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.fields import moment_text
from quarterdeck.plugin.replay import paced
from quarterdeck_feed_file.series import CandleSeries, Series
from quarterdeck_feed_file.settings import FileSettings


@dataclass(frozen=True, slots=True)
class _Replay:
    """A series, and which of its rows are replayed: from `first` up to, without, `stop`."""

    series: Series
    first: int
    stop: int


class FileFeed:
    """Rows of files as market events in order of time; at the same moment, in the order of symbols."""

    is_replay = True

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._replays: dict[str, _Replay] = {}

    @property
    def start_time(self) -> int:
        """A moment before the first row that is replayed."""
        return min((replay.series.begin(replay.first) for replay in self._replays.values()), default=0)

    async def open(self, instruments: Sequence[Instrument]) -> None:
        """Read and check every file completely.

        Raises:
            ConfigError: a file or a setting can't be used; the text names file, row, column, value and what is allowed.
        """
        self._replays = await asyncio.to_thread(self._load, [instrument.symbol for instrument in instruments])

    async def close(self) -> None:
        """Let go of the data."""
        self._replays = {}

    def offers(self, symbol: str, interval: int) -> bool:
        """Whether there are candles of this instrument and interval."""
        return self._candles(symbol, interval) is not None

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        """The last `limit` candles that closed at or before `before`; those before `start` too."""
        candles = self._candles(symbol, interval)
        if candles is None:
            return ()
        stop = candles.later_than(before)
        return list(candles.events(max(stop - limit, 0), stop))

    def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        """Rows later than `after`, at the pace of the settings."""
        speed = self._settings.speed
        return paced(self._events(after), None if speed == "max" else speed)

    def _candles(self, symbol: str, interval: int) -> CandleSeries | None:
        replay = self._replays.get(symbol)
        series = replay.series if replay else None
        return series if isinstance(series, CandleSeries) and series.interval == interval else None

    def _events(self, after: int) -> Iterator[MarketEvent]:
        streams = [
            replay.series.events(max(replay.first, replay.series.later_than(after)), replay.stop)
            for replay in self._replays.values()
        ]
        return streams[0] if len(streams) == 1 else merge(*streams, key=lambda event: event.time)

    def _load(self, symbols: list[str]) -> dict[str, _Replay]:
        from quarterdeck_feed_file.load import load  # noqa: PLC0415  # pyarrow, only when a file is really read

        try:
            files = self._settings.files(symbols)
        except ValueError as refused:
            raise ConfigError(f"file feed: {refused}") from refused
        return {symbol: self._bounded(load(symbol, paths, self._settings)) for symbol, paths in files.items()}

    def _bounded(self, series: Series) -> _Replay:
        first, stop = series.from_to(self._settings.start_time, self._settings.end_time)
        if first >= stop:
            begin, end = moment_text(series.begin(0)), moment_text(series.begin(len(series) - 1))
            raise ConfigError(
                f"file feed: no row of {series.symbol} is between start and end; its files go from {begin} to {end}",
            )
        return _Replay(series, first, stop)
