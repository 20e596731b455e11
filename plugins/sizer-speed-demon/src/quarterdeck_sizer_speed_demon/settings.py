"""Owns the sizer's settings: where the curve bends, between which ratios, and whether fees count as risk."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from quarterdeck.plugin import Settings

Ratio = Annotated[Decimal, Field(gt=0, le=1, decimal_places=10)]
Balance = Annotated[Decimal, Field(gt=0)]


class SpeedDemonSettings(Settings):
    """The published curve unless a key says otherwise. Balances are in the settle currency."""

    small_balance: Balance = Field(default=Decimal(10_000), description="the largest balance that risks max_ratio")
    large_balance: Balance = Field(default=Decimal(100_000), description="the smallest balance that risks min_ratio")
    max_ratio: Ratio = Field(default=Decimal("0.02"), description="risked of a small account; 0.02 is 2 %")
    min_ratio: Ratio = Field(default=Decimal("0.005"), description="risked of a large account; 0.005 is 0.5 %")
    decay: Annotated[Decimal, Field(gt=0, le=100)] = Field(
        default=Decimal(2),
        description="how steeply the ratio falls between the two balances; 2 ends at e^-2 of the way",
    )
    include_fees: bool = Field(
        default=False,
        description="count taker fees at entry and at the stop as part of the loss, so that quantity shrinks",
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.small_balance >= self.large_balance:
            raise ValueError(
                f"small_balance ({self.small_balance:f}) must be below large_balance ({self.large_balance:f})"
            )
        if self.min_ratio > self.max_ratio:
            raise ValueError(f"min_ratio ({self.min_ratio:f}) must not be above max_ratio ({self.max_ratio:f})")
        return self
