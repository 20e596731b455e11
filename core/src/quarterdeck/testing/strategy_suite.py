"""Owns the compliance suite for strategies: what the engine and backtests rely on, whoever wrote the strategy.

A plugin's tests subclass it and name the factory:

    class TestMyStrategy(StrategySuite):
        factory = quarterdeck_strategies()[0]
        settings = {"some_key": 3}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from functools import partial
from math import isfinite
from random import Random
from typing import ClassVar

from quarterdeck.domain.market import MINUTE, Candle
from quarterdeck.domain.signal import FLAT, Action, Holding, Signal
from quarterdeck.plugin import Factory, Strategy
from quarterdeck.testing.checks import build, check_factory, lines_run

#: What each candle of a run led to.
Signals = list[list[Signal]]


def random_walk(seed: int, count: int, start: float = 50_000.0, tick: float = 0.1) -> Sequence[Candle]:
    """Five-minute candles of a market that drifts up, down and sideways by turns. The same seed, the same candles."""
    random = Random(seed)  # noqa: S311  # a market to be repeated, not a secret
    interval, price, drift = 5 * MINUTE, start, 0.0
    candles = []
    for number in range(count):
        if number % 60 == 0:
            drift = random.choice((-0.0007, 0.0, 0.0007))
        path = [price]
        for _ in range(4):
            path.append(max(path[-1] * (1 + drift / 4 + random.gauss(0.0, 0.001)), tick))
        rounded = [round(round(value / tick) * tick, 10) for value in path]
        open_, close = rounded[0], rounded[-1]
        candles.append(
            Candle("btcusdt", interval, number * interval, open_, max(rounded), min(rounded), close, random.random())
        )
        price = close
    return candles


class StrategySuite:
    """Tests for one strategy, built from `factory` with `settings`."""

    factory: ClassVar[Factory[Strategy]]
    settings: ClassVar[Mapping[str, object]] = {}
    """The settings table to test with."""
    candles: ClassVar[Sequence[Candle]] = random_walk(seed=7, count=1_500)
    """What the strategy is fed; it must find something to do in them, or the tests show nothing."""
    signals_while_warming_up: ClassVar[bool] = False
    """Whether it may speak before `warmup` candles. The engine does not listen then."""
    line_budget: ClassVar[int] = 500
    """How many lines of Python one candle may take, however many came before."""

    def test_factory(self) -> None:
        """It has a name, a summary and strict settings, and can be built."""
        check_factory(self.factory, self.settings)

    def test_it_does_something(self) -> None:
        """There are entries in `candles`."""
        said = [signal for signals in run(self._strategy(), self.candles) for signal in signals]
        assert any(signal.action is not Action.EXIT for signal in said), "no entry: give `candles` that it acts on"

    def test_signals_are_well_formed(self) -> None:
        """Every signal is complete, and its prices are on the right side of the entry."""
        for candle, signals in zip(self.candles, run(self._strategy(), self.candles), strict=True):
            for signal in signals:
                _check_signal(signal, candle)

    def test_warmup(self) -> None:
        """A number of candles that does not change; shorter than `candles`; nothing is said before it."""
        strategy = self._strategy()
        warmup = strategy.warmup
        assert type(warmup) is int, f"warmup {warmup!r} is not a number of candles"
        assert 0 <= warmup < len(self.candles), f"warmup {warmup} leaves nothing of {len(self.candles)} candles"
        signals = run(strategy, self.candles)
        assert strategy.warmup == warmup, f"warmup changed from {warmup} to {strategy.warmup}"
        early = next((number for number, said in enumerate(signals[:warmup]) if said), None)
        assert self.signals_while_warming_up or early is None, f"a signal at candle {early}, warmup is {warmup}"

    def test_the_same_candles_give_the_same_signals(self) -> None:
        """Another instance says the same, also when a third one sees other candles in between."""
        first = run(self._strategy(), self.candles)
        strategy, neighbour, elsewhere = self._strategy(), self._strategy(), _Account()
        account, again = _Account(), []
        for candle, other in zip(self.candles, _mirrored(self.candles), strict=True):
            again.append(account.step(strategy, candle))
            elsewhere.step(neighbour, other)
        assert again == first, "the same candles, seen beside another instance, gave other signals"

    def test_the_future_changes_nothing(self) -> None:
        """What it said about the first candles stays, whatever comes after them: there is no look-ahead."""
        whole = run(self._strategy(), self.candles)
        for cut in range(len(self.candles) // 4, len(self.candles), len(self.candles) // 4):
            other_future = [*self.candles[:cut], *_mirrored(self.candles)[cut:]]
            said = run(self._strategy(), other_future)[:cut]
            assert said == whole[:cut], f"another future after candle {cut} changed what was said before it"

    def test_candles_are_left_alone(self) -> None:
        """What it is shown is the same afterwards."""
        candles = deepcopy(self.candles)
        run(self._strategy(), candles)
        assert candles == self.candles, "it changed the candles"

    def test_odd_candles_do_not_break_it(self) -> None:
        """A market that stands still, prices next to nothing or very large, no volume, a jump: no exception."""
        still = replace(self.candles[0], high=100.0, low=100.0, open=100.0, close=100.0, volume=0.0)
        count = self._strategy().warmup + 50
        odd = {
            "still": [replace(still, open_time=number * still.interval) for number in range(count)],
            "tiny": random_walk(seed=1, count=count, start=2e-6, tick=1e-10),
            "huge": random_walk(seed=2, count=count, start=1e9, tick=1.0),
            "jump": [*random_walk(seed=3, count=count), *random_walk(seed=4, count=50, start=5.0)],
        }
        for candles in odd.values():
            for candle, signals in zip(candles, run(self._strategy(), candles), strict=True):
                for signal in signals:
                    _check_signal(signal, candle)

    def test_cost(self) -> None:
        """One candle stays within `line_budget`, the last as well as the first."""
        strategy, account = self._strategy(), _Account()
        for number, candle in enumerate(self.candles):
            lines = lines_run(partial(account.step, strategy, candle))
            assert lines <= self.line_budget, f"{lines} lines at candle {number}, the budget is {self.line_budget}"

    def _strategy(self) -> Strategy:
        return build(self.factory, self.settings)


def run(strategy: Strategy, candles: Iterable[Candle]) -> Signals:
    """Feed candles to a strategy on a small account of its own; what it said after each."""
    account = _Account()
    return [account.step(strategy, candle) for candle in candles]


class _Account:
    """Fills every signal at the close it was given at, one unit at a time, and every stop at its price."""

    def __init__(self) -> None:
        self._holding = FLAT
        self._entry: Signal | None = None

    def step(self, strategy: Strategy, candle: Candle) -> list[Signal]:
        """One candle: first what the venue does inside it, then the strategy, then what it wants."""
        if self._entry is not None and _is_hit(self._entry, candle):
            self._close()
        signals = list(strategy.on_candle(candle, self._holding))
        for signal in signals:
            assert isinstance(signal, Signal), f"{signal!r} is not a Signal"
            assert isinstance(signal.action, Action), f"{signal.action!r} is not an Action"
            if signal.action is Action.EXIT:
                self._close()
            elif self._entry is None:
                quantity = Decimal(signal.action.side.sign)
                self._holding = Holding(quantity, Decimal(repr(candle.close)))
                self._entry = signal
        return signals

    def _close(self) -> None:
        self._holding, self._entry = FLAT, None


def _is_hit(entry: Signal, candle: Candle) -> bool:
    """Whether the stop or the take-profit of an entry was reached inside a candle."""
    ends = [price for price in (entry.stop, entry.take_profit) if price is not None]
    return any(candle.low <= price <= candle.high for price in ends)


def _mirrored(candles: Sequence[Candle]) -> Sequence[Candle]:
    """The same market upside down."""
    level = candles[0].open ** 2
    return [
        replace(
            candle,
            open=level / candle.open,
            high=level / candle.low,
            low=level / candle.high,
            close=level / candle.close,
        )
        for candle in candles
    ]


def _check_signal(signal: Signal, candle: Candle) -> None:
    prices = {"stop": signal.stop, "take_profit": signal.take_profit, "limit": signal.limit}
    for name, price in prices.items():
        assert price is None or (type(price) is float and isfinite(price) and price > 0), f"{name} of {signal}"
    if signal.action is Action.EXIT:
        return
    entry = candle.close if signal.limit is None else signal.limit
    assert signal.stop is not None, f"{signal} has no stop: it can't be sized"
    sign = signal.action.side.sign
    assert (entry - signal.stop) * sign > 0, f"stop of {signal} is on the wrong side of {entry}"
    if signal.take_profit is not None:
        assert (signal.take_profit - entry) * sign > 0, f"take_profit of {signal} is on the wrong side of {entry}"
