"""Owns the order book of one instrument: a snapshot, and the changes that follow it without a hole."""

from __future__ import annotations

from dataclasses import dataclass, field

from quarterdeck.domain.market import Quote
from quarterdeck_exchange_bybit.codec.row import Malformed, Row, number


class OutOfStep(Exception):
    """A change does not follow what was seen before: the book is worth nothing until a new snapshot comes."""


@dataclass(slots=True)
class OrderBook:
    """Price levels of one instrument. Empty and unusable until the first snapshot, and again after `OutOfStep`."""

    symbol: str
    bids: dict[float, float] = field(default_factory=dict)
    asks: dict[float, float] = field(default_factory=dict)
    update_id: int = 0
    sequence: int = 0
    time: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether it shows the market."""
        return self.update_id > 0

    def reset(self) -> None:
        """Forget everything, as after a break of the stream."""
        self.bids.clear()
        self.asks.clear()
        self.update_id = self.sequence = self.time = 0

    def take(self, message: Row) -> None:
        """Take one message of the orderbook topic.

        Update ids rise by one; `u` of 1 is a snapshot after a restart of Bybit's service, whatever the type says.

        Raises:
            OutOfStep: a change is missing, or the best bid is not below the best ask; the book is empty then.
            Malformed: the message can't be read; the book is empty then.
        """
        try:
            data = message.row("data")
            update_id = data.integer("u")
            if message.text("type") == "snapshot" or update_id == 1:
                self.reset()
            elif not self.is_ready:
                raise OutOfStep(f"{self.symbol}: a change before any snapshot")
            elif update_id != self.update_id + 1:
                raise OutOfStep(f"{self.symbol}: update {update_id} does not follow {self.update_id}")
            _apply(self.bids, data, "b")
            _apply(self.asks, data, "a")
            self.update_id, self.time = update_id, message.time("ts")
            self.sequence = data.integer("seq")
            if self.bids and self.asks and max(self.bids) >= min(self.asks):
                raise OutOfStep(f"{self.symbol}: bid {max(self.bids)} meets ask {min(self.asks)}")
        except (OutOfStep, Malformed):
            self.reset()
            raise

    def quote(self) -> Quote | None:
        """Best bid and ask; None while a side is empty."""
        if not self.bids or not self.asks:
            return None
        bid, ask = max(self.bids), min(self.asks)
        return Quote(self.symbol, self.time, bid, self.bids[bid], ask, self.asks[ask])


def _apply(levels: dict[float, float], data: Row, name: str) -> None:
    for index, level in enumerate(data.list(name)):
        where = f"{data.where}.{name}[{index}]"
        if not isinstance(level, list) or len(level) < 2:
            raise Malformed(where, level, "a price and a size")
        price, size = number(level[0], where), number(level[1], where)
        if price is None or size is None or price <= 0 or size < 0:
            raise Malformed(where, level, "a price above zero and a size")
        if size:
            levels[float(price)] = float(size)
        else:
            levels.pop(float(price), None)
