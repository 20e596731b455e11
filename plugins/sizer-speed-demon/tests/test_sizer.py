from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.domain.market import Side
from quarterdeck.domain.sizing import SizingRefused, SizingRequest
from quarterdeck.testing.views import BTCUSDT, FakeView
from quarterdeck_sizer_speed_demon.settings import SpeedDemonSettings
from quarterdeck_sizer_speed_demon.sizer import SpeedDemon

SIZER = SpeedDemon(SpeedDemonSettings())
WITH_FEES = SpeedDemon(SpeedDemonSettings(include_fees=True))
LONG = SizingRequest(BTCUSDT, Side.BUY, Decimal(50_000), Decimal(49_000), Decimal(5_000))
SHORT = SizingRequest(BTCUSDT, Side.SELL, Decimal(50_000), Decimal(51_000), Decimal(5_000))
VIEW = FakeView()
EXACT = Context(prec=200)


@pytest.mark.parametrize("request_", [LONG, SHORT], ids=["long", "short"])
def test_the_published_example(request_: SizingRequest) -> None:
    sized = SIZER.size(request_, VIEW)
    assert (sized.quantity, sized.risk_amount) == (Decimal("0.1"), Decimal(100))
    assert (sized.risk_ratio, sized.tier) == (Decimal("0.02"), "small")


def test_every_step_is_told() -> None:
    steps = SIZER.size(replace(LONG, basis=Decimal(50_000)), VIEW).steps
    assert [(step.rule, step.before, step.after) for step in steps] == [
        ("speed-demon.ratio", Decimal(50_000), Decimal("0.0111666843")),
        ("speed-demon.risk_amount", Decimal(50_000), Decimal("558.334215")),
        ("speed-demon.stop_distance", Decimal(50_000), Decimal(1_000)),
        ("speed-demon.quantity", Decimal("558.334215"), Decimal("0.558334215")),
    ]
    assert dict(steps[0].inputs) == {
        "small_balance": 10_000,
        "large_balance": 100_000,
        "max_ratio": Decimal("0.02"),
        "min_ratio": Decimal("0.005"),
        "decay": 2,
    }


def test_the_overview_gives_the_ratio_and_its_step() -> None:
    answer = SIZER.risk_ratio(Decimal(100_000))
    assert (answer.ratio, answer.tier) == (Decimal("0.005"), "large")
    assert [step.rule for step in answer.steps] == ["speed-demon.ratio"]


@pytest.mark.parametrize(("request_", "unit_loss"), [(LONG, "1054.45"), (SHORT, "1055.55")], ids=["long", "short"])
def test_with_fees_a_unit_loses_two_taker_fees_more(request_: SizingRequest, unit_loss: str) -> None:
    sized = WITH_FEES.size(request_, VIEW)
    fees = sized.steps[3]
    assert (fees.rule, fees.before, fees.after) == ("speed-demon.fees", Decimal(1_000), Decimal(unit_loss))
    assert sized.risk_amount - Decimal("1E-12") < sized.quantity * Decimal(unit_loss) <= sized.risk_amount


@pytest.mark.parametrize(
    ("changed", "reason", "told"),
    [
        ({"stop_price": Decimal(50_000)}, "STOP_AT_ENTRY", "50000"),
        ({"stop_price": Decimal("50000.1")}, "STOP_SIDE", "stop 50000.1 must be below entry 50000 to buy"),
        ({"side": Side.SELL}, "STOP_SIDE", "stop 49000 must be above entry 50000 to sell"),
        ({"stop_price": Decimal(0)}, "NO_PRICE", "stop 0"),
        ({"entry_price": Decimal(0)}, "NO_PRICE", "entry 0"),
        ({"basis": Decimal(0)}, "NO_BASIS", "basis 0 must be above zero"),
        ({"basis": Decimal(-5)}, "NO_BASIS", "basis -5"),
    ],
)
def test_what_has_no_size_is_refused_with_its_numbers(changed: dict[str, object], reason: str, told: str) -> None:
    with pytest.raises(SizingRefused, match=told) as refused:
        SIZER.size(replace(LONG, **changed), VIEW)  # type: ignore[arg-type]  # one field of any type at a time
    assert refused.value.reason == reason


PRICES = st.decimals(min_value="0.0000000001", max_value=10**7, places=10)
MONEY = st.decimals(min_value="0.00000001", max_value=10**12, places=8)


@given(PRICES, PRICES, MONEY, st.booleans())
def test_the_stop_never_loses_more_than_the_risk(entry: Decimal, stop: Decimal, basis: Decimal, fees: bool) -> None:
    side = Side.BUY if stop < entry else Side.SELL
    if entry == stop:
        return
    sized = (WITH_FEES if fees else SIZER).size(SizingRequest(BTCUSDT, side, entry, stop, basis), VIEW)
    paid = BTCUSDT.taker_fee_rate * (entry + stop) if fees else Decimal(0)
    assert EXACT.multiply(sized.quantity, abs(entry - stop) + paid) <= sized.risk_amount
    assert sized.risk_amount <= EXACT.multiply(basis, sized.risk_ratio)


def test_a_quantity_that_does_not_end_is_cut_off() -> None:
    sized = SIZER.size(replace(LONG, stop_price=Decimal(49_400)), VIEW)
    assert sized.quantity == Decimal("0.166666666666666666")


@given(PRICES, MONEY)
def test_the_callers_arithmetic_changes_nothing(entry: Decimal, basis: Decimal) -> None:
    request = SizingRequest(BTCUSDT, Side.BUY, entry + 1, entry, basis)
    expected = SIZER.size(request, VIEW)
    with localcontext() as context:
        context.prec = 3
        assert SIZER.size(request, VIEW) == expected
