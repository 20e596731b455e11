from __future__ import annotations

import sys
from decimal import Decimal, FloatOperation
from functools import partial

import pytest

from quarterdeck.plugin import Settings
from quarterdeck.testing.checks import check_settings_table, is_exact, lines_run, money_arithmetic
from quarterdeck.testing.views import FakeView


def three_lines() -> int:
    first = 1
    second = 2
    return first + second


def test_lines_are_counted_in_every_function_that_is_called() -> None:
    assert lines_run(three_lines) == 3
    assert lines_run(lambda: (three_lines(), three_lines())) == 7


def test_the_stand_ins_cost_nothing() -> None:
    view = FakeView(positions={"btcusdt": Decimal(1)})
    assert lines_run(partial(view.is_held_or_pending, "btcusdt")) == 0


def test_counting_leaves_no_tracing_behind() -> None:
    before = sys.gettrace()
    with pytest.raises(ZeroDivisionError):
        lines_run(lambda: 1 // 0)
    assert sys.gettrace() is before


@pytest.mark.parametrize("value", [0, 1.5, True, "1", None, Decimal("NaN"), Decimal("Infinity")])
def test_only_a_finite_decimal_is_exact(value: object) -> None:
    assert not is_exact(value)
    assert is_exact(Decimal("0.1"))


def test_floats_do_not_mix_with_money() -> None:
    with money_arithmetic():
        assert str(Decimal(1) / 3) == "0." + "3" * 34
        with pytest.raises(FloatOperation):
            assert Decimal(1) < 1.5


class Some(Settings):
    size: Decimal = Decimal("0.5")
    loud: bool = False
    cap: int | None = None


TABLE = """# some

| `other` | 1 | a table of something else |

## Settings

| key | default | |
|---|---|---|
| `size` | 0.5 | how much |
| `loud` | false | whether |
| `cap` | off | at most |

## More
"""


def test_a_settings_table_tells_every_key_and_default() -> None:
    check_settings_table(TABLE, Some)


@pytest.mark.parametrize(
    ("told", "instead"), [("| `cap` | off |", "| `cap` | 3 |"), ("| `loud` ", "| `quiet` "), ("## Settings", "## Keys")]
)
def test_a_settings_table_that_lags_behind_is_noticed(told: str, instead: str) -> None:
    with pytest.raises(AssertionError, match="the settings say"):
        check_settings_table(TABLE.replace(told, instead), Some)
