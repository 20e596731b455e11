"""Risk limits: the seven rules an entry has to pass in every sensible account.

Owns the rules and their settings. Must not know: the engine, the daemon, the wire.

Reading order: settings, losses, traffic, size, parts, rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import Factory, RiskRule, hookimpl
from quarterdeck_risk_limits.rules import build_rules
from quarterdeck_risk_limits.settings import RiskLimitsSettings

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


@hookimpl
def quarterdeck_risk_rules() -> Sequence[Factory[Sequence[RiskRule]]]:
    """Offer the set of rules under the name `limits`."""
    return [
        Factory(
            name="limits",
            settings=RiskLimitsSettings,
            build=build_rules,
            summary="Limits on position risk, notional, positions, price, order rate, daily loss and drawdown",
        )
    ]
