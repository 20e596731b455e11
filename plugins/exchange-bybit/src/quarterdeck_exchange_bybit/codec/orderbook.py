"""Owns the order book of one instrument: a snapshot, and the changes that follow it without a hole.

Bytes of the topic go in, a book comes out; nothing here asks or waits. Whoever listens asks for a new snapshot when it
says `OutOfStep`, and has no book until that has come.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from quarterdeck.domain.market import OrderBook, Quote
from quarterdeck_exchange_bybit.codec.row import Malformed, Row

#: Depths Bybit has topics of: each for linear contracts, not each for spot.
DEPTHS = (1, 50, 200, 500, 1000)

_DIGITS = re.compile(r"[0-9]{1,30}(\.[0-9]{0,30})?")


class OutOfStep(Exception):
    """A change does not follow what was seen before: the book is worth nothing until a new snapshot comes."""


@dataclass(slots=True)
class _Side:
    """Sizes by price; prices from the lowest to the highest."""

    sizes: dict[float, float] = field(default_factory=dict)
    prices: list[float] = field(default_factory=list)

    def clear(self) -> None:
        self.sizes.clear()
        self.prices.clear()

    def put(self, price: float, size: float) -> None:
        sizes = self.sizes
        if size:
            if price not in sizes:
                insort(self.prices, price)
            sizes[price] = size
        elif sizes.pop(price, None) is not None:
            del self.prices[bisect_left(self.prices, price)]

    def keep(self, part: slice) -> None:
        """Forget all but these prices."""
        kept = self.prices[part]
        self.sizes = {price: self.sizes[price] for price in kept}
        self.prices = kept


@dataclass(slots=True)
class LiveBook:
    """The best `depth` levels of one instrument. Empty and unusable until a snapshot, and again after `OutOfStep`."""

    symbol: str
    depth: int = DEPTHS[-1]
    update_id: int = 0
    sequence: int = 0
    time: int = 0
    """When Bybit said so last, in nanoseconds since the epoch."""
    _bids: _Side = field(default_factory=_Side)
    _asks: _Side = field(default_factory=_Side)

    @property
    def is_ready(self) -> bool:
        """Whether it shows the market."""
        return self.update_id > 0

    def reset(self) -> None:
        """Forget everything, as after a break of the stream."""
        self._bids.clear()
        self._asks.clear()
        self.update_id = self.sequence = 0

    def take(self, message: Row) -> None:
        """Take one message of the orderbook topic.

        Update ids rise by one and the sequence never falls; `u` of 1 is a snapshot after a restart of Bybit's service,
        whatever the type says. At level 1 a snapshot is told again, with the same id, when nothing has changed.

        Raises:
            OutOfStep: a change is missing, or the best bid is not below the best ask; the book is empty then.
            Malformed: the message can't be read; the book is empty then.
        """
        try:
            self._take(message)
        except (OutOfStep, Malformed):
            self.reset()
            raise

    def _take(self, message: Row) -> None:
        data = message.row("data")
        update_id, sequence = data.integer("u"), data.integer("seq")
        if update_id < 1 or sequence < 0:
            raise Malformed(f"{data.where}.u", update_id, "an update id")
        if message.text("type") == "snapshot" or update_id == 1:
            self.reset()
        elif not self.update_id:
            raise OutOfStep(f"{self.symbol}: a change before any snapshot")
        elif update_id != self.update_id + 1:
            raise OutOfStep(f"{self.symbol}: update {update_id} does not follow {self.update_id}")
        elif sequence < self.sequence:
            raise OutOfStep(f"{self.symbol}: sequence {sequence} is before {self.sequence}")
        _apply(self._bids, data, "b")
        _apply(self._asks, data, "a")
        self.update_id, self.sequence, self.time = update_id, sequence, message.time("ts")
        bids, asks = self._bids.prices, self._asks.prices
        if bids and asks and bids[-1] >= asks[0]:
            raise OutOfStep(f"{self.symbol}: bid {bids[-1]:g} meets ask {asks[0]:g}")
        if len(bids) > self.depth:  # what has sunk below what is told is not told of any more
            self._bids.keep(slice(-self.depth, None))
        if len(asks) > self.depth:
            self._asks.keep(slice(self.depth))

    def quote(self) -> Quote | None:
        """Best bid and ask; None while a side is empty."""
        bids, asks = self._bids, self._asks
        if not bids.prices or not asks.prices:
            return None
        bid, ask = bids.prices[-1], asks.prices[0]
        return Quote(self.symbol, self.time, bid, bids.sizes[bid], ask, asks.sizes[ask])

    def book(self) -> OrderBook:
        """All its levels, best first; none while it is not ready."""
        bids, asks = self._bids.sizes, self._asks.sizes
        return OrderBook(
            self.symbol,
            self.time,
            tuple([(price, bids[price]) for price in reversed(self._bids.prices)]),
            tuple([(price, asks[price]) for price in self._asks.prices]),
            self.update_id,
        )


def _apply(side: _Side, data: Row, name: str) -> None:
    fits = _DIGITS.fullmatch
    for index, level in enumerate(data.list(name)):
        try:
            price_text, size_text = level
            price = float(price_text)
            if not (price and fits(price_text) and fits(size_text) and type(level) is list):
                raise ValueError(level)
        except (TypeError, ValueError):
            raise Malformed(f"{data.where}.{name}[{index}]", level, "a price and a size") from None
        side.put(price, float(size_text))
