"""Owns the settings of the synthetic feed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from quarterdeck.domain.market import DAY
from quarterdeck.plugin import Settings
from quarterdeck.plugin.fields import Interval, Moment, Speed, interval_ns, moment_ns

Price = Annotated[float, Field(gt=0)]


class SyntheticSettings(Settings):
    """Which market is made up, and how fast it passes."""

    seed: int = Field(default=1, description="another number is another market")
    symbols: Annotated[Mapping[str, Price], Field(min_length=1)] = Field(
        default={"btcusdt": 60_000.0},
        description="the price each instrument starts at",
    )
    interval: Interval = Field(default="1m", description="length of a candle, such as 30s, 1m or 1h; at most 1d")
    start: Moment = Field(
        default=datetime(2025, 1, 1, tzinfo=UTC),
        description="when the first candle that is streamed opens; a multiple of the interval",
    )
    count: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="how many candles of each instrument there are; without it they never end",
    )
    speed: Speed = Field(default=1.0, description="candles of each instrument per second, or 'max'")

    @field_validator("interval")
    @classmethod
    def _at_most_a_day(cls, interval: str) -> str:
        if interval_ns(interval) > DAY:
            raise ValueError("must be at most 1d")
        return interval

    @model_validator(mode="after")
    def _starts_on_the_interval(self) -> Self:
        if self.start_time % self.interval_length:
            raise ValueError(f"start ({self.start.isoformat()}) must be a multiple of the interval ({self.interval})")
        return self

    @property
    def interval_length(self) -> int:
        """Length of a candle in nanoseconds."""
        return interval_ns(self.interval)

    @property
    def start_time(self) -> int:
        """When the first streamed candle opens, in nanoseconds."""
        return moment_ns(self.start)
