"""Owns the feed: which walks there are, in which order their candles come, and how fast."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND, Candle, MarketEvent
from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.replay import paced
from quarterdeck_feed_synthetic.settings import SyntheticSettings
from quarterdeck_feed_synthetic.walk import FEWEST_TICKS, Walk


class SyntheticFeed:
    """Candles of made-up markets, instrument after instrument at each moment, in the order of their names."""

    is_replay = True

    def __init__(self, settings: SyntheticSettings) -> None:
        self._settings = settings
        self._walks: dict[str, Walk] = {}

    @property
    def start_time(self) -> int:
        """When the first streamed candle opens."""
        return self._settings.start_time

    async def open(self, instruments: Sequence[Instrument]) -> None:
        """Make up a market for each symbol of the settings.

        Raises:
            ConfigError: an instrument does not exist, or its start price is too few ticks to move.
        """
        known = {instrument.symbol: instrument for instrument in instruments}
        for symbol, price in sorted(self._settings.symbols.items()):
            if symbol not in known:
                raise ConfigError(
                    f"synthetic feed: symbols.{symbol}: no such instrument; there are: {', '.join(sorted(known))}"
                )
            self._walks[symbol] = self._walk(known[symbol], price)

    async def close(self) -> None:
        """Forget the markets."""
        self._walks.clear()

    def offers(self, symbol: str, interval: int) -> bool:
        """Whether the settings name the symbol and the interval."""
        return symbol in self._walks and interval == self._settings.interval_length

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        """The last `limit` candles that closed at or before `before`, from 1 024 candles before the start on."""
        if not self.offers(symbol, interval):
            return ()
        walk = self._walks[symbol]
        closed = walk.closed_at(before)
        return list(walk.candles(max(closed - limit, 0), closed))

    def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        """Candles that close later than `after`, at the pace of the settings."""
        speed = self._settings.speed
        rate = None if speed == "max" else speed * self._settings.interval_length / SECOND
        return paced(self._candles(after), rate)

    def _candles(self, after: int) -> Iterator[Candle]:
        after = max(after, self.start_time)
        walks = [walk.candles(walk.closed_at(after)) for walk in self._walks.values()]
        for candles in zip(*walks, strict=True):
            yield from candles

    def _walk(self, instrument: Instrument, price: float) -> Walk:
        least = FEWEST_TICKS * float(instrument.tick_size)
        if price < least:
            raise ConfigError(
                f"symbols.{instrument.symbol} = {price!r}: must be at least {least!r} ({FEWEST_TICKS} ticks)"
            )
        settings = self._settings
        return Walk(instrument, price, settings.seed, settings.start_time, settings.interval_length, settings.count)
