"""Each guard of the suite is shown a scaler that breaks what it guards."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import pytest

from core.tests.testing.guards import guards_of
from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.sizing import Scale, SizingRequest
from quarterdeck.plugin import AccountView, Factory, Scaler, Settings
from quarterdeck.testing.scaler_suite import ScalerSuite
from quarterdeck.testing.views import FakeView


class Honest:
    """Half of everything."""

    name = "half"

    def __init__(self, settings: Settings) -> None:
        self.asked = 0

    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        return Scale(Decimal("0.5"), "half")


class Nameless(Honest):
    name = "Half Of It"


class Always(Honest):
    answer: object

    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        return cast("Scale", self.answer)


def always(answer: object) -> type[Honest]:
    return type("AlwaysThis", (Always,), {"answer": answer})


class Tiring(Honest):
    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        self.asked += 1
        return Scale(Decimal(1) / self.asked)


class Lucky(Honest):
    """Depends on which question was its first."""

    first: SizingRequest | None = None

    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        self.first = self.first or request
        return Scale(Decimal(1) if self.first.basis > 1 else Decimal("0.1"), self.first.instrument.symbol)


class Meddler(Honest):
    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        cast("FakeView", view).wallet = Decimal(7)
        return super().factor(request, view)


class Slow(Honest):
    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        total = 0
        for number in range(1_000):
            total += number
        return super().factor(request, view)


class DividesByEquity(Honest):
    def factor(self, request: SizingRequest, view: AccountView) -> Scale:
        return Scale(min(abs(1 / view.equity), Decimal(1)))


def suite(build: type[Honest] = Honest, name: str = "some-scaler") -> ScalerSuite:
    described: Factory[Scaler] = Factory(name=name, settings=Settings, build=build, summary="scales")

    class Suite(ScalerSuite):
        factory = described

    return Suite()


WELL_FORMED = "test_factors_are_well_formed"
SAME = "test_the_same_question_has_the_same_answer"
BROKEN = [
    (suite(name="Some Scaler"), "test_factory", "names are lower case"),
    (suite(Nameless), "test_name", "names are lower case"),
    (suite(always(Scale(ZERO))), "test_an_ordinary_trade_is_not_scaled_away", "nothing is left"),
    (suite(always(Decimal(1))), WELL_FORMED, "it answered Decimal"),
    (suite(always(Scale(cast("Decimal", 0.5)))), WELL_FORMED, "is not a finite Decimal"),
    (suite(always(Scale(Decimal("NaN")))), WELL_FORMED, "is not a finite Decimal"),
    (suite(always(Scale(Decimal("1.1")))), WELL_FORMED, "can't enlarge"),
    (suite(always(Scale(Decimal("-0.1")))), WELL_FORMED, "is not a part"),
    (suite(Tiring), SAME, "a second time"),
    (suite(Lucky), SAME, "two instances"),
    (suite(Meddler), "test_the_account_is_left_alone", "changed the view"),
    (suite(Slow), "test_cost", "the budget is 200"),
]


@pytest.mark.parametrize("guard", guards_of(ScalerSuite))
def test_an_honest_scaler_passes(guard: str) -> None:
    getattr(suite(), guard)()


@pytest.mark.parametrize(("broken", "guard", "complaint"), BROKEN)
def test_a_broken_scaler_is_noticed(broken: ScalerSuite, guard: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        getattr(broken, guard)()


def test_an_exception_is_noticed() -> None:
    with pytest.raises(ArithmeticError):
        suite(DividesByEquity).test_factors_are_well_formed()


def test_every_guard_was_seen_to_fail() -> None:
    assert {guard for _, guard, _ in BROKEN} == set(guards_of(ScalerSuite))
