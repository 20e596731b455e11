"""Owns the settings of the limits. Parts are fractions: 0.02 is 2 %."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from quarterdeck.plugin import Settings


def _none_if_off(value: object) -> object:
    return None if value == "off" else value


Part = Annotated[Decimal, Field(gt=0, le=1)]
Amount = Annotated[Decimal, Field(gt=0)]
Count = Annotated[int, Field(ge=1, strict=True)]
#: TOML has no null: "off" switches a limit off.
Off = BeforeValidator(_none_if_off)


class RiskLimitsSettings(Settings):
    """What an entry may do to the account. Money is in the settle currency.

    The three that bound losses can't be switched off. One that is not wanted is set to 1, "all of it", in plain sight.
    """

    max_position_risk: Part = Field(
        default=Decimal("0.02"), description="the part of equity that one instrument may lose at its stops"
    )
    require_stop: bool = Field(
        default=False, description="refuse an entry without stop_loss, instead of counting all of it as at risk"
    )
    max_notional_multiple: Annotated[Amount | None, Off] = Field(
        default=Decimal(10), description='notional of one order as a multiple of equity, or "off"'
    )
    max_notional: Annotated[Amount | None, Off] = Field(
        default=None, description='notional of one order in the settle currency, or "off"'
    )
    max_exposure_multiple: Annotated[Amount | None, Off] = Field(
        default=None, description='notional of all positions and entries as a multiple of equity, or "off"'
    )
    max_open_positions: Annotated[Count | None, Off] = Field(
        default=10, description='instruments held or being entered at the same time, or "off"'
    )
    price_band: Annotated[Part | None, Off] = Field(
        default=Decimal("0.05"), description='how far from the mark an order may be priced, as a part of it, or "off"'
    )
    max_entries_per_minute: Annotated[Count | None, Off] = Field(
        default=60, description='entries approved in any sixty seconds, or "off"'
    )
    max_daily_loss: Part = Field(
        default=Decimal("0.03"), description="the part of the equity at 00:00 UTC that may be lost before entries stop"
    )
    max_drawdown: Part = Field(
        default=Decimal("0.05"), description="the part of the highest equity that may be lost before entries stop"
    )
