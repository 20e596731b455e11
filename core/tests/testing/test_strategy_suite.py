"""Each guard of the suite is shown a strategy that breaks what it guards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar, cast

import pytest

from core.tests.testing.guards import guards_of
from quarterdeck.domain.market import Candle
from quarterdeck.domain.signal import Action, Holding, Signal
from quarterdeck.plugin import Factory, Settings, Strategy
from quarterdeck.testing.strategy_suite import StrategySuite, random_walk


class Honest:
    """Buys after three rising closes, sells short after three falling ones, leaves on the next that turns."""

    warmup = 3

    def __init__(self, settings: Settings) -> None:
        self.closes: list[float] = []

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.closes = [*self.closes[-3:], candle.close]
        steps = [after - before for before, after in pairwise(self.closes)]
        if holding.direction and steps[-1] * holding.direction < 0:
            yield Signal(Action.EXIT)
        elif len(steps) == 3 and not holding.direction and all(step > 0 for step in steps):
            yield self.entry(Signal(Action.ENTER_LONG, candle.close * 0.99, candle.close * 1.02))
        elif len(steps) == 3 and not holding.direction and all(step < 0 for step in steps):
            yield self.entry(Signal(Action.ENTER_SHORT, candle.close * 1.01, candle.close * 0.98))

    def entry(self, signal: Signal) -> Signal:
        return signal


class Silent(Honest):
    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        return ()


class NoStop(Honest):
    def entry(self, signal: Signal) -> Signal:
        return replace(signal, stop=None)


class WrongSide(Honest):
    def entry(self, signal: Signal) -> Signal:
        return replace(signal, stop=signal.take_profit)


class LossTarget(Honest):
    def entry(self, signal: Signal) -> Signal:
        return replace(signal, take_profit=signal.stop)


class BeyondItsLimit(Honest):
    def entry(self, signal: Signal) -> Signal:
        return replace(signal, limit=signal.stop)


class Endless(Honest):
    def entry(self, signal: Signal) -> Signal:
        return replace(signal, take_profit=float("inf"))


class Words(Honest):
    def entry(self, signal: Signal) -> Signal:
        return cast("Signal", "buy")


class Letters(Honest):
    def entry(self, signal: Signal) -> Signal:
        return replace(signal, action=cast("Action", signal.action.value))


class Hasty(Honest):
    warmup = 300


class Moving(Honest):
    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.warmup += 1
        return super().on_candle(candle, holding)


class Halves(Honest):
    warmup = cast("int", 1.5)


class Sharing(Honest):
    """Keeps its memory where all instances can see it."""

    seen: ClassVar[list[float]] = []

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.seen.clear()

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.seen.append(candle.close)
        self.closes = self.seen[-4:-1]
        return super().on_candle(candle, holding)


class Prophet(Honest):
    """Holds the candles to come, and buys before they rise."""

    coming: ClassVar[Sequence[Candle]] = ()

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.number = 0

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.number += 1
        future = self.coming[self.number + 10].close if self.number + 10 < len(self.coming) else candle.close
        if future > candle.close and not holding.direction:
            return [Signal(Action.ENTER_LONG, candle.close * 0.99)]
        return []


class Meddler(Honest):
    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        object.__setattr__(candle, "close", candle.open)
        return super().on_candle(candle, holding)


class Fragile(Honest):
    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.turnover = 1 / candle.volume
        return super().on_candle(candle, holding)


class Coarse(Honest):
    """Puts its stop ten money units away, whatever the price."""

    def entry(self, signal: Signal) -> Signal:
        side = signal.action.side.sign
        return replace(signal, stop=cast("float", signal.stop) - 10 * side)


class Hoarder(Honest):
    """Goes through everything it ever saw."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.history: list[Candle] = []

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.history.append(candle)
        highest = 0.0
        for seen in self.history:
            highest = max(highest, seen.high)
        return super().on_candle(candle, holding)


def suite(build: type[Honest] = Honest, **changed: object) -> StrategySuite:
    described: Factory[Strategy] = Factory(name="some-strategy", settings=Settings, build=build, summary="trades")

    class Suite(StrategySuite):
        factory = replace(described, **changed)  # type: ignore[arg-type]  # any field

    return Suite()


BROKEN = [
    (suite(name="Some"), "test_factory", "names are lower case"),
    (suite(Silent), "test_it_does_something", "no entry"),
    (suite(Words), "test_signals_are_well_formed", "'buy' is not a Signal"),
    (suite(Letters), "test_signals_are_well_formed", "'ENTER_.*' is not an Action"),
    (suite(NoStop), "test_signals_are_well_formed", "has no stop"),
    (suite(WrongSide), "test_signals_are_well_formed", "stop of .* wrong side"),
    (suite(LossTarget), "test_signals_are_well_formed", "take_profit of .* wrong side"),
    (suite(BeyondItsLimit), "test_signals_are_well_formed", "stop of .* wrong side"),
    (suite(Endless), "test_signals_are_well_formed", "take_profit of"),
    (suite(Hasty), "test_warmup", "warmup is 300"),
    (suite(Moving), "test_warmup", "changed from 3"),
    (suite(Halves), "test_warmup", "1.5 is not a number"),
    (suite(Sharing), "test_the_same_candles_give_the_same_signals", "beside another instance"),
    (suite(Meddler), "test_candles_are_left_alone", "changed the candles"),
    (suite(Coarse), "test_odd_candles_do_not_break_it", "stop of"),
    (suite(Hoarder), "test_cost", "the budget is 500"),
]


@pytest.mark.parametrize("guard", guards_of(StrategySuite))
def test_an_honest_strategy_passes(guard: str) -> None:
    getattr(suite(), guard)()


@pytest.mark.parametrize(("broken", "guard", "complaint"), BROKEN)
def test_a_broken_strategy_is_noticed(broken: StrategySuite, guard: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        getattr(broken, guard)()


def test_an_exception_is_noticed() -> None:
    with pytest.raises(ZeroDivisionError):
        suite(Fragile).test_odd_candles_do_not_break_it()


def test_a_look_ahead_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only way to the future is around the interface: here, the strategy gets hold of the list it is fed from."""

    class Suite(StrategySuite):
        factory: ClassVar[Factory[Strategy]] = Factory(
            name="prophet", settings=Settings, build=Prophet, summary="knows what comes"
        )

    fed: list[Candle] = []
    monkeypatch.setattr(Prophet, "coming", fed)
    original = Prophet.__init__
    # Every run of the suite builds a strategy first and then feeds it; the test lets the prophet see the whole feed.
    futures = iter([StrategySuite.candles, random_walk(seed=8, count=1_500)])

    def born(self: Prophet, settings: Settings) -> None:
        original(self, settings)
        fed[:] = next(futures)

    monkeypatch.setattr(Prophet, "__init__", born)
    with pytest.raises(AssertionError, match="another future"):
        Suite().test_the_future_changes_nothing()


def test_every_guard_was_seen_to_fail() -> None:
    assert {guard for _, guard, _ in BROKEN} | {"test_the_future_changes_nothing"} == set(guards_of(StrategySuite))


def test_the_market_to_test_in_is_sound_and_repeatable() -> None:
    candles = random_walk(seed=7, count=500)
    assert candles == random_walk(seed=7, count=500)
    assert candles != random_walk(seed=8, count=500)
    for candle, following in pairwise(candles):
        assert candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
        assert candle.low > 0
        assert following.open_time == candle.time
        assert following.open == candle.close
