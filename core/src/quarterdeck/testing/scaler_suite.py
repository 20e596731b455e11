"""Owns the compliance suite for scalers: what sizing relies on, whoever wrote the scaler.

A plugin's tests subclass it and name the factory:

    class TestMyScaler(ScalerSuite):
        factory = quarterdeck_scalers()[0]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import ClassVar

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.market import Side
from quarterdeck.domain.risk import TradingState
from quarterdeck.domain.sizing import Scale, SizingRequest
from quarterdeck.plugin import Factory, Scaler
from quarterdeck.testing.checks import NAME, build, check_factory, is_exact, lines_run, money_arithmetic
from quarterdeck.testing.views import BTCUSDT, PEPEUSDT_SPOT, FakeView

#: An entry as any bot might want it.
ORDINARY = SizingRequest(BTCUSDT, Side.BUY, Decimal(50_000), Decimal(49_500), Decimal(10_000))

_REQUESTS = [
    ORDINARY,
    replace(ORDINARY, side=Side.SELL, stop_price=Decimal(51_000)),
    replace(ORDINARY, stop_price=Decimal("0.1")),
    replace(ORDINARY, stop_price=Decimal("49999.9"), basis=Decimal("0.01")),
    SizingRequest(PEPEUSDT_SPOT, Side.BUY, Decimal("0.00001234"), Decimal("0.00001"), Decimal("1E+12")),
]


class ScalerSuite:
    """Tests for one scaler, built from `factory` with `settings`."""

    factory: ClassVar[Factory[Scaler]]
    settings: ClassVar[Mapping[str, object]] = {}
    """The settings table to test with."""
    ordinary_view: ClassVar[FakeView] = FakeView(marks={BTCUSDT.symbol: Decimal(50_000)})
    """An account in which `ORDINARY` should be traded, at whatever size."""
    line_budget: ClassVar[int] = 200
    """How many lines of Python one factor may take. It runs for every entry, in the engine's thread."""

    def test_factory(self) -> None:
        """It has a name, a summary and strict settings, and can be built."""
        check_factory(self.factory, self.settings)

    def test_name(self) -> None:
        """The sizing trace can name it."""
        name = self._scaler().name
        assert NAME.fullmatch(name), f"{name!r}: names are lower case words joined by dashes"

    def test_an_ordinary_trade_is_not_scaled_away(self) -> None:
        """The factor of `ORDINARY` in `ordinary_view` is above zero."""
        assert _ask(self._scaler(), ORDINARY, self.ordinary_view).factor > 0, "nothing is left of an ordinary trade"

    def test_factors_are_well_formed(self) -> None:
        """A finite Decimal from 0 to 1, whatever the state of the account. Never an exception."""
        scaler = self._scaler()
        for request, view in self._questions():
            scale = _ask(scaler, request, view)
            assert isinstance(scale, Scale), f"it answered {scale!r}"
            assert is_exact(scale.factor), f"factor {scale.factor!r} is not a finite Decimal"
            assert 0 <= scale.factor <= 1, f"factor {scale.factor} is not a part: a scaler can't enlarge a trade"

    def test_the_same_question_has_the_same_answer(self) -> None:
        """Asked again, in another order, or of another instance: nothing is remembered between questions."""
        one, other = self._scaler(), self._scaler()
        questions = list(self._questions())
        first = [_ask(one, *question) for question in questions]
        assert [_ask(one, *question) for question in questions] == first, "a second time, the answers differ"
        backwards = [_ask(other, *question) for question in reversed(questions)]
        assert backwards[::-1] == first, "two instances, asked in different order, disagree"

    def test_the_account_is_left_alone(self) -> None:
        """The view it is shown is the same afterwards."""
        scaler = self._scaler()
        for request, view in self._questions():
            before = deepcopy(view)
            _ask(scaler, request, view)
            assert view == before, "it changed the view"

    def test_cost(self) -> None:
        """One factor stays within `line_budget`."""
        scaler = self._scaler()
        for question in self._questions():
            lines = lines_run(partial(_ask, scaler, *question))
            assert lines <= self.line_budget, f"{lines} lines for one factor, the budget is {self.line_budget}"

    def _scaler(self) -> Scaler:
        return build(self.factory, self.settings)

    def _questions(self) -> Iterator[tuple[SizingRequest, FakeView]]:
        good = self.ordinary_view
        accounts = [
            good,
            replace(good, marks={}),
            replace(good, equity=Decimal("9600.00000001")),
            replace(good, equity=Decimal(5_000), trading_state=TradingState.REDUCING),
            replace(good, equity=ZERO, wallet=ZERO, trading_state=TradingState.HALTED),
            replace(good, equity=Decimal(-3), wallet=Decimal(-3)),
            replace(good, day_start_equity=ZERO, peak_equity=ZERO),
            replace(good, positions={BTCUSDT.symbol: Decimal(-1)}, open_risks={BTCUSDT.symbol: Decimal(500)}),
        ]
        for view in accounts:
            for request in _REQUESTS:
                yield request, view


def _ask(scaler: Scaler, request: SizingRequest, view: FakeView) -> Scale:
    with money_arithmetic():
        return scaler.factor(request, view)
