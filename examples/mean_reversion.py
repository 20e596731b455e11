"""Mean reversion: a whole strategy plugin in one file.

It trades against a price that has gone unusually far from its average: the target is the average, the stop is as far
away on the other side, and what is undecided after a while is given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import dist, sqrt

from pydantic import Field

from quarterdeck.domain.market import Candle
from quarterdeck.domain.signal import Action, Holding, Signal
from quarterdeck.plugin import Factory, Settings, Strategy, hookimpl

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


class MeanReversionSettings(Settings):
    """What users write in the bot's settings."""

    length: int = Field(default=30, ge=2, le=10_000, strict=True, description="candles in the average")
    entry: float = Field(default=2.0, ge=0.5, le=10, description="enter so many standard deviations from the average")
    patience: int = Field(default=30, ge=1, strict=True, description="give up after so many candles")


class MeanReversion:
    """Long far below the average of closes, short far above it; the venue holds target and stop."""

    def __init__(self, settings: MeanReversionSettings) -> None:
        self._closes: deque[float] = deque(maxlen=settings.length)
        self._settings = settings
        self._held = 0

    @property
    def warmup(self) -> int:
        """The average has to be known before anything can be far from it."""
        return self._settings.length

    def on_candle(self, candle: Candle, holding: Holding) -> Sequence[Signal]:
        """Take in one closed candle; at most one signal."""
        closes, close = self._closes, candle.close
        closes.append(close)
        self._held = self._held + 1 if holding.direction else 0
        if holding.busy or len(closes) < self._settings.length:
            return ()
        if self._held:
            return (Signal(Action.EXIT, reason="out of patience"),) if self._held > self._settings.patience else ()
        mean = sum(closes) / len(closes)
        deviation = dist(closes, [mean] * len(closes)) / sqrt(len(closes))
        away = close - mean
        if not deviation or abs(away) < self._settings.entry * deviation or close <= -away:
            return ()  # near the average, or so far below it that there is no room for a stop
        action = Action.ENTER_LONG if away < 0 else Action.ENTER_SHORT
        return (Signal(action, stop=close + away, take_profit=mean, reason="far from the average"),)


@hookimpl
def quarterdeck_strategies() -> Sequence[Factory[Strategy]]:
    """Offer the strategy under the name `mean-reversion`."""
    return [Factory("mean-reversion", MeanReversionSettings, MeanReversion, "Trades back towards the average")]
