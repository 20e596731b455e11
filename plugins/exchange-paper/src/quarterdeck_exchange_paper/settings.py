"""Owns the settings of the paper exchange. Rates and parts are fractions: 0.0002 is 0.02 %."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import HOUR
from quarterdeck.matching import (
    BasisPoints,
    FixedFunding,
    FixedTicks,
    Latency,
    LimitFill,
    NoSlippage,
    Slippage,
    VenueSettings,
    VolumeImpact,
)
from quarterdeck.plugin import Settings
from quarterdeck_exchange_paper.listing import InstrumentTable, list_instruments

_MILLISECOND = 1_000_000

Part = Annotated[Decimal, Field(gt=0, le=1)]
NotNegative = Annotated[Decimal, Field(ge=0)]
FeeRate = Annotated[Decimal, Field(gt=-1, lt=1)]
Leverage = Annotated[Decimal, Field(ge=1)]
Milliseconds = Annotated[int, Field(ge=0, strict=True)]


class SlippageTable(Settings):
    """What taking costs beyond the fee: one of the models, or nothing."""

    ticks: Annotated[int, Field(ge=0, strict=True)] | None = Field(default=None, description="a number of ticks")
    basis_points: NotNegative | None = Field(default=None, description="hundredths of a percent of the price")
    impact: NotNegative | None = Field(default=None, description="times sqrt(quantity / volume) of the price")
    cap: Part = Field(default=Decimal("0.05"), description="the part of the price that impact costs at most")

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        given = [name for name in ("ticks", "basis_points", "impact") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"one of ticks, basis_points and impact, not {' and '.join(given)}")
        return self

    def build(self) -> Slippage:
        """The model for the venue."""
        if self.ticks is not None:
            return FixedTicks(self.ticks)
        if self.basis_points is not None:
            return BasisPoints(self.basis_points)
        if self.impact is not None:
            return VolumeImpact(self.impact, self.cap)
        return NoSlippage()


class LatencyTable(Settings):
    """How long a request is on its way."""

    fixed_ms: Milliseconds = 0
    jitter_ms: Milliseconds = 0
    seed: int = 0


class FundingTable(Settings):
    """Funding of perpetuals at a fixed rate, for data that brings no rates."""

    rate: FeeRate
    hours: Annotated[int, Field(ge=1, le=24, strict=True)] = 8


class PaperSettings(Settings):
    """The venue that is simulated."""

    balances: Mapping[str, NotNegative] = Field(
        default={"USDT": Decimal(10_000)}, description="what the account begins with, by currency"
    )
    instruments: Mapping[str, InstrumentTable] = Field(
        default={}, description="more instruments, or other filters and fees for those listed by default"
    )
    maker_fee_rate: FeeRate | None = Field(
        default=None, description="maker fee of all instruments, instead of their own"
    )
    taker_fee_rate: FeeRate | None = Field(
        default=None, description="taker fee of all instruments, instead of their own"
    )
    default_leverage: Leverage = Field(
        default=Decimal(10), description="leverage of perpetuals, or their maximum where that is lower"
    )
    leverage: Mapping[str, Leverage] = Field(default={}, description="leverage by instrument")
    slippage: SlippageTable = Field(default=SlippageTable(), description="what taking liquidity costs beyond the fee")
    latency: LatencyTable = Field(default=LatencyTable(), description="how long requests are on their way")
    limit_fill: Literal["through", "touch"] = Field(
        default="through",
        description="whether a resting limit order fills when its price is passed or already when met",
    )
    participation: Part | None = Field(
        default=None, description="the part of a candle's volume, trade or quoted size that orders may take in all"
    )
    funding: FundingTable | None = Field(default=None, description="a fixed funding rate, for data without rates")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        venue, listed = self.venue_settings(), {instrument.symbol: instrument for instrument in self.listing()}
        for symbol in self.leverage:
            if symbol not in listed:
                raise ValueError(f"leverage: no instrument {symbol!r} is listed")
        for instrument in listed.values():
            leverage = venue.leverage_of(instrument)
            if instrument.maintenance_margin_rate * leverage >= 1:
                raise ValueError(
                    f"leverage of {instrument.symbol}: at {leverage} a position would be liquidated as it opens, since "
                    f"{instrument.maintenance_margin_rate} of it is maintenance margin",
                )
        return self

    def listing(self) -> tuple[Instrument, ...]:
        """Everything that can be traded."""
        return list_instruments(self.instruments, self.maker_fee_rate, self.taker_fee_rate)

    def venue_settings(self) -> VenueSettings:
        """How the venue behaves."""
        latency, funding = self.latency, self.funding
        return VenueSettings(
            slippage=self.slippage.build(),
            latency=Latency(latency.fixed_ms * _MILLISECOND, latency.jitter_ms * _MILLISECOND, latency.seed),
            limit_fill=LimitFill(self.limit_fill.upper()),
            participation=self.participation,
            leverage=dict(self.leverage),
            default_leverage=self.default_leverage,
            funding=None if funding is None else FixedFunding(funding.rate, funding.hours * HOUR),
        )
