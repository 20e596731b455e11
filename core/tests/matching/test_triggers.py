"""Stops, stop-limits, take-profits and trailing stops: what starts them, and at what price they trade."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.matching.desk import BUY, SELL, STOP, Desk, kinds, prices, trades
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderState, OrderType, TimeInForce
from quarterdeck.domain.report import Amended
from quarterdeck.matching import FixedTicks

STOP_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT
TRAILING = OrderType.TRAILING_STOP


@pytest.mark.parametrize(
    ("kind", "side", "trigger"),
    [(STOP, SELL, 95), (STOP, BUY, 105), (TAKE_PROFIT, BUY, 95), (TAKE_PROFIT, SELL, 105)],
)
def test_reached_inside_a_candle_it_trades_at_its_trigger(
    desk: Desk, kind: OrderType, side: Side, trigger: int
) -> None:
    assert kinds(desk.place("a", side, 1, kind, trigger_price=trigger)) == ["Acked", "Opened"]
    assert desk.candle(100, 104.5, 95.5, 100) == []
    reports = desk.candle(100, 105, 95, 100)  # touching is enough
    assert kinds(reports) == ["Triggered", "Filled"]
    assert prices(reports) == {"a": Decimal(trigger)}


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "opened"),
    [(STOP, SELL, 95, 90), (STOP, BUY, 105, 110), (TAKE_PROFIT, BUY, 95, 90), (TAKE_PROFIT, SELL, 105, 110)],
)
def test_a_gap_over_the_trigger_trades_at_the_open(
    desk: Desk, kind: OrderType, side: Side, trigger: int, opened: int
) -> None:
    desk.place("a", side, 1, kind, trigger_price=trigger)
    assert prices(desk.candle(opened, opened + 1, opened - 1, opened)) == {"a": Decimal(opened)}


def test_a_triggered_stop_slips() -> None:
    desk = Desk(slippage=FixedTicks(2))
    desk.candle(100, 100, 100, 100)
    desk.place("a", SELL, 1, STOP, trigger_price=95)
    assert prices(desk.candle(100, 101, 90, 92)) == {"a": Decimal(94)}


def test_a_stop_whose_trigger_has_passed_starts_with_the_next_price_that_is_beyond_it(desk: Desk) -> None:
    desk.place("a", SELL, 1, STOP, trigger_price=101)  # the last price is 100
    assert prices(desk.candle(99, 99, 99, 99)) == {"a": Decimal(99)}


# --- stop-limit


def test_a_stop_limit_takes_if_its_limit_allows(desk: Desk) -> None:
    desk.place("a", SELL, 1, STOP_LIMIT, trigger_price=95, limit_price=93)
    assert prices(desk.candle(100, 101, 90, 92)) == {"a": Decimal(95)}


def test_a_stop_limit_that_gaps_beyond_its_limit_waits_there(desk: Desk) -> None:
    desk.place("a", SELL, 1, STOP_LIMIT, trigger_price=95, limit_price=93)
    assert kinds(desk.candle(90, 92, 89, 91)) == ["Triggered"]
    assert desk.state("a") is OrderState.OPEN
    assert trades(desk.candle(91, 93, 90, 92)) == []
    assert prices(desk.candle(92, 93.5, 91, 92)) == {"a": Decimal(93)}


def test_a_take_profit_limit_is_a_limit_order_once_reached(desk: Desk) -> None:
    desk.place("a", SELL, 1, TAKE_PROFIT_LIMIT, trigger_price=105, limit_price=107)
    assert kinds(desk.candle(100, 106, 100, 105)) == ["Triggered"]
    assert prices(desk.candle(105, 108, 104, 105)) == {"a": Decimal(107)}


def test_a_stop_limit_may_be_immediate(desk: Desk) -> None:
    desk.place("a", SELL, 1, STOP_LIMIT, trigger_price=95, limit_price=93, time_in_force=TimeInForce.IOC)
    assert kinds(desk.candle(90, 92, 89, 91)) == ["Triggered", "Expired"]


def test_a_post_only_stop_limit_that_would_take_is_rejected(desk: Desk) -> None:
    desk.place("a", SELL, 1, STOP_LIMIT, trigger_price=95, limit_price=93, time_in_force=TimeInForce.POST_ONLY)
    assert kinds(desk.candle(100, 100, 94, 94)) == ["Triggered", "Rejected"]


# --- trailing stop


def test_a_trailing_stop_follows_the_best_price_and_says_where_it_stands(desk: Desk) -> None:
    reports = desk.place("a", SELL, 1, TRAILING, trailing_distance=5)
    assert reports[-1] == Amended("a", desk.now, trigger_price=Decimal(95))  # 100 - 5
    # Flat, the low is nearer: 100, 99, 104, 103; the best is 104.
    assert desk.candle(100, 104, 99, 103) == [Amended("a", desk.now, trigger_price=Decimal(99))]
    assert desk.candle(103, 104, 100, 101) == []  # no better price, and 99 is not reached
    assert prices(desk.candle(101, 101, 98, 99)) == {"a": Decimal(99)}


def test_a_trailing_stop_rises_and_falls_within_one_candle(desk: Desk) -> None:
    desk.place("a", SELL, 1, TRAILING, trailing_distance=5)
    # High first (nearer to the open): up to 103 lifts the trigger to 98, which the fall to 90 reaches.
    reports = desk.candle(100, 103, 90, 92)
    assert kinds(reports) == ["Amended", "Triggered", "Filled"]
    assert prices(reports) == {"a": Decimal(98)}


def test_a_trailing_buy_mirrors_a_sale(desk: Desk) -> None:
    desk.place("a", BUY, 1, TRAILING, trailing_distance=5)
    # 100, 101, 96, 97: the best is 96.
    assert desk.candle(100, 101, 96, 97) == [Amended("a", desk.now, trigger_price=Decimal(101))]
    assert prices(desk.candle(103, 103, 103, 103)) == {"a": Decimal(103)}


def test_a_trailing_stop_may_be_told_where_to_start(desk: Desk) -> None:
    desk.place("a", SELL, 1, TRAILING, trailing_distance=5, trigger_price=97)
    desk.candle(100, 101, 98, 99)
    assert prices(desk.candle(99, 99, 96, 97)) == {"a": Decimal(97)}


def test_before_any_price_a_trailing_stop_starts_with_the_first() -> None:
    desk = Desk()
    desk.place("a", SELL, 1, TRAILING, trailing_distance=5, trigger_price=50)
    assert desk.candle(100, 100, 100, 100)[-1] == Amended("a", desk.now, trigger_price=Decimal(95))
    assert prices(desk.candle(100, 100, 90, 90)) == {"a": Decimal(95)}


# --- the path of a candle


def test_the_extreme_that_hurts_comes_first(desk: Desk) -> None:
    """A candle that reaches both the stop and the target of a position stops it out, however near the target is."""
    desk.place("long", BUY, 1)
    desk.candle(100, 100, 100, 100)
    desk.place("stop", SELL, 1, STOP, trigger_price=90, reduce_only=True)
    desk.place("target", SELL, 1, TAKE_PROFIT, trigger_price=101, reduce_only=True)
    reports = desk.candle(100, 101, 90, 100)
    assert kinds(reports) == ["Triggered", "Filled", "Canceled"]
    assert prices(reports) == {"stop": Decimal(90)}


def test_a_short_is_hurt_by_the_high(desk: Desk) -> None:
    desk.place("short", SELL, 1)
    desk.candle(100, 100, 100, 100)
    desk.place("stop", BUY, 1, STOP, trigger_price=110, reduce_only=True)
    desk.place("target", BUY, 1, TAKE_PROFIT, trigger_price=99, reduce_only=True)
    assert prices(desk.candle(100, 110, 99, 100)) == {"stop": Decimal(110)}


@pytest.mark.parametrize(
    ("high", "low", "first"), [(102, 99, "low"), (101, 98, "high"), (101, 99, "low")], ids=["low", "high", "tie"]
)
def test_when_flat_the_nearer_extreme_comes_first(desk: Desk, high: int, low: int, first: str) -> None:
    desk.place("high", BUY, 1, STOP, trigger_price=high)
    desk.place("low", SELL, 1, STOP, trigger_price=low)
    found = [link_id for link_id, _, _ in trades(desk.candle(100, high, low, 100))]
    assert found[0] == first
    assert len(found) == 2


def test_what_the_price_comes_back_to_trades_on_the_way_to_the_close(desk: Desk) -> None:
    """100, 98, 105, 101: bought at 98 on the way down, the target at 104 is reached after."""
    desk.place("a", BUY, 1, OrderType.LIMIT, limit_price=98.5, take_profit=104)
    assert prices(desk.candle(100, 110, 98, 101)) == {"a": Decimal("98.5"), "a-tp": Decimal(104)}
