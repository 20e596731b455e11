"""Owns which rules the settings make, and the order they are asked in: the account's state first, then the order."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import RiskRule
from quarterdeck_risk_limits.losses import daily_loss, drawdown
from quarterdeck_risk_limits.settings import RiskLimitsSettings
from quarterdeck_risk_limits.size import Notional, PositionRisk
from quarterdeck_risk_limits.traffic import OpenPositions, OrderRate, PriceBand


def build_rules(settings: RiskLimitsSettings) -> Sequence[RiskRule]:
    """The rules that are on. The first to refuse gives the reason, so the gravest comes first."""
    rules: list[RiskRule] = [drawdown(settings.max_drawdown), daily_loss(settings.max_daily_loss)]
    if settings.max_entries_per_minute is not None:
        rules.append(OrderRate(settings.max_entries_per_minute))
    if settings.max_open_positions is not None:
        rules.append(OpenPositions(settings.max_open_positions))
    if settings.price_band is not None:
        rules.append(PriceBand(settings.price_band))
    sizes = (settings.max_notional_multiple, settings.max_notional, settings.max_exposure_multiple)
    if any(size is not None for size in sizes):
        rules.append(Notional(*sizes))
    rules.append(PositionRisk(settings.max_position_risk, settings.require_stop))
    return rules
