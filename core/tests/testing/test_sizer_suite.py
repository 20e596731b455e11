"""Each guard of the suite is shown a sizer that breaks what it guards."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import cast

import pytest
from pydantic import ConfigDict

from core.tests.testing.guards import guards_of
from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.sizing import RiskRatio, Sized, SizingRefused, SizingRequest, SizingStep
from quarterdeck.plugin import AccountView, Factory, Settings, Sizer
from quarterdeck.testing.sizer_suite import SizerSuite
from quarterdeck.testing.views import FakeView


class Honest:
    """Risks 1 %, by stop distance."""

    def __init__(self, settings: Settings) -> None:
        self.asked = 0

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        return RiskRatio(Decimal("0.01"), "any")

    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        distance = abs(request.entry_price - request.stop_price)
        if request.basis <= 0 or not distance:
            raise SizingRefused("NO_SIZE", "nothing to divide")
        risk = request.basis * Decimal("0.01")
        quantity = risk / distance
        return Sized(quantity, risk, Decimal("0.01"), "any", (SizingStep("honest", risk, quantity),))


class Lax(Settings):
    model_config = ConfigDict(extra="ignore")


class FloatRatio(Honest):
    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        return RiskRatio(cast("Decimal", 0.01), "any")


class NotANumber(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        return replace(super().size(request, view), quantity=Decimal("NaN"))


class Untraced(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        return replace(super().size(request, view), steps=())


class Talkative(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        sized = super().size(request, view)
        return replace(sized, steps=sized.steps * 33)


class RefusesAll(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        raise SizingRefused("NEVER", "not today")


class BoldOverview(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        return replace(super().size(request, view), risk_ratio=Decimal("0.02"))


class RisksMoreThanItsRatio(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        sized = super().size(request, view)
        return replace(sized, risk_amount=sized.risk_amount * 2)


class Doubler(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        sized = super().size(request, view)
        return replace(sized, quantity=sized.quantity * 2)


class Tiring(Honest):
    """Shrinks with every question, so that it depends on what was asked before."""

    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        self.asked += 1
        return replace(super().size(request, view), quantity=Decimal(1) / (self.asked + 10**9))


class Meddler(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        cast("FakeView", view).wallet = ZERO
        return super().size(request, view)


class DividesByZero(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        risk = request.basis * Decimal("0.01")
        quantity = risk / abs(request.entry_price - request.stop_price)
        return Sized(quantity, risk, Decimal("0.01"), "any", (SizingStep("bold", risk, quantity),))


class Mumbler(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        if request.basis <= 0:
            raise SizingRefused("no basis, sorry", "")
        return super().size(request, view)


class Slow(Honest):
    def size(self, request: SizingRequest, view: AccountView) -> Sized:
        total = 0
        for number in range(1_000):
            total += number
        return super().size(request, view)


def suite(build: type[Honest] = Honest, **changed: object) -> SizerSuite:
    described: Factory[Sizer] = Factory(name="some-sizer", settings=Settings, build=build, summary="sizes")

    class Suite(SizerSuite):
        factory = replace(described, **changed)  # type: ignore[arg-type]  # any field

    return Suite()


BROKEN = [
    (suite(name="Some Sizer"), "test_factory", "names are lower case"),
    (suite(summary=" "), "test_factory", "say in a line"),
    (suite(summary="a\nb"), "test_factory", "one line"),
    (suite(settings=dict), "test_factory", "derive from"),
    (suite(NotANumber), "test_answers_are_well_formed", "quantity Decimal\\('NaN'\\)"),
    (suite(Untraced), "test_answers_are_well_formed", "no trace"),
    (suite(Talkative), "test_answers_are_well_formed", "33 steps"),
    (suite(RefusesAll), "test_answers_are_well_formed", "refused every"),
    (suite(FloatRatio), "test_risk_ratio_is_well_formed", "ratio 0.01 of"),
    (suite(BoldOverview), "test_a_size_keeps_to_the_ratio", "0.02 is above 0.01"),
    (suite(RisksMoreThanItsRatio), "test_a_size_keeps_to_the_ratio", "risk .* is above"),
    (suite(Doubler), "test_the_stop_loses_no_more_than_the_risk", "the stop loses"),
    (suite(Tiring), "test_the_same_question_has_the_same_answer", "a second time"),
    (suite(Meddler), "test_the_account_is_left_alone", "changed the view"),
    (suite(Mumbler), "test_nonsense_is_refused_or_sized_but_never_raises", "is not a code"),
    (suite(Slow), "test_cost", "the budget is 500"),
]


@pytest.mark.parametrize("guard", guards_of(SizerSuite))
def test_an_honest_sizer_passes(guard: str) -> None:
    getattr(suite(), guard)()


@pytest.mark.parametrize(("broken", "guard", "complaint"), BROKEN)
def test_a_broken_sizer_is_noticed(broken: SizerSuite, guard: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        getattr(broken, guard)()


def test_settings_that_take_any_key_are_noticed() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        suite(settings=Lax).test_factory()


def test_any_other_exception_is_noticed() -> None:
    with pytest.raises(ArithmeticError):
        suite(DividesByZero).test_nonsense_is_refused_or_sized_but_never_raises()


def test_every_guard_was_seen_to_fail() -> None:
    assert {guard for _, guard, _ in BROKEN} == set(guards_of(SizerSuite))
