"""Owns plugins that misbehave now and then: a risk rule and strategies that raise anything, or answer with nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from quarterdeck.domain.deciders import AccountView, RiskRule, Strategy
from quarterdeck.domain.market import Candle
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused
from quarterdeck.domain.signal import FLAT, Holding, Signal
from quarterdeck.plugin.hookspecs import Settings
from quarterdeck.plugin.loader import Loaded, Plugins
from quarterdeck.simulation.faults import Faults
from quarterdeck.simulation.truth import Misjudged, Truth

_RAISED: Sequence[Callable[[], BaseException]] = (
    lambda: ValueError("a careless plugin"),
    lambda: RecursionError("maximum recursion depth exceeded"),
    lambda: MemoryError("a greedy plugin"),
    lambda: SystemExit(1),
    lambda: GeneratorExit("an odd plugin"),
    lambda: asyncio.CancelledError("an odder plugin"),
)

#: What an answer should never be; the last of them even says yes.
_NONSENSE = ("no", 0, object, True)

#: How much rarer strategies fail than the rule: one that failed stands still until somebody starts it again.
_RARER = 20


class MoodyRule:
    """Agrees, or fails. Implements `quarterdeck.domain.deciders.RiskRule`."""

    name = "moody"

    def __init__(self, faults: Faults, truth: Truth) -> None:
        self._faults = faults
        self._truth = truth

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """No order may come of it when this fails."""
        if not self._faults.strikes("plugin-fails"):
            return None
        self._truth.misjudged.append(Misjudged(view.now, draft.terms))
        dice = self._faults.dice("plugin-fails")
        if dice.random() < 0.5:
            failure = dice.choice(_RAISED)()
            raise failure
        return dice.choice(_NONSENSE)  # type: ignore[return-value]  # nonsense, as said

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """None."""
        return ()


class MoodyStrategy:
    """Another strategy, that fails. Implements `quarterdeck.domain.deciders.Strategy`."""

    def __init__(self, real: Strategy, faults: Faults, truth: Truth) -> None:
        self._real = real
        self._faults = faults
        self._truth = truth

    @property
    def warmup(self) -> int:
        """As many as the other needs."""
        return self._real.warmup

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        """Only its own bot may fail with it."""
        dice = self._faults.dice("plugin-fails")
        if holding is not FLAT and dice.random() * _RARER < 1 and self._faults.strikes("plugin-fails"):
            self._truth.failed.add(candle.symbol)
            failure = dice.choice(_RAISED)()
            raise failure
        return self._real.on_candle(candle, holding)


def with_moods(
    plugins: Plugins, rules: Sequence[RiskRule], faults: Faults, truth: Truth
) -> tuple[Plugins, list[RiskRule]]:
    """The same plugins, whose strategies fail now and then, and the same rules with one more."""
    strategies = {name: _moody(loaded, faults, truth) for name, loaded in plugins.strategies.items()}
    return replace(plugins, strategies=strategies), [*rules, MoodyRule(faults, truth)]


def _moody(loaded: Loaded[Strategy], faults: Faults, truth: Truth) -> Loaded[Strategy]:
    def build(settings: Settings) -> Strategy:
        return MoodyStrategy(loaded.factory.build(settings), faults, truth)

    return replace(loaded, factory=replace(loaded.factory, build=build))
