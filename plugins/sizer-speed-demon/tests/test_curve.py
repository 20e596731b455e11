from __future__ import annotations

import re
from decimal import Context, Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quarterdeck_sizer_speed_demon.curve import Curve
from quarterdeck_sizer_speed_demon.settings import SpeedDemonSettings

PUBLISHED = Curve(SpeedDemonSettings())
BALANCES = st.decimals(min_value=0, max_value=Decimal(10) ** 12, places=8)
EXACT = Context(prec=60)
README = Path(__file__).parent.parent / "README.md"


@pytest.mark.parametrize(
    ("balance", "percent", "tier"),
    [
        ("0", "2.0000", "small"),
        ("5000", "2.0000", "small"),
        ("10000", "2.0000", "small"),
        ("10000.00000001", "2.0000", "medium"),
        ("25000", "1.5748", "medium"),
        ("50000", "1.1167", "medium"),
        ("75000", "0.8538", "medium"),
        ("99999.99999999", "0.7030", "medium"),
        ("100000", "0.5000", "large"),
        ("1000000000", "0.5000", "large"),
    ],
)
def test_the_published_table(balance: str, percent: str, tier: str) -> None:
    ratio, name = PUBLISHED.at(Decimal(balance))
    assert (f"{ratio * 100:.4f}", name) == (percent, tier)


@given(BALANCES, BALANCES)
@example(Decimal(10_000), Decimal("10000.00000001"))
@example(Decimal("99999.99999999"), Decimal(100_000))
def test_a_larger_balance_never_has_a_larger_ratio(one: Decimal, other: Decimal) -> None:
    smaller, larger = sorted((one, other))
    assert PUBLISHED.at(smaller).ratio >= PUBLISHED.at(larger).ratio


@given(BALANCES)
def test_the_ratio_stays_between_its_bounds(balance: Decimal) -> None:
    assert Decimal("0.005") <= PUBLISHED.at(balance).ratio <= Decimal("0.02")


@given(st.decimals(min_value="10000.00000001", max_value="99999.99999999", places=8))
@example(Decimal("10000.00000001"))
def test_the_ratio_is_the_formula_to_ten_places_and_never_above_it(balance: Decimal) -> None:
    exponent = EXACT.divide(EXACT.multiply(Decimal(-2), balance - 10_000), Decimal(90_000))
    formula = EXACT.fma(Decimal("0.015"), EXACT.exp(exponent), Decimal("0.005"))
    ratio = PUBLISHED.at(balance).ratio
    assert 0 <= formula - ratio < Decimal("1.000001E-10")
    assert ratio.as_tuple().exponent == -10


def test_the_exponential_rounds_down_too() -> None:
    hair_above_the_bend = Decimal("10000.00000000000000000001")
    assert PUBLISHED.at(hair_above_the_bend).ratio == Decimal("0.0199999999")


@st.composite
def any_settings(draw: st.DrawFn) -> SpeedDemonSettings:
    small, large = sorted(draw(st.lists(st.integers(1, 10**12), min_size=2, max_size=2, unique=True)))
    low, high = sorted(draw(st.lists(st.decimals("0.0000000001", 1, places=10), min_size=2, max_size=2)))
    decay = draw(st.decimals("0.000001", 100, places=6))
    return SpeedDemonSettings.model_validate(
        {"small_balance": small, "large_balance": large, "min_ratio": low, "max_ratio": high, "decay": decay}
    )


@given(any_settings(), BALANCES, BALANCES)
def test_any_curve_falls_and_stays_between_its_bounds(
    settings: SpeedDemonSettings, one: Decimal, other: Decimal
) -> None:
    curve = Curve(settings)
    smaller, larger = sorted((one, other))
    assert settings.min_ratio <= curve.at(larger).ratio <= curve.at(smaller).ratio <= settings.max_ratio


def test_the_table_in_the_readme_is_the_curve() -> None:
    rows = re.findall(
        r"^\| (?:up to |from )?([\d ]+(?:\.\d+)?) \| ([\d.]+) % \|$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) == 6
    for balance, percent in rows:
        assert f"{PUBLISHED.at(Decimal(balance.replace(' ', ''))).ratio * 100:.4f}" == percent
