"""Breakout: a whole strategy plugin in one file.

It buys what trades higher than it has for a while, with the stop below the range it came from, and leaves when it
trades lower than it has for half of that while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pydantic import Field

from quarterdeck.domain.market import Candle
from quarterdeck.domain.signal import Action, Holding, Signal
from quarterdeck.plugin import Factory, Settings, Strategy, hookimpl

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


class BreakoutSettings(Settings):
    """What users write under the bot's `settings`."""

    length: int = Field(default=40, ge=2, le=10_000, strict=True, description="candles a breakout must top")


class Breakout:
    """Long above the highest high of the last `length` candles, out below the lowest low of the last half of them."""

    def __init__(self, settings: BreakoutSettings) -> None:
        self._highs: deque[float] = deque(maxlen=settings.length)
        self._lows: deque[float] = deque(maxlen=settings.length)
        self._length = settings.length

    @property
    def warmup(self) -> int:
        """The range has to be known before anything can leave it."""
        return self._length

    def on_candle(self, candle: Candle, holding: Holding) -> Sequence[Signal]:
        """Take in one closed candle; at most one signal."""
        signals = self._signals(candle, holding) if len(self._highs) == self._length else ()
        self._highs.append(candle.high)
        self._lows.append(candle.low)
        return signals

    def _signals(self, candle: Candle, holding: Holding) -> Sequence[Signal]:
        if holding.busy:
            return ()
        if holding.direction > 0:
            floor = min(list(self._lows)[-(self._length // 2) :])
            return (Signal(Action.EXIT, reason="below the range"),) if candle.close < floor else ()
        if candle.close > max(self._highs):
            return (Signal(Action.ENTER_LONG, stop=min(self._lows), reason="above the range"),)
        return ()


@hookimpl
def quarterdeck_strategies() -> Sequence[Factory[Strategy]]:
    """Offer the strategy under the name `breakout`."""
    return [Factory("breakout", BreakoutSettings, Breakout, "Enters above the range of the last candles")]
