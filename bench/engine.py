"""Owns the engine's own cost: CPU per candle and per order, with no journal, no venue and no wire around it.

`python -m bench.engine` prints the figures. CPU time of this process, median of the rounds; a venue's reports are fed
by hand, and no fill is worked out.
"""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from random import Random
from statistics import median
from typing import Any

from quarterdeck.domain import report as r
from quarterdeck.domain.amounts import settle, use_money_context
from quarterdeck.domain.bot import BotSpec
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.market import MINUTE, Candle
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.signal import Action, Holding, Signal
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import QueueOrder, SendOrder
from quarterdeck.engine.ids import LinkIds
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.engine.state import State
from quarterdeck.engine.turn import Turn
from quarterdeck.testing.views import BTCUSDT
from quarterdeck_risk_limits.rules import build_rules
from quarterdeck_risk_limits.settings import RiskLimitsSettings
from quarterdeck_sizer_speed_demon.settings import SpeedDemonSettings
from quarterdeck_sizer_speed_demon.sizer import SpeedDemon
from quarterdeck_strategy_sma_cross.settings import SmaCrossSettings
from quarterdeck_strategy_sma_cross.strategy import SmaCross

ROUNDS = 7
CANDLES = 100_000
ROUND_TRIPS = 2_000

_BEGIN = 1_700_006_400_000_000_000
_FEE = Decimal("0.00055")


def run() -> dict[str, Any]:
    """Measure; times are CPU microseconds.

    `candle` is one closed one-minute candle through a running SMA cross 20/50 that stays flat and signals nothing, the
    hourly valuation of the account included; `candle_random` the same on a random walk, with the candles on which it
    signals left out. `order` is one order from the strategy's signal through sizer, core limits and all built-in rules
    to OrderFilled folded; the order that closes the position counts as another. It is sent at once, as with the bundled
    venue; `order_queued` waits for its turn first. `order_protected` adds the stop that the venue opens and withdraws.
    `yardstick` is a fixed piece of plain Python: it shows how busy the machine was.
    """
    use_money_context()
    return {
        "unit": "CPU microseconds",
        "method": f"median of {ROUNDS} rounds; {CANDLES} candles, {2 * ROUND_TRIPS} orders a round",
        "candle": _median(lambda: _candles(_drift())),
        "candle_random": _median(lambda: _candles(_walk())),
        "order": _median(lambda: _orders(immediate=True)),
        "order_queued": _median(lambda: _orders(immediate=False)),
        "order_protected": _median(lambda: _orders(immediate=True, protected=True)),
        "yardstick": _median(_yardstick),
    }


def _median(measure: Callable[[], float]) -> float:
    return round(median(measure() for _ in range(ROUNDS)), 2)


def _yardstick() -> float:
    """CPU microseconds for a thousand multiplications and additions of decimals."""
    clock, total, step = _Clock(), Decimal(0), Decimal("0.001")
    clock.start()
    for number in range(100_000):
        total += number * step
    clock.stop()
    return clock.spent / 100_000


class _Clock:
    """Adds up CPU time between `start` and `stop`."""

    def __init__(self) -> None:
        self.spent = 0
        self._since = 0

    def start(self) -> None:
        self._since = time.process_time_ns()

    def stop(self) -> None:
        self.spent += time.process_time_ns() - self._since


def _machine(strategy: Strategy, *, immediate: bool = True) -> Machine:
    """An account between small and large, where the sizer has the most to do, and one running bot."""
    deciders = Deciders(
        SpeedDemon(SpeedDemonSettings()),
        rules=build_rules(RiskLimitsSettings()),
        venue=Capabilities(immediate=immediate),
    )
    machine = Machine(State(), {BTCUSDT.symbol: BTCUSDT}, deciders, LinkIds(b"of the benchmark", 1))
    machine.step(i.OpenAccount("paper", "USDT", (("USDT", Decimal(50_000)),)), _BEGIN)
    machine.step(i.CreateBot(BotSpec("bench", "bench", BTCUSDT.symbol, MINUTE)), _BEGIN)
    machine.step(i.StartBot("bench", strategy), _BEGIN)
    gc.collect()
    return machine


# ---------------------------------------------------------------- candles


def _candle(number: int, price: float) -> Candle:
    return Candle(BTCUSDT.symbol, MINUTE, _BEGIN + number * MINUTE, price, price + 5, price - 5, price, 10.0)


def _drift() -> Iterable[float]:
    """A price that wavers and rises: the fast average stays above the slow one."""
    return (round(50_000 + number * 0.5 + 3 * math.sin(number), 1) for number in range(CANDLES))


def _walk() -> Iterable[float]:
    random, price = Random(7), 50_000.0
    for _ in range(CANDLES):
        price = max(price * (1 + random.gauss(0, 0.0005)), 1_000.0)
        yield round(price, 1)


def _candles(prices: Iterable[float]) -> float:
    """CPU microseconds for each candle that led to no signal. What is signalled is refused: the account stays flat."""
    machine = _machine(SmaCross(SmaCrossSettings()))
    machine.deciders.rules = ()
    warm, *rest = _runs([_candle(number, price) for number, price in enumerate(prices)])
    for candle in warm:
        machine.step(candle, candle.time)
    clock, step, counted = _Clock(), machine.step, 0
    for quiet in rest:
        clock.start()
        for candle in quiet[:-1]:
            step(candle, candle.time)
        clock.stop()
        step(quiet[-1], quiet[-1].time)
        counted += len(quiet) - 1
    return clock.spent / counted / 1_000


def _runs(candles: Sequence[Candle]) -> list[list[Candle]]:
    """The candles in runs, each of which ends with one that signals; the first is the strategy's warm-up."""
    strategy = SmaCross(SmaCrossSettings())
    runs: list[list[Candle]] = [[]]
    for number, candle in enumerate(candles):
        runs[-1].append(candle)
        if tuple(strategy.on_candle(candle, Holding())) or number == strategy.warmup:
            runs.append([])
    return [run for run in runs if run]


# ---------------------------------------------------------------- orders


class _InAndOut:
    """Enters when flat, leaves when not."""

    warmup = 0
    _enter = (Signal(Action.ENTER_LONG, stop=49_500.0),)
    _leave = (Signal(Action.EXIT),)

    def on_candle(self, candle: Candle, holding: Holding) -> Sequence[Signal]:
        """One signal on every candle."""
        return self._leave if holding.quantity else self._enter


def _orders(*, immediate: bool, protected: bool = False) -> float:
    """CPU microseconds for each of the orders of so many round trips.

    The engine is deterministic: what a first machine is told is written down, and told to a second one on the clock.
    """
    inputs = _round_trips(_machine(_InAndOut(), immediate=immediate), protected=protected)
    machine = _machine(_InAndOut(), immediate=immediate)
    clock, step = _Clock(), machine.step
    clock.start()
    for item, now in inputs:
        step(item, now)
    clock.stop()
    assert machine.state.fill_count == 2 * ROUND_TRIPS, machine.state
    return clock.spent / (2 * ROUND_TRIPS) / 1_000


def _round_trips(machine: Machine, *, protected: bool) -> list[tuple[i.Input, int]]:
    """All that the engine is told while a bot enters and leaves, candle by candle."""
    told: list[tuple[i.Input, int]] = []
    parent = ""

    def tell(item: i.Input) -> Turn | None:
        told.append((item, candle.time))
        return machine.step(item, candle.time)

    for number in range(2 * ROUND_TRIPS):
        candle = _candle(number, 50_000.0)
        is_entry = number % 2 == 0
        link, terms = _sent(tell, candle)
        # The gain of a round trip pays for its fees, so that no loss ends it.
        _fill(tell, link, terms, Decimal(50_000 if is_entry else 50_060), candle.time)
        if is_entry:
            parent = link
        if protected and is_entry:
            tell(r.ChildOpened(f"{parent}-sl", parent, "x", OrderRole.STOP_LOSS, _stop(terms), candle.time))
        elif protected:
            tell(r.Canceled(f"{parent}-sl", "nothing left to protect", candle.time))
    return told


Tell = Callable[[i.Input], Turn | None]


def _sent(tell: Tell, candle: Candle) -> tuple[str, OrderTerms]:
    """The order a candle's signal becomes, on its way to the venue."""
    (effect,) = _turn(tell(candle)).effects
    if isinstance(effect, QueueOrder):
        (effect,) = _turn(tell(i.Sending(effect.link_id))).effects
    assert isinstance(effect, SendOrder)
    return effect.link_id, effect.terms


def _fill(tell: Tell, link: str, terms: OrderTerms, price: Decimal, now: int) -> None:
    """The venue takes an order in, works it and fills it."""
    tell(r.Acked(link, link, now))
    tell(r.Opened(link, link, now))
    fee = settle(terms.quantity * price * _FEE)
    taker = r.Liquidity.TAKER
    tell(r.Filled(link, link, terms.symbol, terms.side, terms.quantity, price, fee, "USDT", taker, now))


def _stop(entry: OrderTerms) -> OrderTerms:
    return OrderTerms(
        entry.symbol,
        entry.side.opposite,
        OrderType.STOP,
        entry.quantity,
        trigger_price=entry.stop_loss,
        reduce_only=True,
    )


def _turn(turn: Turn | None) -> Turn:
    assert turn is not None
    return turn


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
