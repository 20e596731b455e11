from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from quarterdeck.testing.risk_suite import RiskRuleSuite
from quarterdeck_risk_limits import quarterdeck_risk_rules


class TestAsShipped(RiskRuleSuite):
    factory = quarterdeck_risk_rules()[0]


class TestEverythingOn(RiskRuleSuite):
    factory = quarterdeck_risk_rules()[0]
    settings: ClassVar[Mapping[str, object]] = {
        "require_stop": True,
        "max_notional": 100_000,
        "max_exposure_multiple": 5,
    }


class TestEverythingOffThatCanBe(RiskRuleSuite):
    factory = quarterdeck_risk_rules()[0]
    settings: ClassVar[Mapping[str, object]] = {
        "max_notional_multiple": "off",
        "max_open_positions": "off",
        "price_band": "off",
        "max_entries_per_minute": "off",
    }
