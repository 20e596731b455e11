"""Owns fetching what a store lacks: only that, page by page, kept as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import HOUR, SECOND, Candle
from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.fields import interval_ns
from quarterdeck_exchange_bybit.budget import Budget, address_at
from quarterdeck_exchange_bybit.codec.listing import LINEAR, category_in, category_of, read_instrument, venue_symbol_of
from quarterdeck_exchange_bybit.codec.market import read_funding_rate, read_kline
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed
from quarterdeck_exchange_bybit.codec.words import INTERVAL_WORDS
from quarterdeck_exchange_bybit.data.store import (
    CANDLES,
    FUNDING,
    Part,
    candle_path,
    funding_path,
    months,
)
from quarterdeck_exchange_bybit.market.sieve import is_bad_print
from quarterdeck_exchange_bybit.rest import Rest
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings, Environment, Site

_KLINES, _FUNDINGS = 1_000, 200

#: Funding is due at least this often: where rates lie further apart, some are missing.
_FUNDING_GAP = 8 * HOUR

#: How far a price may jump within a minute, as a part of it, before the candle is named.
BAND = 0.1

#: Pages between two times that a file is written: what an interruption costs at most.
_PAGES_KEPT = 10


@dataclass(slots=True)
class Fetched:
    """What came of one file."""

    path: Path
    had: int = 0
    new: int = 0
    absent: int = 0
    quarantined: int = 0
    doubtful: int = 0
    """Kept, since Bybit says so, and named beside."""

    def data(self) -> dict[str, Any]:
        """It, for a program."""
        return {
            "file": str(self.path),
            "had": self.had,
            "new": self.new,
            "absent_at_bybit": self.absent,
            "quarantined": self.quarantined,
            "doubtful": self.doubtful,
        }


class Downloader:
    """Fetches from one Bybit into one folder. `tell` hears how each file stands, as it grows."""

    def __init__(
        self,
        folder: Path,
        environment: Environment = Environment.LIVE,
        simulator: Site | None = None,
        tell: Callable[[Fetched], None] = lambda _: None,
    ) -> None:
        public = BybitSettings.model_construct(environment=environment, symbols=(), simulator=simulator)
        self._rest = Rest(public, None, ServerClock(), Budget(address_at(public.site.rest)))
        self._folder = folder
        self._tell = tell

    def close(self) -> None:
        """Let the threads go."""
        self._rest.close()

    async def instrument(self, symbol: str) -> Instrument:
        """What a symbol stands for. Raises ConfigError, Unreachable."""
        category = category_in(symbol)
        for row in await self._rest.pages("get_instruments_info", category=category, symbol=venue_symbol_of(symbol)):
            found = read_instrument(row, category)
            if found is not None and found.symbol == symbol:
                return found
        raise ConfigError(f"symbol: {symbol!r} is not traded at Bybit")

    async def candles(self, instrument: Instrument, interval: str, start: int, end: int) -> Sequence[Fetched]:
        """Candles that open from `start` on and have closed by `end`, month by month.

        Raises:
            Unreachable: Bybit did not answer; what had come is kept.
        """
        length = interval_ns(interval)
        end = min(end, time.time_ns() - SECOND) // length * length
        start = -(-start // length) * length
        done = []
        for month, first, stop in months(start, end):
            path = candle_path(self._folder, instrument.symbol, interval, month)
            done.append(await self._month(instrument, length, path, first, stop))
        return done

    async def _month(self, instrument: Instrument, length: int, path: Path, first: int, stop: int) -> Fetched:
        part = await asyncio.to_thread(Part.read, path, CANDLES)
        fetched = Fetched(path, had=len(part.rows))
        wanted = [at for at in range(first, stop, length) if at not in part.rows and at not in part.absent]
        pages = _spans(wanted, length)
        try:
            for number, (begin, last) in enumerate(pages, start=1):
                await self._page(instrument, length, part, fetched, begin, last)
                if number % _PAGES_KEPT == 0:
                    await asyncio.to_thread(part.write)
                self._tell(fetched)
        finally:
            if pages:
                part.write()  # what has come is kept, however this ends
        self._tell(fetched)
        return fetched

    async def _page(
        self, instrument: Instrument, length: int, part: Part, fetched: Fetched, begin: int, last: int
    ) -> None:
        result = await self._rest.read(
            "get_kline",
            category=category_of(instrument.kind),
            symbol=instrument.venue_symbol,
            interval=INTERVAL_WORDS[length],
            start=begin // MILLISECOND,
            end=last // MILLISECOND,
            limit=_KLINES,
        )
        refused: list[tuple[object, str]] = []
        before = len(part.rows)
        seen: set[int] = set()
        for row in result.list("list"):
            try:
                candle = read_kline(row, instrument, length)
            except Malformed as error:
                refused.append((row, str(error)))
                continue
            at = candle.open_time
            numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
            if not begin <= at <= last:
                refused.append((row, "not what was asked for"))
            elif at in seen and part.rows[at] != numbers:
                refused.append((row, "another candle of the same time"))
            else:
                part.rows.setdefault(at, numbers)
                seen.add(at)
        fetched.new += len(part.rows) - before
        fetched.quarantined += part.quarantine(refused)
        fetched.doubtful += part.quarantine(_doubtful(instrument, length, part, seen))
        if not refused:  # what was refused may be told right another time
            absent = {at for at in range(begin, last + 1, length) if at not in part.rows}
            part.absent |= absent
            fetched.absent += len(absent)

    async def funding(self, instrument: Instrument, start: int, end: int) -> Fetched:
        """Funding rates due from `start` up to `end`. Raises Unreachable."""
        part = await asyncio.to_thread(Part.read, funding_path(self._folder, instrument.symbol), FUNDING)
        fetched = Fetched(part.path, had=len(part.rows))
        known = sorted(at for at in part.rows if start <= at < end)
        for earlier, later in pairwise([start - 1, *known, end]):
            if later - earlier > _FUNDING_GAP or not known:
                await self._rates(instrument, part, fetched, earlier + 1, later)
        if fetched.new:
            await asyncio.to_thread(part.write)
        self._tell(fetched)
        return fetched

    async def _rates(self, instrument: Instrument, part: Part, fetched: Fetched, begin: int, stop: int) -> None:
        """Bybit gives the latest first: go back from the end until a page is not full."""
        while begin < stop:
            result = await self._rest.read(
                "get_funding_rate_history",
                category=LINEAR,
                symbol=instrument.venue_symbol,
                startTime=begin // MILLISECOND,
                endTime=stop // MILLISECOND - 1,
                limit=_FUNDINGS,
            )
            times: list[int] = []
            refused: list[tuple[object, str]] = []
            for row in result.rows("list"):
                try:
                    rate = read_funding_rate(row, instrument)
                except Malformed as error:
                    refused.append((row.where, str(error)))
                    continue
                times.append(rate.time)
                fetched.new += rate.time not in part.rows
                part.rows[rate.time] = (rate.rate,)
            fetched.quarantined += part.quarantine(refused)
            if len(times) + len(refused) < _FUNDINGS or not times or min(times) >= stop:
                return
            stop = min(times)


def _doubtful(instrument: Instrument, length: int, part: Part, times: Iterable[int]) -> Iterator[tuple[object, str]]:
    """Which of these candles can hardly be, with why."""
    for at in sorted(times):
        candle = Candle(instrument.symbol, length, at, *part.rows[at])
        before = part.rows.get(at - length)
        if is_bad_print(candle, before[3] if before else None, BAND):
            yield [at // MILLISECOND, *part.rows[at]], "kept, though it can hardly be: a wick or a jump beyond the band"


def _spans(times: Sequence[int], length: int) -> list[tuple[int, int]]:
    """Runs of times that follow one another, none longer than a page: the first and the last of each."""
    spans: list[tuple[int, int]] = []
    for at in times:
        if spans and at - spans[-1][1] == length and at - spans[-1][0] < _KLINES * length:
            spans[-1] = (spans[-1][0], at)
        else:
            spans.append((at, at))
    return spans
