"""Owns the strategy's settings: two window lengths, which directions to trade, and where an idea is given up."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from quarterdeck.plugin import Settings

Length = Annotated[int, Field(ge=1, le=100_000, strict=True)]


def _none_if_off(value: object) -> object:
    return None if value == "off" else value


class SmaCrossSettings(Settings):
    """Lengths count closed candles; percentages are of the close that gave the signal."""

    fast: Length = Field(default=20, description="candles in the fast average")
    slow: Length = Field(default=50, description="candles in the slow average; more than fast")
    allow_short: bool = Field(default=False, description="also sell when the fast average crosses below the slow one")
    stop_percent: Annotated[float, Field(ge=0.01, lt=100)] = Field(
        default=1.0, description="distance of the stop from the close; 1 is 1 %"
    )
    take_profit_percent: Annotated[
        Annotated[float, Field(ge=0.01, le=10_000)] | None, BeforeValidator(_none_if_off)
    ] = Field(default=None, description='distance of the take-profit from the close; 2 is 2 %, "off" is none')

    @model_validator(mode="after")
    def _contradictions(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        if self.allow_short and self.take_profit_percent is not None and self.take_profit_percent >= 100:
            raise ValueError(
                f"take_profit_percent ({self.take_profit_percent:g}) must be below 100 with allow_short: "
                "a price can't fall by more than all of it"
            )
        return self
