from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from quarterdeck.testing.strategy_suite import StrategySuite
from quarterdeck_strategy_sma_cross import quarterdeck_strategies


class TestLongOnly(StrategySuite):
    factory = quarterdeck_strategies()[0]
    line_budget = 40


class TestBothWays(StrategySuite):
    factory = quarterdeck_strategies()[0]
    settings: ClassVar[Mapping[str, object]] = {
        "fast": 5,
        "slow": 12,
        "allow_short": True,
        "take_profit_percent": 2,
        "stop_percent": 0.5,
    }
    line_budget = 40
