from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from quarterdeck.testing.checks import check_settings_table
from quarterdeck_strategy_sma_cross.settings import SmaCrossSettings

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"fast": 50}, r"fast \(50\) must be less than slow \(50\)"),
        ({"slow": 10}, r"fast \(20\) must be less than slow \(10\)"),
        ({"fast": 0}, "fast\n.*greater than or equal to 1"),
        ({"fast": 20.0}, "fast\n.*valid integer"),
        ({"slow": 100_001}, "slow\n.*less than or equal to 100000"),
        ({"stop_percent": 0}, "stop_percent\n.*greater than or equal to 0.01"),
        ({"stop_percent": 100}, "stop_percent\n.*less than 100"),
        ({"stop_percent": "off"}, "stop_percent\n.*valid number"),
        ({"stop_percent": float("nan")}, "stop_percent\n.*finite number"),
        ({"take_profit_percent": 0}, "take_profit_percent\n.*greater than or equal to 0.01"),
        ({"take_profit_percent": 100, "allow_short": True}, r"take_profit_percent \(100\) must be below 100"),
        ({"allow_shorts": True}, "allow_shorts\n.*not permitted"),
    ],
)
def test_what_makes_no_strategy_is_refused_by_key(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        SmaCrossSettings.model_validate(table)


def test_a_target_far_above_is_for_longs() -> None:
    assert SmaCrossSettings.model_validate({"take_profit_percent": 250}).take_profit_percent == 250
    assert SmaCrossSettings.model_validate({"take_profit_percent": "off"}).take_profit_percent is None


def test_the_readme_lists_every_key_and_its_default() -> None:
    check_settings_table(README.read_text(encoding="utf-8"), SmaCrossSettings)
