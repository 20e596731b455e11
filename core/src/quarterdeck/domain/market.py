"""Owns observations: candles, quotes and trades as they were seen, in floats. Never an obligation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Side(StrEnum):
    """Which way a trade moves the position of the one who orders it."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1


@dataclass(frozen=True, slots=True)
class Candle:
    """Open, high, low and close of one interval. Times in nanoseconds since the epoch, UTC; volume in base units.

    Only closed candles travel through Quarterdeck, so `time` is the end of the interval: the moment it could be known.
    """

    symbol: str
    interval: int
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def time(self) -> int:
        """When the candle closed."""
        return self.open_time + self.interval


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask with their sizes in base units, at one moment."""

    symbol: str
    time: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float


#: A price and how much stands there, in base units.
Level = tuple[float, float]


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The order book at one moment: levels of both sides, the best first.

    Without any level there is no book: what was told before is worth nothing until the next one comes.
    """

    symbol: str
    time: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    update_id: int = 0
    """The venue's number of the last change in it; 0 is not known."""


@dataclass(frozen=True, slots=True)
class Ticker:
    """What a venue says about an instrument besides its trades. What it does not say is None.

    Open interest is in base units; the funding rate is the one that will be paid at `next_funding_time`.
    """

    symbol: str
    time: int
    last: float | None = None
    mark: float | None = None
    index: float | None = None
    funding_rate: float | None = None
    next_funding_time: int | None = None
    open_interest: float | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade on the venue's tape. `side` is the taker's."""

    symbol: str
    time: int
    price: float
    size: float
    side: Side


@dataclass(frozen=True, slots=True)
class FundingRate:
    """The rate longs pay to shorts (when positive) on the notional of a perpetual, due at `time`."""

    symbol: str
    time: int
    rate: float


MarketEvent = Candle | Quote | Trade | FundingRate | Ticker | OrderBook
