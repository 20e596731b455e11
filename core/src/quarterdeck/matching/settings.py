"""Owns how a venue behaves: slippage, latency, what fills a resting limit, participation, leverage, fixed funding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

from quarterdeck.domain.amounts import ONE, ZERO, from_observation
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import HOUR


class LimitFill(StrEnum):
    """What it takes to fill a limit order that rests in the book, on candles and trades."""

    THROUGH = "THROUGH"
    """The price has to go beyond the limit: at the limit itself, others stood in the queue before us."""
    TOUCH = "TOUCH"
    """The price has to reach the limit: we are always first in the queue."""


class Slippage(Protocol):
    """How much worse than the observed price an order that takes liquidity trades."""

    def adverse(self, price: Decimal, tick_size: Decimal, quantity: Decimal, volume: float) -> Decimal:
        """Price units to add for a buy and to subtract for a sell; at least zero.

        `volume` is what the market event showed: a candle's volume, a trade's size, the size quoted on the other side.
        """


@dataclass(frozen=True, slots=True)
class NoSlippage:
    """Taking trades at the observed price."""

    def adverse(self, price: Decimal, tick_size: Decimal, quantity: Decimal, volume: float) -> Decimal:
        """Zero."""
        return ZERO


@dataclass(frozen=True, slots=True)
class FixedTicks:
    """Taking always costs so many ticks."""

    ticks: int

    def adverse(self, price: Decimal, tick_size: Decimal, quantity: Decimal, volume: float) -> Decimal:
        """Ticks times tick size."""
        return self.ticks * tick_size


@dataclass(frozen=True, slots=True)
class BasisPoints:
    """Taking costs a fixed part of the price, in hundredths of a percent."""

    basis_points: Decimal

    def adverse(self, price: Decimal, tick_size: Decimal, quantity: Decimal, volume: float) -> Decimal:
        """Price times basis points / 10 000."""
        return price * self.basis_points / 10_000


@dataclass(frozen=True, slots=True)
class VolumeImpact:
    """The square-root law of market impact: price * coefficient * sqrt(quantity / volume), at most price * `cap`.

    The law is empirical (Almgren et al., Direct Estimation of Equity Market Impact, 2005); `coefficient` stands for its
    constant times the volatility over the time the volume took. Without volume, the cap applies.
    """

    coefficient: Decimal
    cap: Decimal = Decimal("0.05")

    def adverse(self, price: Decimal, tick_size: Decimal, quantity: Decimal, volume: float) -> Decimal:
        """The impact of taking `quantity` out of `volume`."""
        if volume <= 0:
            return price * self.cap
        return price * min(self.cap, self.coefficient * (quantity / from_observation(volume)).sqrt())


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a request is on its way: `fixed` plus up to `jitter` nanoseconds, drawn from `seed` and the request.

    The draw is a hash, so it is the same in every run and after every restart.
    """

    fixed: int = 0
    jitter: int = 0
    seed: int = 0

    def delay(self, request: str) -> int:
        """Nanoseconds until the request called `request` arrives."""
        if not self.jitter:
            return self.fixed
        digest = blake2b(f"{self.seed}:{request}".encode(), digest_size=8).digest()
        return self.fixed + int.from_bytes(digest) % (self.jitter + 1)


@dataclass(frozen=True, slots=True)
class FixedFunding:
    """Funding of all perpetuals at one rate, due whenever UTC time is a multiple of `interval` nanoseconds.

    For data without funding rates. A rate that the market data brings for the same moment is not charged again.
    """

    rate: Decimal
    interval: int = 8 * HOUR


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """How a venue behaves. The defaults are a venue without delay or slippage, careful about resting limit orders.

    `participation` is the part of what an event shows (a candle's volume, a trade's size, the quoted size) that orders
    here may take in all; None means any quantity. `leverage` is per symbol; other symbols have `default_leverage`, or
    the instrument's maximum where that is lower. With `fees_in_kind` the fee of what is bought of a pair is kept of it.
    """

    slippage: Slippage = field(default_factory=NoSlippage)
    latency: Latency = field(default_factory=Latency)
    limit_fill: LimitFill = LimitFill.THROUGH
    participation: Decimal | None = None
    leverage: Mapping[str, Decimal] = field(default_factory=dict)
    default_leverage: Decimal = Decimal(10)
    funding: FixedFunding | None = None
    fees_in_kind: bool = False

    def leverage_of(self, instrument: Instrument) -> Decimal:
        """Leverage the venue grants on an instrument.

        Raises:
            ValueError: the configured leverage is below 1 or above what the instrument allows.
        """
        highest = instrument.max_leverage
        chosen = self.leverage.get(instrument.symbol)
        if chosen is None:
            return max(ONE, min(self.default_leverage, highest))
        if not ONE <= chosen <= highest:
            raise ValueError(f"leverage of {instrument.symbol} must be from 1 to {highest}, was {chosen}")
        return chosen
