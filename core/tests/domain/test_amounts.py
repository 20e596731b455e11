from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, FloatOperation, InvalidOperation, getcontext
from threading import Thread

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quarterdeck.domain.amounts import (
    amount_text,
    ceil_to,
    floor_to,
    from_observation,
    is_multiple,
    nearest_to,
    parse_amount,
    plain,
    settle,
)

#: Every number the contract can spell.
AMOUNTS = st.builds(
    lambda sign, whole, places, part: (
        Decimal((sign, tuple(map(int, f"{whole}{part:0{places}d}")), -places))
        if places
        else Decimal(whole).copy_sign(Decimal(-1 if sign else 1))
    ),
    st.integers(0, 1),
    st.integers(0, 10**19 - 1),
    st.integers(0, 18),
    st.integers(0, 9),
) | st.decimals(
    min_value=Decimal(-(10**18)), max_value=Decimal(10**18), places=18, allow_nan=False, allow_infinity=False
)
#: Numbers of the size that prices and quantities have.
USUAL = st.decimals(
    min_value=Decimal(-(10**9)), max_value=Decimal(10**9), places=10, allow_nan=False, allow_infinity=False
)
STEPS = st.sampled_from([Decimal(text) for text in ("1", "0.1", "0.001", "1E-10", "0.5", "0.25", "0.03", "5", "100")])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("12.50", "12.50"),
        ("-12.5", "-12.5"),
        ("0.000000000000000001", "1E-18"),
        ("9999999999999999999.999999999999999999", "9999999999999999999.999999999999999999"),
    ],
)
def test_the_strict_form_is_read(text: str, value: str) -> None:
    assert parse_amount(text) == Decimal(value)
    assert not parse_amount(text).is_signed() or parse_amount(text) < 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "--1",
        "01",
        "00",
        ".5",
        "5.",
        "-.5",
        "1e3",
        "1E3",
        "1_000",
        "1,000",
        "0x1",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "sNaN",
        "\u0661\u0662",  # digits of another script
        "\uff11",
        "\u2212" + "1",  # a minus sign that is no hyphen
        "1.1.1",
        "12345678901234567890",
        "0.1234567890123456789",
        "None",
    ],
)
def test_any_other_spelling_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal") as refused:
        parse_amount(text)
    assert repr(text) in str(refused.value)


@given(AMOUNTS)
@example(Decimal("-0.000"))
@example(Decimal("1E+18"))
def test_what_is_written_reads_back_equal(value: Decimal) -> None:
    assert parse_amount(amount_text(value)) == value
    assert parse_amount(amount_text(plain(value))) == plain(value)


def test_trailing_zeros_are_kept_in_text_and_dropped_when_plain() -> None:
    assert amount_text(Decimal("0.100")) == "0.100"
    assert amount_text(Decimal("1E+3")) == "1000"
    assert amount_text(plain(Decimal("0.100"))) == "0.1"
    assert amount_text(plain(Decimal("1.2E+3"))) == "1200"
    assert amount_text(plain(Decimal("-0.00"))) == "0"


@given(USUAL)
def test_plain_is_the_same_number_and_one_spelling(value: Decimal) -> None:
    assert plain(value) == value
    assert str(plain(value)) == str(plain(value * Decimal("1.000")))


@given(USUAL, STEPS)
@example(Decimal("9999999999999999999.999999999999999999"), Decimal("1E-10"))
@example(Decimal("8.999999999999999999"), Decimal("0.03"))
def test_floor_is_the_last_multiple_not_above(value: Decimal, step: Decimal) -> None:
    floor = floor_to(value, step)
    assert is_multiple(floor, step)
    assert floor <= value < floor + step


@given(USUAL, STEPS)
def test_ceiling_is_the_first_multiple_not_below(value: Decimal, step: Decimal) -> None:
    ceiling = ceil_to(value, step)
    assert is_multiple(ceiling, step)
    assert ceiling - step < value <= ceiling


@given(USUAL, STEPS)
def test_nearest_is_within_half_a_step(value: Decimal, step: Decimal) -> None:
    nearest = nearest_to(value, step)
    assert is_multiple(nearest, step)
    assert abs(nearest - value) * 2 <= step


@pytest.mark.parametrize(
    ("value", "floor", "ceiling", "nearest"),
    [
        ("0.1239", "0.123", "0.124", "0.124"),
        ("-0.1239", "-0.124", "-0.123", "-0.124"),
        ("0.0005", "0", "0.001", "0"),
        ("0.0015", "0.001", "0.002", "0.002"),
        ("-0.0005", "-0.001", "0", "0"),
        ("0.123", "0.123", "0.123", "0.123"),
    ],
)
def test_rounding_by_hand(value: str, floor: str, ceiling: str, nearest: str) -> None:
    step = Decimal("0.001")
    assert floor_to(Decimal(value), step) == Decimal(floor)
    assert ceil_to(Decimal(value), step) == Decimal(ceiling)
    assert nearest_to(Decimal(value), step) == Decimal(nearest)


def test_rounding_leaves_no_trailing_zeros_beyond_the_step() -> None:
    assert str(floor_to(Decimal("0.123456"), Decimal("0.001"))) == "0.123"


@pytest.mark.parametrize(
    ("seen", "exact"),
    [(0.1, "0.1"), (50_000.0, "50000.0"), (1e-9, "1E-9"), (1e22, "1E+22"), (50_000, "50000"), (2.675, "2.675")],
)
def test_an_observation_is_its_shortest_decimal(seen: float, exact: str) -> None:
    assert from_observation(seen) == Decimal(exact)
    assert float(from_observation(seen)) == seen


class Float64(float):
    """As NumPy's: a float whose `repr` is a constructor call."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)!r})"

    def __str__(self) -> str:
        return repr(float(self))


def test_an_observation_of_numpy_is_read_like_any_other() -> None:
    assert from_observation(Float64(0.1)) == Decimal("0.1")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_observation_reads_back_as_the_same_float(seen: float) -> None:
    assert float(from_observation(seen)) == seen


def test_money_is_settled_to_eight_places_half_to_even() -> None:
    assert settle(Decimal("1.000000005")) == Decimal("1.00000000")
    assert settle(Decimal("1.000000015")) == Decimal("1.00000002")
    assert settle(Decimal("-1.0000000051")) == Decimal("-1.00000001")


def test_floats_do_not_mix_with_money() -> None:
    with pytest.raises(FloatOperation):
        Decimal(float("0.1"))
    with pytest.raises(FloatOperation):
        _ = Decimal(1) < 1.5
    with pytest.raises(InvalidOperation):
        _ = Decimal("nan") < 1
    assert getcontext().prec == 34


def test_threads_started_later_compute_alike() -> None:
    found: list[tuple[int, str, bool]] = []

    def look() -> None:
        context = getcontext()
        found.append((context.prec, context.rounding, context.traps[FloatOperation]))

    thread = Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(34, ROUND_HALF_EVEN, True)]
