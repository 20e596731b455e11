"""How numbers and times look to people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from quarterdeck.cli import figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (Decimal(0), "0"),
        (Decimal("0.00"), "0"),
        (Decimal("60123.333333333333333333"), "60,123.333"),
        (Decimal("60000.1"), "60,000.1"),
        (Decimal("1234567890.5"), "1,234,567,890.5"),
        (Decimal("1234567890.123456"), "1,234,567,890.12"),
        (Decimal("-0.5"), "-0.5"),
        (Decimal("0.000012345678912"), "0.000012345679"),
        (0.1 + 0.2, "0.3"),
        (1e-9, "0.000000001"),
        (Decimal("1E+3"), "1,000"),
    ],
)
def test_a_number_has_the_eight_digits_that_matter(value: Decimal | float | None, shown: str) -> None:
    assert figures.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown", "style"),
    [
        (None, "-", ""),
        (Decimal("12.345"), "+12.34", "green"),
        (Decimal("-1234.5"), "-1,234.50", "red"),
        (Decimal(0), "+0.00", ""),
    ],
)
def test_a_gain_is_signed_and_coloured(value: Decimal | None, shown: str, style: str) -> None:
    text = figures.gain(value)
    assert (text.plain, text.style) == (shown, style)


@pytest.mark.parametrize(
    ("part", "shown"),
    [("0.02", "2 %"), ("0.0111670924", "1.1167 %"), ("0.005", "0.5 %"), ("0", "0 %"), ("1", "100 %")],
)
def test_a_risk_ratio_keeps_its_digits(part: str, shown: str) -> None:
    assert figures.share(Decimal(part)) == shown


def test_a_percentage_has_two_places() -> None:
    assert figures.percent(Decimal("0.01234")) == "1.23 %"
    assert figures.percent(None) == figures.share(None) == figures.money(None) == "-"


def test_times_are_in_utc() -> None:
    time = datetime(2025, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    assert figures.moment(time) == "2025-01-02 03:04:05"
    assert figures.clock(time) == "03:04:05"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0 s"), (3.14, "3.1 s"), (60, "1 min"), (75.4, "1 min 15 s"), (300, "5 min"), (90_061, "1 d 1 h")],
)
def test_a_length_is_told_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert figures.length(timedelta(seconds=seconds)) == shown


def test_names_and_words_lose_what_a_person_does_not_need() -> None:
    assert figures.name("accounts/main/orders/7") == "7"
    assert figures.name("") == "-"
    assert figures.word("PARTIALLY_FILLED") == "partially filled"
