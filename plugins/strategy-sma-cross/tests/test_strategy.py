from __future__ import annotations

from decimal import Decimal

import pytest

from quarterdeck.domain.market import MINUTE, Candle
from quarterdeck.domain.signal import FLAT, Action, Holding, Signal
from quarterdeck_strategy_sma_cross.settings import SmaCrossSettings
from quarterdeck_strategy_sma_cross.strategy import SmaCross

LONG = Holding(Decimal("0.1"), Decimal(100))
SHORT = Holding(Decimal("-0.1"), Decimal(100))
BUSY = Holding(busy=True)


class Bot:
    """A strategy with averages of one and two candles: the last close against the one before."""

    def __init__(self, **settings: object) -> None:
        self.strategy = SmaCross(SmaCrossSettings.model_validate({"fast": 1, "slow": 2, **settings}))
        self.minute = 0

    def sees(self, *closes: float, holding: Holding = FLAT) -> list[Signal]:
        """What it says at the last of these closes."""
        said: list[Signal] = []
        for close in closes:
            self.minute += 1
            candle = Candle("btcusdt", MINUTE, self.minute * MINUTE, close, close, close, close, 1.0)
            said = list(self.strategy.on_candle(candle, holding))
        return said


def actions(signals: list[Signal]) -> list[Action]:
    return [signal.action for signal in signals]


def test_it_enters_long_when_the_fast_average_crosses_above() -> None:
    bot = Bot()
    assert bot.sees(100, 90) == []
    assert bot.sees(101) == [Signal(Action.ENTER_LONG, stop=101 * 0.99, reason="SMA 1 above SMA 2")]
    assert bot.sees(102) == []


@pytest.mark.parametrize("close", [99, 101])
def test_the_first_side_is_no_cross(close: float) -> None:
    assert Bot(allow_short=True).sees(100, close) == []


def test_a_touch_is_no_cross() -> None:
    bot = Bot()
    assert bot.sees(100, 101, 101) == []
    assert bot.sees(102) == []


def test_a_cross_by_way_of_a_touch_is_one() -> None:
    bot = Bot()
    assert bot.sees(100, 99, 99) == []
    assert actions(bot.sees(100)) == [Action.ENTER_LONG]


def test_below_is_only_for_leaving_unless_short_is_allowed() -> None:
    bot = Bot()
    assert bot.sees(100, 101, 100) == []
    assert bot.sees(99) == []


def test_it_enters_short_when_allowed() -> None:
    bot = Bot(allow_short=True, stop_percent=2, take_profit_percent=10)
    expected = Signal(Action.ENTER_SHORT, stop=100 * 1.02, take_profit=100 * 0.9, reason="SMA 1 below SMA 2")
    assert bot.sees(100, 101, 100) == [expected]


def test_a_take_profit_lies_above_a_long() -> None:
    (signal,) = Bot(take_profit_percent=2).sees(100, 99, 100)
    assert (signal.stop, signal.take_profit) == (99.0, 102.0)


@pytest.mark.parametrize(("holding", "closes"), [(LONG, (100, 101, 100)), (SHORT, (100, 99, 100))])
def test_it_leaves_on_the_opposite_cross_and_asks_again_until_it_is_out(
    holding: Holding, closes: tuple[float, ...]
) -> None:
    bot = Bot(allow_short=True)
    assert actions(bot.sees(*closes, holding=holding)) == [Action.EXIT]
    assert bot.sees(closes[-1], holding=Holding(holding.quantity, holding.average_price, busy=True)) == []
    assert actions(bot.sees(closes[-1], holding=holding)) == [Action.EXIT]


@pytest.mark.parametrize(("holding", "close"), [(LONG, 101), (SHORT, 99)])
def test_it_stays_while_the_averages_agree(holding: Holding, close: float) -> None:
    assert Bot(allow_short=True).sees(100, close, holding=holding) == []


@pytest.mark.parametrize("holding", [LONG, SHORT])
def test_what_it_holds_before_the_averages_tell_is_left_alone(holding: Holding) -> None:
    assert Bot().sees(100, 100, 100, holding=holding) == []


def test_a_reversal_leaves_first_and_enters_once_out() -> None:
    bot = Bot(allow_short=True)
    assert actions(bot.sees(100, 101, 100, holding=LONG)) == [Action.EXIT]
    assert bot.sees(99.5, holding=BUSY) == []
    assert actions(bot.sees(99, holding=FLAT)) == [Action.ENTER_SHORT]
    assert bot.sees(98, holding=FLAT) == []


def test_it_does_not_enter_while_an_order_works() -> None:
    bot = Bot()
    assert bot.sees(100, 99, 100, holding=BUSY) == []
    assert actions(bot.sees(101, holding=FLAT)) == [Action.ENTER_LONG]


def test_a_cross_is_good_for_one_entry() -> None:
    bot = Bot()
    assert actions(bot.sees(100, 99, 100)) == [Action.ENTER_LONG]
    assert bot.sees(101, holding=LONG) == []
    stopped_out = FLAT
    assert bot.sees(102, holding=stopped_out) == []
    assert actions(bot.sees(101, 102, holding=stopped_out)) == [Action.ENTER_LONG]


def test_a_cross_met_while_holding_its_way_is_spent() -> None:
    bot = Bot()
    leaving = Holding(LONG.quantity, LONG.average_price, busy=True)
    assert bot.sees(100, 101, 100, holding=leaving) == []
    assert bot.sees(101, holding=LONG) == []
    assert bot.sees(102, holding=FLAT) == []


def test_an_entry_that_was_not_taken_is_forgotten_when_the_averages_turn() -> None:
    bot = Bot()
    assert bot.sees(100, 99, 100, holding=BUSY) == []
    assert bot.sees(99, holding=FLAT) == []


def test_warmup_is_the_slow_average() -> None:
    assert SmaCross(SmaCrossSettings()).warmup == 50
