from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from quarterdeck.testing.checks import check_settings_table
from quarterdeck_risk_limits.settings import RiskLimitsSettings

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.parametrize("key", ["max_position_risk", "max_daily_loss", "max_drawdown"])
@pytest.mark.parametrize("value", ["off", None, 0, "1.01", "nan", True])
def test_a_loss_limit_is_a_part_and_never_off(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        RiskLimitsSettings.model_validate({key: value})


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"max_open_positions": 0}, "max_open_positions.*\n.*greater than or equal to 1"),
        ({"max_open_positions": True}, "max_open_positions.*\n.*valid integer"),
        ({"max_entries_per_minute": "60"}, "max_entries_per_minute.*\n.*valid integer"),
        ({"max_entries_per_minute": 0.5}, "max_entries_per_minute.*\n.*valid integer"),
        ({"max_notional": 0}, "max_notional.*\n.*greater than 0"),
        ({"max_notional_multiple": "none"}, "max_notional_multiple.*\n.*valid decimal"),
        ({"price_band": "5%"}, "price_band.*\n.*valid decimal"),
        ({"price_band": 5}, "price_band.*\n.*less than or equal to 1"),
        ({"max_drawdwon": "0.1"}, "max_drawdwon\n.*not permitted"),
    ],
)
def test_what_is_no_limit_is_refused_by_key(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RiskLimitsSettings.model_validate(table)


def test_the_readme_lists_every_key_and_its_default() -> None:
    check_settings_table(README.read_text(encoding="utf-8"), RiskLimitsSettings)
