"""Owns fetching candles that were not told: after a break, in a hole, late, or not believed."""

from __future__ import annotations

import asyncio
import time

import structlog

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND, Candle
from quarterdeck_exchange_bybit.budget import Banned
from quarterdeck_exchange_bybit.codec.listing import category_of
from quarterdeck_exchange_bybit.codec.market import read_kline
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed
from quarterdeck_exchange_bybit.market.listener import Market
from quarterdeck_exchange_bybit.market.outbox import Outbox
from quarterdeck_exchange_bybit.market.quarantine import Quarantine
from quarterdeck_exchange_bybit.market.series import Series
from quarterdeck_exchange_bybit.market.sieve import MALFORMED
from quarterdeck_exchange_bybit.rest import Rest, Unreachable

log = structlog.get_logger(__name__)

#: Candles of one REST answer, and how many answers are waited for at the same time.
PAGE, AT_ONCE = 1_000, 5

#: Waits between attempts, in seconds: at first for Bybit to have the candle, then for Bybit. After the last one what is
#: still missing is named, and what waited behind it goes on.
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)

#: Of those, how many are for a candle that Bybit does not have though it answers.
WAITS_FOR_IT = 4

#: Nanoseconds after its end at which a candle that was not told is asked for, and again as long as there is none.
LATE, LATE_AGAIN = 10 * SECOND, 60 * SECOND


#: Nanoseconds after its end at which a candle is final, whatever our clock is worth.
SETTLED = SECOND


class Repair:
    """Fills series from REST, each by one task at a time, and hands on what has come, in order."""

    def __init__(self, rest: Rest, outbox: Outbox, quarantine: Quarantine) -> None:
        self._rest = rest
        self._outbox = outbox
        self._quarantine = quarantine
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._looked: dict[Series, int] = {}

    async def close(self) -> None:
        """Fetch nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look(self, market: Market, word: str, now: int) -> bool:
        """Ask for a candle that must have closed, and was not told; whether there is one."""
        series = market.series[word]
        due = series.next_open + series.interval + LATE
        if series.next_open and now > max(due, self._looked.get(series, 0) + LATE_AGAIN):
            self._looked[series] = now
            self.begin(market, word)
            return True
        return False

    def begin(self, market: Market, word: str) -> None:
        """Fetch what follows the last candle; until it has come, newer ones wait."""
        series = market.series[word]
        if not series.is_waiting:
            series.is_waiting = True
            task = asyncio.get_running_loop().create_task(self._fill(market, word, series))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fill(self, market: Market, word: str, series: Series) -> None:
        symbol = market.instrument.symbol
        try:
            for attempt, wait in enumerate(WAITS):
                try:
                    since = series.next_open or time.time_ns() - series.interval * (series.candles.maxlen or 1)
                    series.fill(await self.fetch(market.instrument, word, series.interval, since))
                    if not series.has_hole or attempt >= WAITS_FOR_IT:
                        break
                except (Unreachable, Banned) as error:
                    log.warning("candles_missing", symbol=symbol, interval=word, reason=str(error))
                await asyncio.sleep(wait)
        finally:
            released, holes = series.release()
            for start, end in holes:
                log.error("candles_lost", symbol=symbol, interval=word, start=start, end=end)
                self._quarantine.counts["candles-lost"] += (end - start) // series.interval
            for candle in released:
                market.sieve.believe(candle.close)
                market.seen = max(market.seen, candle.time)
                self._outbox.put(candle)

    async def fetch(self, instrument: Instrument, word: str, interval: int, since: int) -> list[Candle]:
        """All closed candles that opened at or after a time, oldest first. One that can't be is held back.

        Raises:
            Unreachable: Bybit did not give them.
        """
        now = time.time_ns()
        found: dict[int, Candle] = {}
        start = since - since % interval
        while start + interval <= now:
            end = min(start + (PAGE - 1) * interval, now)
            async with self._turn:
                result = await self._rest.read(
                    "get_kline",
                    category=category_of(instrument.kind),
                    symbol=instrument.venue_symbol,
                    interval=word,
                    start=start // MILLISECOND,
                    end=end // MILLISECOND,
                    limit=PAGE,
                )
            try:
                rows = result.list("list")
            except Malformed as error:
                raise Unreachable(f"{instrument.symbol}: {error}") from error
            for row in rows:
                try:
                    candle = read_kline(row, instrument, interval)
                except Malformed as error:
                    self._quarantine.note(MALFORMED, str(error), f"kline {instrument.symbol}", repr(row).encode())
                    continue
                if candle.time + SETTLED <= now:
                    found[candle.open_time] = candle
            start = end - end % interval + interval
        return [found[at] for at in sorted(found)]
