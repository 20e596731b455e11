"""Owns the simulated market: a seeded walk per instrument, its candles, and the feed that brings them to a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from math import exp
from random import Random

from quarterdeck.domain.amounts import from_observation, nearest_to
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MINUTE, Candle, MarketEvent, Quote
from quarterdeck.simulation.dice import dice
from quarterdeck.simulation.faults import Faults
from quarterdeck.simulation.loop import SECOND, Process, VirtualLoop

#: The simulation's clock starts here: 2026-01-01 00:00 UTC.
EPOCH = 1_767_225_600 * SECOND

#: Steps of the walk in a minute: enough for stops and limits to be met between candles, few enough to be cheap.
STEPS = 3

INSTRUMENTS = tuple(
    Instrument(
        symbol=f"{base.lower()}usdt",
        venue_symbol=f"{base}USDT",
        kind=InstrumentKind.LINEAR,
        base=base,
        quote="USDT",
        settle="USDT",
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_quantity=Decimal(lot),
        max_quantity=Decimal(1000),
        min_notional=Decimal(5),
        max_leverage=Decimal(50),
        maintenance_margin_rate=Decimal("0.005"),
        maker_fee_rate=Decimal("0.0002"),
        taker_fee_rate=Decimal("0.00055"),
    )
    for base, tick, lot in (("BTC", "0.1", "0.001"), ("ETH", "0.01", "0.01"))
)

_START = {"btcusdt": 60_000.0, "ethusdt": 3_000.0}


class _Walk:
    """One instrument's price."""

    def __init__(self, instrument: Instrument, dice: Random) -> None:
        self.instrument = instrument
        self.price = _START[instrument.symbol]
        self.ask = self.price + float(instrument.tick_size)
        self.volatility = 0.0003 + 0.0012 * dice.random()
        """Standard deviation of a step, as a part of the price."""
        self.dice = dice
        self.seen: list[float] = []

    def step(self) -> None:
        self.price *= exp(self.dice.gauss(0.0, self.volatility))
        self.note()

    def note(self) -> None:
        """Have the price in the running candle, on the tick."""
        exact = nearest_to(from_observation(self.price), self.instrument.tick_size)
        self.price, self.ask = float(exact), float(exact + self.instrument.tick_size)
        self.seen.append(self.price)

    def candle(self, open_time: int) -> Candle:
        seen, self.seen = self.seen, [self.price]
        volume = 100.0 * len(seen)
        return Candle(self.instrument.symbol, MINUTE, open_time, seen[0], max(seen), min(seen), seen[-1], volume)


class Market:
    """All prices. `step` is called by the world `STEPS` times a minute."""

    def __init__(self, seed: int) -> None:
        self._walks = {one.symbol: _Walk(one, dice(seed, f"price {one.symbol}")) for one in INSTRUMENTS}
        self.candles: list[Candle] = []
        """All closed ones, in order."""

    def step(self) -> None:
        """Let prices move on."""
        for walk in self._walks.values():
            walk.step()

    def jump(self, symbol: str, part: float) -> None:
        """Move a price by a part of it."""
        walk = self._walks[symbol]
        walk.price *= 1 + part
        walk.note()

    def close_minute(self, time: int) -> Sequence[Candle]:
        """Candles of the minute that ends now."""
        closed = [walk.candle(time - MINUTE) for walk in self._walks.values()]
        self.candles += closed
        return closed

    def price(self, symbol: str) -> float:
        """The price now."""
        return self._walks[symbol].price

    def quote(self, symbol: str, time: int) -> Quote:
        """Bid and ask now, one tick apart."""
        walk = self._walks[symbol]
        return Quote(symbol, time, walk.price, 1000.0, walk.ask, 1000.0)


class SimulatedFeed:
    """Candles as they close. Implements `quarterdeck.plugin.feed.Feed`."""

    def __init__(self, market: Market, loop: VirtualLoop, faults: Faults, process: Process) -> None:
        self._market = market
        self._loop = loop
        self._faults = faults
        self._process = process
        self._waiting: list[MarketEvent] = []
        self._wake: asyncio.Future[None] | None = None

    @property
    def is_replay(self) -> bool:
        """It is not."""
        return False

    @property
    def start_time(self) -> int:
        """Not a replay."""
        return 0

    async def open(self, instruments: Sequence[Instrument]) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def offers(self, symbol: str, interval: int) -> bool:
        """Minutes of every instrument."""
        return interval == MINUTE and symbol in _START

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        """The last closed candles."""
        found = [one for one in self._market.candles[-2 * limit - 4 :] if one.symbol == symbol and one.time <= before]
        return found[-limit:]

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        """What `show` brings, as it arrives."""
        while True:
            while self._waiting:
                yield self._waiting.pop(0)
            self._wake = self._loop.create_future()
            await self._wake

    def show(self, candle: Candle) -> None:
        """A candle has closed, in the world."""
        if not self._process.is_alive or self._faults.strikes("lose-candle"):
            return
        delay = SECOND // 20
        if self._faults.strikes("late-candle"):
            delay += round(self._faults.dice("late-candle").random() * 20 * SECOND)
        self._loop.outside(delay, self._arrive, candle)

    def _arrive(self, candle: Candle) -> None:
        self._waiting.append(candle)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
