"""Owns the compliance suite for sets of risk rules: what the engine's gate relies on, whoever wrote them.

A plugin's tests subclass it and name the factory:

    class TestMyRules(RiskRuleSuite):
        factory = quarterdeck_risk_rules()[0]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import ClassVar, NoReturn, cast

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.market import SECOND, Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused, TradingState
from quarterdeck.plugin import AccountView, Factory, RiskRule
from quarterdeck.testing.checks import CODE, NAME, build, check_factory, is_exact, lines_run, money_arithmetic
from quarterdeck.testing.views import BTCUSDT, FakeView

_MARK = Decimal(50_000)
_MARKET_BUY = OrderTerms(BTCUSDT.symbol, Side.BUY, OrderType.MARKET, Decimal("0.01"), stop_loss=Decimal(49_000))


def _draft(reference_price: Decimal = _MARK, **terms: object) -> OrderDraft:
    changed = replace(_MARKET_BUY, **terms)  # type: ignore[arg-type]  # one field of any type at a time
    return OrderDraft(changed, OrderRole.ENTRY, "some-bot", reference_price)


ORDINARY = _draft()
_DRAFTS = [
    ORDINARY,
    _draft(side=Side.SELL, stop_loss=Decimal(51_000)),
    _draft(stop_loss=None),
    _draft(stop_loss=Decimal(51_000)),
    _draft(quantity=Decimal("0.001")),
    _draft(quantity=Decimal(1_000_000)),
    _draft(Decimal(25_000), type=OrderType.LIMIT, limit_price=Decimal(25_000), stop_loss=Decimal("24999.9")),
    _draft(Decimal("0.1"), type=OrderType.LIMIT, limit_price=Decimal("0.1"), stop_loss=None),
    _draft(symbol="never-heard-of"),
]


class RiskRuleSuite:
    """Tests for one set of rules, built from `factory` with `settings`."""

    factory: ClassVar[Factory[Sequence[RiskRule]]]
    settings: ClassVar[Mapping[str, object]] = {}
    """The settings table to test with."""
    ordinary_view: ClassVar[FakeView] = FakeView(marks={BTCUSDT.symbol: _MARK})
    """An account in which `ORDINARY`, an entry that risks 0.1 % of it, should pass."""
    line_budget: ClassVar[int] = 100
    """How many lines of Python one check may take. It runs for every entry, in the engine's thread."""

    def test_factory(self) -> None:
        """It has a name, a summary and strict settings, and can be built."""
        check_factory(self.factory, self.settings)

    def test_names(self) -> None:
        """There are rules, and each can be told from the others in a refusal."""
        names = [rule.name for rule in self._rules()]
        assert names, "no rules: everything would be refused"
        assert len(set(names)) == len(names), f"two rules have one name: {names}"
        for name in names:
            assert NAME.fullmatch(name), f"{name!r}: names are lower case words joined by dashes"

    def test_an_ordinary_order_passes(self) -> None:
        """`ORDINARY` in `ordinary_view`: rules that refuse everything need no bot."""
        for rule in self._rules():
            refused = _ask(rule, ORDINARY, self.ordinary_view)
            assert refused is None, f"{rule.name} refuses an ordinary order: {refused}"

    def test_verdicts_are_well_formed(self) -> None:
        """None, or a refusal in the rule's own name, with a reason code and exact numbers. Never an exception."""
        for rule, draft, view in self._questions():
            refused = _ask(rule, draft, view)
            if refused is None:
                continue
            assert isinstance(refused, Refused), f"{rule.name} answered {refused!r}"
            assert refused.rule == rule.name, f"{rule.name} refuses in the name of {refused.rule!r}"
            assert CODE.fullmatch(refused.reason), f"reason {refused.reason!r} is not a code such as NO_MARK"
            for number in (refused.limit, refused.observed):
                assert number is None or is_exact(number), f"{refused} has a number that is not a finite Decimal"

    def test_the_same_question_has_the_same_answer(self) -> None:
        """Asked again, in another order, or of another instance: what was approved is in the view, not in the rule."""
        first = [_ask(*question) for question in self._questions()]
        questions = list(self._questions())
        assert [_ask(*question) for question in questions] == first, "two instances disagree"
        backwards = [_ask(*question) for question in reversed(questions)]
        assert backwards[::-1] == first, "asked again in another order, the answers differ"

    def test_the_account_is_left_alone(self) -> None:
        """Neither a check nor the list of limits changes the view."""
        for rule, draft, view in self._questions():
            before = deepcopy(view)
            _ask(rule, draft, view)
            _limits(rule, view)
            assert view == before, f"{rule.name} changed the view"

    def test_what_can_not_be_read_is_not_approved(self) -> None:
        """A rule that fails to read what it needs raises or refuses; it does not shrug."""
        for rule in self._rules():
            for draft in _DRAFTS:
                blind = _Blind()
                try:
                    refused = rule.check(draft, cast("AccountView", blind))
                except _NotThereError:
                    continue
                assert refused is not None or not blind.asked, f"{rule.name} approved without what it asked for"

    def test_limits_are_well_formed(self) -> None:
        """Whatever the state of the account: limits under the rule's name, each named once, in exact numbers."""
        for view in self._views():
            seen: set[tuple[str, str]] = set()
            for rule in self._rules():
                for status in _limits(rule, view):
                    assert isinstance(status, LimitStatus), f"{rule.name} lists {status!r}"
                    assert status.rule == rule.name, f"{rule.name} lists a limit of {status.rule!r}"
                    assert status.name.strip(), f"{status} has no name"
                    assert (status.rule, status.name) not in seen, f"{status.rule} lists {status.name!r} twice"
                    seen.add((status.rule, status.name))
                    exact = is_exact(status.limit) and (status.observed is None or is_exact(status.observed))
                    assert exact, f"{status} has a number that is not a finite Decimal"

    def test_cost(self) -> None:
        """One check stays within `line_budget`."""
        for rule, draft, view in self._questions():
            lines = lines_run(partial(_ask, rule, draft, view))
            assert lines <= self.line_budget, f"{rule.name}: {lines} lines, the budget is {self.line_budget}"

    def _rules(self) -> Sequence[RiskRule]:
        return build(self.factory, self.settings)

    def _questions(self) -> Iterator[tuple[RiskRule, OrderDraft, FakeView]]:
        rules = self._rules()
        for view in self._views():
            for draft in _DRAFTS:
                for rule in rules:
                    yield rule, draft, view

    def _views(self) -> Iterator[FakeView]:
        """The ordinary account, and it in every kind of trouble."""
        good = self.ordinary_view
        many = {f"coin{number}usdt": Decimal(1) for number in range(50)}
        yield good
        yield replace(good, marks={})
        yield replace(good, marks={BTCUSDT.symbol: ZERO})
        yield replace(good, equity=Decimal("9600.00000001"))
        yield replace(good, equity=Decimal(5_000), trading_state=TradingState.REDUCING)
        yield replace(good, equity=ZERO, wallet=ZERO, trading_state=TradingState.HALTED)
        yield replace(good, equity=Decimal(-3), wallet=Decimal(-3))
        yield replace(good, day_start_equity=ZERO, peak_equity=ZERO)
        yield replace(good, positions=many, marks={**good.marks, **many}, open_risks=many)
        yield replace(good, entry_times=[good.now - second * SECOND for second in range(3_600, 0, -1)])


class _NotThereError(LookupError):
    """What was asked for is missing."""


class _Blind:
    """A view from which nothing can be read."""

    asked = False

    def __getattr__(self, name: str) -> NoReturn:
        self.asked = True
        raise _NotThereError(name)


def _ask(rule: RiskRule, draft: OrderDraft, view: FakeView) -> Refused | None:
    with money_arithmetic():
        return rule.check(draft, view)


def _limits(rule: RiskRule, view: FakeView) -> Sequence[LimitStatus]:
    with money_arithmetic():
        return list(rule.limits(view))
