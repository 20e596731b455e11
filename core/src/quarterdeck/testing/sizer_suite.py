"""Owns the compliance suite for sizers: what the engine relies on, whoever wrote the sizer.

A plugin's tests subclass it and name the factory:

    class TestMySizer(SizerSuite):
        factory = quarterdeck_sizers()[0]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from decimal import Context, Decimal
from functools import partial
from typing import ClassVar

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Side
from quarterdeck.domain.sizing import Sized, SizingRefused, SizingRequest, SizingStep
from quarterdeck.plugin import Factory, Sizer
from quarterdeck.testing.checks import CODE, build, check_factory, is_exact, lines_run, money_arithmetic
from quarterdeck.testing.views import BTCUSDT, PEPEUSDT_SPOT, FakeView

_BASES = [
    Decimal(text)
    for text in ("0.00000001", "1", "9999.99999999", "10000", "50000.5", "100000", "123456789.12345678", "1E+15")
]
_TRADES = [
    (BTCUSDT, Side.BUY, Decimal(50_000), Decimal(49_000)),
    (BTCUSDT, Side.BUY, Decimal(50_000), Decimal("0.1")),
    (BTCUSDT, Side.SELL, Decimal("50000.1"), Decimal("50000.2")),
    (PEPEUSDT_SPOT, Side.BUY, Decimal("0.0000123400"), Decimal("0.0000123399")),
]
_NONSENSE = [
    (Decimal(10_000), Side.BUY, Decimal(50_000), Decimal(50_000)),
    (Decimal(10_000), Side.BUY, Decimal(50_000), Decimal(51_000)),
    (Decimal(10_000), Side.SELL, Decimal(50_000), Decimal(49_000)),
    (Decimal(10_000), Side.BUY, Decimal(50_000), Decimal(0)),
    (Decimal(10_000), Side.BUY, Decimal(0), Decimal(-1)),
    (Decimal(0), Side.BUY, Decimal(50_000), Decimal(49_000)),
    (Decimal(-10_000), Side.BUY, Decimal(50_000), Decimal(49_000)),
]
_ROOMY = Context(prec=200)
_MAX_STEPS = 32


class SizerSuite:
    """Tests for one sizer, built from `factory` with `settings`."""

    factory: ClassVar[Factory[Sizer]]
    settings: ClassVar[Mapping[str, object]] = {}
    """The settings table to test with."""
    line_budget: ClassVar[int] = 500
    """How many lines of Python one size may take. It runs once for every entry, in the engine's thread."""

    def test_factory(self) -> None:
        """It has a name, a summary and strict settings, and can be built."""
        check_factory(self.factory, self.settings)

    def test_answers_are_well_formed(self) -> None:
        """Every number is a finite Decimal in range, and the trace tells how it came about."""
        sizer, answers = self._sizer(), 0
        for request in _requests():
            sized = _ask(sizer, request)
            if isinstance(sized, Sized):
                answers += 1
                _check_sized(sized, request)
        assert answers, "it refused every ordinary request"

    def test_risk_ratio_is_well_formed(self) -> None:
        """For any balance above zero there is a ratio above zero and not above one, and a tier."""
        sizer = self._sizer()
        with money_arithmetic():
            for basis in _BASES:
                answer = sizer.risk_ratio(basis)
                assert is_exact(answer.ratio), f"ratio {answer.ratio!r} of {basis} is not a finite Decimal"
                assert 0 < answer.ratio <= 1, f"ratio {answer.ratio} of {basis} is not a part"
                assert answer.tier.strip(), f"no tier for {basis}"
                _check_steps(answer.steps)

    def test_a_size_keeps_to_the_ratio(self) -> None:
        """What a size risks is at most what `risk_ratio` says for the same balance: the overview does not lie."""
        sizer = self._sizer()
        for request in _requests():
            sized = _ask(sizer, request)
            if isinstance(sized, Sized):
                allowed = sizer.risk_ratio(request.basis).ratio
                assert sized.risk_ratio <= allowed, f"{sized.risk_ratio} is above {allowed} for {request.basis}"
                most = _ROOMY.multiply(request.basis, sized.risk_ratio)
                assert sized.risk_amount <= most, f"risk {sized.risk_amount} is above {most}"

    def test_the_stop_loses_no_more_than_the_risk(self) -> None:
        """Quantity times stop distance is at most `risk_amount`; a last digit in 1e-18 is forgiven."""
        sizer = self._sizer()
        for request in _requests():
            sized = _ask(sizer, request)
            if isinstance(sized, Sized):
                distance = abs(request.entry_price - request.stop_price)
                loss = _ROOMY.multiply(sized.quantity, distance)
                most = _ROOMY.multiply(sized.risk_amount, Decimal("1.000000000000000001"))
                assert loss <= most, f"the stop loses {loss}, the risk is {sized.risk_amount}: {request}"

    def test_the_same_question_has_the_same_answer(self) -> None:
        """Asked again, in another order, or of another instance: nothing is remembered between questions."""
        one, other = self._sizer(), self._sizer()
        requests = list(_requests())
        first = [_ask(one, request) for request in requests]
        assert [_ask(one, request) for request in requests] == first, "a second time, the answers differ"
        backwards = [_ask(other, request) for request in reversed(requests)]
        assert backwards[::-1] == first, "two instances, asked in different order, disagree"

    def test_the_account_is_left_alone(self) -> None:
        """The view it is shown is the same afterwards."""
        sizer = self._sizer()
        for request in _requests():
            view = _view(request)
            before = deepcopy(view)
            _ask(sizer, request, view)
            assert view == before, "it changed the view"

    def test_nonsense_is_refused_or_sized_but_never_raises(self) -> None:
        """A stop at or beyond the entry, no balance, no price: SizingRefused is the only exception."""
        sizer = self._sizer()
        for basis, side, entry, stop in _NONSENSE:
            request = SizingRequest(BTCUSDT, side, entry, stop, basis)
            sized = _ask(sizer, request)
            if isinstance(sized, Sized):
                _check_sized(sized, request)

    def test_cost(self) -> None:
        """One size stays within `line_budget`."""
        sizer = self._sizer()
        for request in _requests():
            lines = lines_run(partial(_ask, sizer, request))
            assert lines <= self.line_budget, f"{lines} lines for one size, the budget is {self.line_budget}"

    def _sizer(self) -> Sizer:
        return build(self.factory, self.settings)


def _requests() -> Iterator[SizingRequest]:
    for basis in _BASES:
        for instrument, side, entry, stop in _TRADES:
            yield SizingRequest(instrument, side, entry, stop, basis)


def _view(request: SizingRequest) -> FakeView:
    instrument: Instrument = request.instrument
    money = request.basis
    return FakeView(
        wallet=money,
        equity=money,
        day_start_equity=money,
        peak_equity=money,
        marks={instrument.symbol: request.entry_price},
    )


def _ask(sizer: Sizer, request: SizingRequest, view: FakeView | None = None) -> Sized | str:
    """A size, or the reason there is none."""
    with money_arithmetic():
        try:
            return sizer.size(request, view or _view(request))
        except SizingRefused as refused:
            reason, detail = refused.reason, str(refused)
    assert CODE.fullmatch(reason), f"reason {reason!r} is not a code such as NO_BASIS"
    assert detail.strip(), f"{reason} says nothing to a person"
    return reason


def _check_sized(sized: Sized, request: SizingRequest) -> None:
    for name in ("quantity", "risk_amount", "risk_ratio"):
        value = getattr(sized, name)
        assert is_exact(value), f"{name} {value!r} is not a finite Decimal"
        assert value >= 0, f"{name} {value} is negative"
    assert sized.risk_ratio <= 1, f"risk_ratio {sized.risk_ratio} is more than everything"
    assert sized.risk_amount <= request.basis, f"risk_amount {sized.risk_amount} is more than all of {request.basis}"
    assert sized.tier.strip(), "no tier"
    assert sized.steps, "no trace: nobody could be told how the size came about"
    _check_steps(sized.steps)


def _check_steps(steps: tuple[SizingStep, ...]) -> None:
    assert isinstance(steps, tuple), "steps are a tuple"
    assert len(steps) <= _MAX_STEPS, f"{len(steps)} steps; the trace of every order carries them, keep to {_MAX_STEPS}"
    for step in steps:
        assert step.rule.strip(), f"{step} has no rule"
        for value in (step.before, step.after, *dict(step.inputs).values()):
            assert is_exact(value), f"{step} has a number that is not a finite Decimal"
