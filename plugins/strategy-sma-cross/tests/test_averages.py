from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck_strategy_sma_cross.averages import AverageGap


def sign(value: int | Fraction) -> int:
    return (value > 0) - (value < 0)


def mean(prices: list[Fraction]) -> Fraction:
    return sum(prices, start=Fraction(0)) / len(prices)


@st.composite
def quoted(draw: st.DrawFn) -> list[Fraction]:
    """Prices as a venue quotes them: whole ticks, few levels, so that averages often meet."""
    tick, most = draw(
        st.sampled_from([(Fraction(1, 10), 2_249_999), (Fraction(1, 10**10), 10**7), (Fraction(1, 4), 9)])
    )
    level = draw(st.integers(1, most))
    return [tick * max(1, level - draw(st.integers(0, 3))) for _ in range(40)]


@given(quoted(), st.integers(1, 5), st.integers(1, 5))
def test_the_side_is_that_of_the_exact_averages(prices: list[Fraction], fast: int, more: int) -> None:
    slow = fast + more
    averages = AverageGap(fast, slow)
    for count, price in enumerate(prices, start=1):
        gap = averages.after(float(price))
        if count < slow:
            assert gap is None
        else:
            assert gap is not None
            recent = prices[count - slow : count]
            assert sign(gap) == sign(mean(recent[-fast:]) - mean(recent))


@pytest.mark.parametrize("first", [0.1, 49_999.9, 224_999.9, 1e-7])
def test_nothing_is_left_of_a_hundred_thousand_prices(first: float) -> None:
    """A running sum of floats would still hold what rounding left behind."""
    random = Random(7)
    used, fresh = AverageGap(3, 7), AverageGap(3, 7)
    for _ in range(100_000):
        used.after(first * (1 + random.random()))
    for _ in range(6):
        used.after(first)
        fresh.after(first)
    assert used.after(first) == fresh.after(first) == 0


def test_what_is_no_number_is_not_taken_in() -> None:
    with pytest.raises(ValueError, match="NaN"):
        AverageGap(1, 2).after(float("nan"))
