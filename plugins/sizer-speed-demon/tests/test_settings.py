from __future__ import annotations

from decimal import Decimal, FloatOperation, localcontext
from pathlib import Path

import pytest
from pydantic import ValidationError

from quarterdeck.testing.checks import check_settings_table
from quarterdeck_sizer_speed_demon.settings import SpeedDemonSettings

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"small_balance": 100_000}, r"small_balance \(100000\) must be below large_balance \(100000\)"),
        ({"large_balance": 5_000}, r"must be below large_balance \(5000\)"),
        ({"min_ratio": "0.03"}, r"min_ratio \(0.03\) must not be above max_ratio \(0.02\)"),
        ({"min_ratio": 0}, "min_ratio\n.*greater than 0"),
        ({"max_ratio": "1.01"}, "max_ratio\n.*less than or equal to 1"),
        ({"max_ratio": "0.01000000001"}, "max_ratio\n.*no more than 10 decimal places"),
        ({"small_balance": -1}, "small_balance\n.*greater than 0"),
        ({"decay": 0}, "decay\n.*greater than 0"),
        ({"decay": 101}, "decay\n.*less than or equal to 100"),
        ({"decay": "nan"}, "decay\n.*finite"),
        ({"small_balance": "Infinity"}, "small_balance\n.*finite"),
        ({"include_fees": "perhaps"}, "include_fees\n.*boolean"),
        ({"min_ration": "0.01"}, "min_ration\n.*not permitted"),
    ],
)
def test_what_makes_no_curve_is_refused_by_key(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        SpeedDemonSettings.model_validate(table)


def test_a_number_written_as_a_float_is_taken_as_it_is_written() -> None:
    with localcontext() as context:
        context.traps[FloatOperation] = True
        assert SpeedDemonSettings.model_validate({"max_ratio": 0.1}).max_ratio == Decimal("0.1")


def test_the_readme_lists_every_key_and_its_default() -> None:
    check_settings_table(README.read_text(encoding="utf-8"), SpeedDemonSettings)
