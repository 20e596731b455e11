"""A paper venue and a strategy that fail while files in the daemon's folder say so. A plugin of its own, for tests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle
from quarterdeck.domain.signal import Holding, Signal
from quarterdeck.plugin import CancelOrder, ConfigError, Deliver, Exchange, Factory, Settings, hookimpl
from quarterdeck_exchange_paper import PaperExchange, PaperSettings

QUARTERDECK_API = 1


def is_so(mood: str) -> bool:
    """Whether a file says so."""
    return Path(mood).exists()


class MoodyExchange(PaperExchange):
    """Paper. `away`: it says nothing. `unreachable`: it takes no connection. `mute`: cancels come to nothing."""

    async def instruments(self) -> Sequence[Instrument]:
        if is_so("away"):
            raise ConnectionError("nobody is there")
        if is_so("wrong"):
            raise ConfigError("exchange: no such account")
        return await super().instruments()

    async def open(self, deliver: Deliver) -> None:
        if is_so("unreachable"):
            raise ConnectionError("the line is dead")
        await super().open(deliver)

    async def cancel(self, order: CancelOrder) -> None:
        if not is_so("mute"):
            await super().cancel(order)


class Sleeper:
    """Hangs the event loop for ever once `hang` is there."""

    warmup = 0

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        while is_so("hang"):
            time.sleep(0.01)
        return ()


@hookimpl
def quarterdeck_exchanges() -> Sequence[Factory[Exchange]]:
    return [Factory(name="moody", settings=PaperSettings, build=MoodyExchange, summary="Paper, as files say")]


@hookimpl
def quarterdeck_strategies() -> Sequence[Factory[Strategy]]:
    return [Factory(name="sleeper", settings=Settings, build=lambda _: Sleeper(), summary="Hangs when told to")]
