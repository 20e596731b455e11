"""Owns a plugin with one part of each kind, for tests of what the daemon makes of plugins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal

from core.tests.daemon.conftest import Venue, candle
from core.tests.engine.deciders import FactorScaler, RatioSizer, Rule
from core.tests.engine.desk import MORNING
from quarterdeck.domain.deciders import RiskRule, Scaler, Sizer, Strategy
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MINUTE, Candle, MarketEvent
from quarterdeck.domain.signal import Action, Holding, Signal
from quarterdeck.plugin import Exchange, Factory, Feed, Settings, VenueAccount, hookimpl

QUARTERDECK_API = 1


class Embedded(Venue):
    """A venue in this process."""

    def restore(self, account: VenueAccount) -> None:
        pass

    def on_market(self, event: MarketEvent) -> None:
        pass


class Minutes:
    """A feed with ten minutes of history, of which nothing new ever comes."""

    is_replay = True
    start_time = MORNING

    async def open(self, instruments: Sequence[Instrument]) -> None:
        pass

    async def close(self) -> None:
        pass

    def offers(self, symbol: str, interval: int) -> bool:
        return (symbol, interval) == ("btcusdt", MINUTE)

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        return [candle(50_000.0, MORNING - number * MINUTE) for number in range(limit - 1, -1, -1)]

    async def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        nothing: Sequence[MarketEvent] = ()
        for event in nothing:
            yield event


class Eager:
    """A strategy that wants to enter on every candle it is shown, and remembers them."""

    def __init__(self, settings: EagerSettings) -> None:
        self.warmup = settings.warmup
        self.seen: list[Candle] = []

    def on_candle(self, candle: Candle, holding: Holding) -> Iterable[Signal]:
        self.seen.append(candle)
        return [Signal(Action.ENTER_LONG, stop=candle.close * 0.9)]


class EagerSettings(Settings):
    """How many candles it wants to see first."""

    warmup: int = 3


class RatioSettings(Settings):
    """What is risked."""

    ratio: Decimal = Decimal("0.01")


@hookimpl
def quarterdeck_exchanges() -> Sequence[Factory[Exchange]]:
    return [
        Factory("paper", Settings, lambda settings: Embedded(), "in this process"),
        Factory("real", Settings, lambda settings: Venue(), "elsewhere"),
    ]


@hookimpl
def quarterdeck_feeds() -> Sequence[Factory[Feed]]:
    return [Factory("synthetic", Settings, lambda settings: Minutes(), "minutes")]


@hookimpl
def quarterdeck_strategies() -> Sequence[Factory[Strategy]]:
    return [Factory("eager", EagerSettings, Eager, "always enters")]


@hookimpl
def quarterdeck_sizers() -> Sequence[Factory[Sizer]]:
    return [Factory("speed-demon", RatioSettings, lambda settings: RatioSizer(settings.ratio), "one ratio")]


@hookimpl
def quarterdeck_scalers() -> Sequence[Factory[Scaler]]:
    return [Factory("half", Settings, lambda settings: FactorScaler("half", Decimal("0.5")), "halves")]


@hookimpl
def quarterdeck_risk_rules() -> Sequence[Factory[Sequence[RiskRule]]]:
    return [Factory("limits", Settings, lambda settings: [Rule("first"), Rule("second")], "two rules")]
