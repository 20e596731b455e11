"""Owns the decisions: enter on a cross, leave when the averages are the other way round."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.domain.market import Candle
from quarterdeck.domain.signal import Action, Holding, Signal
from quarterdeck_strategy_sma_cross.averages import AverageGap
from quarterdeck_strategy_sma_cross.settings import SmaCrossSettings

_NOTHING: tuple[Signal, ...] = ()


class SmaCross:
    """Long after the fast average has crossed above the slow one; with `allow_short`, short after it has crossed below.

    A cross is a change of sides: averages that meet and part again on the same side have not crossed. Each cross is
    good for one entry, taken as soon as nothing is held and no order is working; after a stop-out the next entry waits
    for the next cross. Leaving is not tied to the candle of the cross: whatever is held against the averages is closed,
    so an exit that failed is tried again. Implements `quarterdeck.plugin.Strategy`.
    """

    __slots__ = ("_allow_short", "_averages", "_due", "_leave", "_reasons", "_side", "_stop", "_target", "_warmup")

    def __init__(self, settings: SmaCrossSettings) -> None:
        self._averages = AverageGap(settings.fast, settings.slow)
        self._warmup = settings.slow
        self._allow_short = settings.allow_short
        self._stop = settings.stop_percent / 100
        self._target = None if settings.take_profit_percent is None else settings.take_profit_percent / 100
        names = f"SMA {settings.fast}", f"SMA {settings.slow}"
        above, below = "{} above {}".format(*names), "{} below {}".format(*names)
        self._reasons = {1: above, -1: below}
        self._leave = {side: (Signal(Action.EXIT, reason=reason),) for side, reason in self._reasons.items()}
        self._side = 0
        self._due = 0

    @property
    def warmup(self) -> int:
        """The slow average's length: the first candle after it can be a cross."""
        return self._warmup

    def on_candle(self, candle: Candle, holding: Holding) -> Sequence[Signal]:
        """Take in one closed candle; at most one signal."""
        gap = self._averages.after(candle.close)
        if gap is None:
            return _NOTHING
        side = self._side
        if gap > 0:
            if side < 0:
                self._due = 1
            self._side = side = 1
        elif gap < 0:
            if side > 0:
                self._due = -1
            self._side = side = -1
        quantity = holding.quantity
        if quantity:
            if side and (quantity > 0) != (side > 0):
                return _NOTHING if holding.busy else self._leave[side]
            self._due = 0
            return _NOTHING
        if not self._due or holding.busy:
            return _NOTHING
        return self._enter(candle.close)

    def _enter(self, close: float) -> Sequence[Signal]:
        side, self._due = self._due, 0
        if side < 0 and not self._allow_short:
            return _NOTHING
        action = Action.ENTER_LONG if side > 0 else Action.ENTER_SHORT
        target = None if self._target is None else close * (1 + side * self._target)
        return (Signal(action, close * (1 - side * self._stop), target, reason=self._reasons[side]),)
