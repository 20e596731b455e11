"""A strategy that wants something else with every candle. A plugin of its own, for the soak."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.market import Candle
from quarterdeck.domain.signal import Action, Holding, Signal
from quarterdeck.plugin import Factory, Settings, hookimpl

QUARTERDECK_API = 1


class Flipper:
    """Long, out, short, out."""

    warmup = 1

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        if holding.quantity:
            return (Signal(Action.EXIT),)
        if candle.close >= candle.open:
            return (Signal(Action.ENTER_LONG, stop=candle.close * 0.995, take_profit=candle.close * 1.005),)
        return (Signal(Action.ENTER_SHORT, stop=candle.close * 1.005, take_profit=candle.close * 0.995),)


@hookimpl
def quarterdeck_strategies() -> Sequence[Factory[Strategy]]:
    return [Factory(name="flipper", settings=Settings, build=lambda _: Flipper(), summary="In, out, in, out")]
