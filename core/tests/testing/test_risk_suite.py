"""Each guard of the suite is shown rules that break what it guards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast

import pytest

from core.tests.testing.guards import guards_of
from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused
from quarterdeck.plugin import AccountView, Factory, RiskRule, Settings
from quarterdeck.testing.risk_suite import RiskRuleSuite
from quarterdeck.testing.views import FakeView


class Honest:
    """No entry while equity is not above zero."""

    name = "solvent"

    def __init__(self) -> None:
        self.asked = 0

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        equity = view.equity
        return Refused(self.name, "NO_EQUITY", ZERO, equity) if equity <= 0 else None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return [LimitStatus(self.name, "min_equity", ZERO, view.equity)]


class Misnamed(Honest):
    name = "Solvent Rule"


class RefusesAll(Honest):
    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        return Refused(self.name, "NEVER")


class Yes(Honest):
    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        return cast("Refused", bool(view.equity)) if view.equity > 0 else None


class SpeaksForAnother(Honest):
    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        refused = super().check(draft, view)
        return refused and replace(refused, rule="core")


class Chatty(Honest):
    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        refused = super().check(draft, view)
        return refused and replace(refused, reason="there is no equity left")


class Approximate(Honest):
    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        refused = super().check(draft, view)
        return refused and replace(refused, observed=cast("Decimal", 0.5))


class Counting(Honest):
    """Remembers how often it was asked instead of asking the view."""

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        self.asked += 1
        return Refused(self.name, "TOO_MANY") if self.asked > 50 else super().check(draft, view)


class Meddler(Honest):
    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        cast("FakeView", view).wallet = Decimal(1)
        return super().limits(view)


class Shrugs(Honest):
    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        try:
            return super().check(draft, view)
        except LookupError:
            return None


class ListsAnother(Honest):
    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return [LimitStatus("core", "min_equity", ZERO, ZERO)]


class ListsTwice(Honest):
    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return [*super().limits(view), *super().limits(view)]


class ListsNothingKnown(Honest):
    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return [LimitStatus(self.name, "min_equity", ZERO, Decimal("Infinity"))]


class Divides(Honest):
    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        return [LimitStatus(self.name, "wallet_part", ZERO, view.wallet / view.equity)]


class Slow(Honest):
    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        for _ in range(100):
            self.asked = 0
        return super().check(draft, view)


def suite(*rules: Callable[[], RiskRule], **changed: object) -> RiskRuleSuite:
    described: Factory[Sequence[RiskRule]] = Factory(
        name="some-rules", settings=Settings, build=lambda _: [rule() for rule in rules], summary="refuses"
    )

    class Suite(RiskRuleSuite):
        factory = replace(described, **changed)  # type: ignore[arg-type]  # any field

    return Suite()


BROKEN = [
    (suite(Honest, name="Rules"), "test_factory", "names are lower case"),
    (suite(), "test_names", "no rules"),
    (suite(Honest, Honest), "test_names", "two rules"),
    (suite(Misnamed), "test_names", "'Solvent Rule'"),
    (suite(Honest, RefusesAll), "test_an_ordinary_order_passes", "refuses an ordinary order"),
    (suite(Yes), "test_verdicts_are_well_formed", "answered True"),
    (suite(SpeaksForAnother), "test_verdicts_are_well_formed", "in the name of 'core'"),
    (suite(Chatty), "test_verdicts_are_well_formed", "is not a code"),
    (suite(Approximate), "test_verdicts_are_well_formed", "not a finite Decimal"),
    (suite(Counting), "test_the_same_question_has_the_same_answer", "in another order"),
    (suite(Meddler), "test_the_account_is_left_alone", "changed the view"),
    (suite(Shrugs), "test_what_can_not_be_read_is_not_approved", "approved without"),
    (suite(ListsAnother), "test_limits_are_well_formed", "a limit of 'core'"),
    (suite(ListsTwice), "test_limits_are_well_formed", "twice"),
    (suite(ListsNothingKnown), "test_limits_are_well_formed", "not a finite Decimal"),
    (suite(Slow), "test_cost", "the budget is 100"),
]


@pytest.mark.parametrize("guard", guards_of(RiskRuleSuite))
def test_an_honest_rule_passes(guard: str) -> None:
    getattr(suite(Honest), guard)()


@pytest.mark.parametrize(("broken", "guard", "complaint"), BROKEN)
def test_a_broken_rule_is_noticed(broken: RiskRuleSuite, guard: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        getattr(broken, guard)()


def test_an_exception_is_noticed() -> None:
    with pytest.raises(ArithmeticError):
        suite(Divides).test_limits_are_well_formed()


def test_every_guard_was_seen_to_fail() -> None:
    assert {guard for _, guard, _ in BROKEN} == set(guards_of(RiskRuleSuite))
