"""Market and limit orders on candles: what trades, when, and at what price."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.matching.desk import (
    BTC_WITH_FEES,
    BUY,
    LIMIT,
    MARKET,
    SELL,
    Desk,
    kinds,
    only_fill,
    prices,
    reason,
    trades,
)
from quarterdeck.domain.order import OrderState, OrderTerms, TimeInForce
from quarterdeck.domain.report import Acked, Liquidity, Opened
from quarterdeck.matching import BasisPoints, FixedTicks, LimitFill, VolumeImpact


def test_a_market_order_trades_at_the_next_open_not_at_the_price_it_was_placed_at(desk: Desk) -> None:
    assert kinds(desk.place("a", BUY, 1)) == ["Acked"]
    assert trades(desk.candle(101, 105, 99, 104)) == [("a", Decimal(1), Decimal(101))]
    assert desk.state("a") is OrderState.FILLED
    assert desk.position() == 1


def test_reports_say_when(desk: Desk) -> None:
    minute = desk.now
    outcome = desk.place("a", BUY, 1)[0]
    fill = only_fill(desk.candle(101, 105, 99, 104))
    assert outcome == Acked("a", "x-a", minute)
    assert fill.time == minute  # the candle opens when the one before closed


def test_fees_are_taken_from_the_settling_currency() -> None:
    desk = Desk(BTC_WITH_FEES)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, "0.03")
    fill = only_fill(desk.candle(101.5, 102, 101, 102))
    assert fill.fee == Decimal("0.00167475")  # 0.03 * 101.5 * 0.00055
    assert (fill.fee_currency, fill.liquidity) == ("USDT", Liquidity.TAKER)
    assert desk.balance() == Decimal("9999.99832525")


def test_an_open_off_the_tick_is_rounded_against_the_order(desk: Desk) -> None:
    desk.place("buy", BUY, 1)
    desk.place("sell", SELL, 1)
    # The tick is 0.5; 100.2 lies between 100 and 100.5.
    assert prices(desk.candle(100.2, 101, 100, 101)) == {"buy": Decimal("100.5"), "sell": Decimal(100)}


@pytest.mark.parametrize(
    ("slippage", "buy", "sell"),
    [
        (FixedTicks(3), "101.5", "98.5"),  # 3 * 0.5
        (BasisPoints(Decimal(20)), "100.5", "99.5"),  # 0.2, rounded against us to the tick
        (BasisPoints(Decimal(100)), "101", "99"),
        (VolumeImpact(Decimal("0.2")), "102", "98"),  # 0.2 * sqrt(1 / 100) = 2 %
        (VolumeImpact(Decimal(9)), "105", "95"),  # capped at 5 %
    ],
)
def test_slippage_is_always_against_the_taker(slippage: object, buy: str, sell: str) -> None:
    desk = Desk(slippage=slippage)
    desk.candle(100, 100, 100, 100)
    desk.place("buy", BUY, 1)
    desk.place("sell", SELL, 1)
    assert prices(desk.candle(100, 110, 90, 100)) == {"buy": Decimal(buy), "sell": Decimal(sell)}


def test_impact_without_volume_is_the_cap() -> None:
    desk = Desk(slippage=VolumeImpact(Decimal("0.2"), cap=Decimal("0.01")))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1)
    assert prices(desk.candle(100, 110, 90, 100, volume=0)) == {"a": Decimal(101)}


def test_a_sale_never_slips_below_one_tick() -> None:
    desk = Desk(slippage=FixedTicks(1000))
    desk.candle(100, 100, 100, 100)
    desk.place("a", SELL, 1)
    assert prices(desk.candle(100, 100, 100, 100)) == {"a": Decimal("0.5")}


# --- limit orders


def test_a_limit_order_opens_and_waits(desk: Desk) -> None:
    assert kinds(desk.place("a", BUY, 1, LIMIT, limit_price=95)) == ["Acked", "Opened"]
    assert desk.candle(100, 101, 95.5, 100) == []
    assert desk.state("a") is OrderState.OPEN


def test_a_limit_order_has_to_be_traded_through(desk: Desk) -> None:
    desk.place("a", BUY, 1, LIMIT, limit_price=95)
    desk.candle(100, 101, 96, 100)
    assert trades(desk.candle(100, 101, 95, 100)) == []  # touched: others stood before us
    assert prices(desk.candle(100, 101, 94.5, 100)) == {"a": Decimal(95)}


def test_a_touch_is_enough_if_the_venue_is_told_so() -> None:
    desk = Desk(limit_fill=LimitFill.TOUCH)
    desk.candle(100, 100, 100, 100)
    desk.place("a", SELL, 1, LIMIT, limit_price=105)
    assert prices(desk.candle(100, 105, 100, 100)) == {"a": Decimal(105)}


def test_a_new_limit_order_takes_the_open_if_that_is_better() -> None:
    desk = Desk(BTC_WITH_FEES)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=99)
    fill = only_fill(desk.candle(97, 98, 96, 98))
    assert (fill.price, fill.liquidity) == (Decimal(97), Liquidity.TAKER)


def test_a_limit_at_the_open_trades(desk: Desk) -> None:
    desk.place("a", BUY, 1, LIMIT, limit_price=97)
    assert prices(desk.candle(97, 98, 97, 98)) == {"a": Decimal(97)}


def test_a_resting_limit_pays_the_maker_fee_at_its_price() -> None:
    desk = Desk(BTC_WITH_FEES)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=95)
    fill = only_fill(desk.candle(100, 101, 90, 92))
    assert (fill.price, fill.liquidity) == (Decimal(95), Liquidity.MAKER)
    assert fill.fee == Decimal("0.019")  # 95 * 0.0002


def test_a_gap_over_a_resting_limit_trades_at_the_open_as_a_taker() -> None:
    desk = Desk(BTC_WITH_FEES)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=95)
    desk.candle(100, 101, 96, 100)
    fill = only_fill(desk.candle(90, 92, 89, 91))
    assert (fill.price, fill.liquidity) == (Decimal(90), Liquidity.TAKER)


def test_slippage_stops_at_the_limit() -> None:
    desk = Desk(slippage=FixedTicks(10))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=102)
    assert prices(desk.candle(100, 103, 100, 100)) == {"a": Decimal(102)}


def test_several_limits_trade_in_the_order_the_price_meets_them(desk: Desk) -> None:
    for link_id, price in (("far", 94), ("first", 97), ("second", 97), ("near", 98)):
        desk.place(link_id, BUY, 1, LIMIT, limit_price=price)
    found = [link_id for link_id, _, _ in trades(desk.candle(100, 100, 90, 95))]
    assert found == ["near", "first", "second", "far"]


# --- time in force


def test_post_only_is_rejected_if_it_would_cross(desk: Desk) -> None:
    reports = desk.place("a", BUY, 1, LIMIT, limit_price=100, time_in_force=TimeInForce.POST_ONLY)
    assert kinds(reports) == ["Rejected"]
    assert reason(reports) == "POST_ONLY_WOULD_CROSS"
    assert desk.venue.find_order("a") is None


def test_post_only_rests_and_makes_even_over_a_gap() -> None:
    desk = Desk(BTC_WITH_FEES)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=99, time_in_force=TimeInForce.POST_ONLY)
    fill = only_fill(desk.candle(95, 96, 94, 95))
    assert (fill.price, fill.liquidity) == (Decimal(99), Liquidity.MAKER)


def test_post_only_before_any_price_meets_the_first_one() -> None:
    desk = Desk()
    desk.place("crosses", BUY, 1, LIMIT, limit_price=101, time_in_force=TimeInForce.POST_ONLY)
    desk.place("rests", BUY, 1, LIMIT, limit_price=99, time_in_force=TimeInForce.POST_ONLY)
    assert kinds(desk.candle(100, 100, 100, 100)) == ["Rejected"]
    assert desk.state("rests") is OrderState.OPEN


@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
def test_an_immediate_order_that_meets_no_price_expires(desk: Desk, time_in_force: TimeInForce) -> None:
    assert kinds(desk.place("a", BUY, 1, LIMIT, limit_price=99, time_in_force=time_in_force)) == ["Acked"]
    reports = desk.candle(100, 100, 90, 100)  # the low comes too late for it
    assert kinds(reports) == ["Expired"]
    assert desk.state("a") is OrderState.EXPIRED


def test_ioc_takes_what_there_is() -> None:
    desk = Desk(participation=Decimal("0.1"))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 3, LIMIT, limit_price=101, time_in_force=TimeInForce.IOC)
    reports = desk.candle(100, 100, 100, 100, volume=20)
    assert kinds(reports) == ["Filled", "Expired"]
    assert trades(reports) == [("a", Decimal(2), Decimal(100))]


def test_fok_takes_all_or_nothing() -> None:
    desk = Desk(participation=Decimal("0.1"))
    desk.candle(100, 100, 100, 100)
    desk.place("large", BUY, 3, LIMIT, limit_price=101, time_in_force=TimeInForce.FOK)
    desk.place("small", BUY, 2, time_in_force=TimeInForce.FOK)
    reports = desk.candle(100, 100, 100, 100, volume=20)
    assert kinds(reports) == ["Expired", "Filled"]
    assert trades(reports) == [("small", Decimal(2), Decimal(100))]


# --- participation


def test_a_market_order_goes_on_until_it_is_filled() -> None:
    desk = Desk(participation=Decimal("0.5"))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 5)
    assert trades(desk.candle(101, 101, 101, 101, volume=4.03)) == [("a", Decimal("2.01"), Decimal(101))]  # on the lot
    assert desk.state("a") is OrderState.PARTIALLY_FILLED
    assert trades(desk.candle(102, 102, 102, 102, volume=100)) == [("a", Decimal("2.99"), Decimal(102))]
    assert desk.state("a") is OrderState.FILLED


def test_the_volume_of_a_candle_is_shared_by_all_orders() -> None:
    desk = Desk(participation=Decimal(1))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 2)
    desk.place("b", BUY, 3, LIMIT, limit_price=95)
    assert trades(desk.candle(100, 100, 90, 92, volume=4)) == [
        ("a", Decimal(2), Decimal(100)),
        ("b", Decimal(2), Decimal(95)),
    ]
    # What is left of b rests again, and the next candle opens below it.
    assert trades(desk.candle(94, 94, 94, 94, volume=4)) == [("b", Decimal(1), Decimal(94))]


# --- what is acknowledged


def test_the_same_order_again_is_the_same_order(desk: Desk) -> None:
    desk.place("a", BUY, 1)
    order = desk.reader.orders["a"].terms
    assert kinds(desk.venue.place("a", order, desk.now)) == ["Acked"]
    desk.candle(100, 100, 100, 100)
    assert kinds(desk.venue.place("a", order, desk.now)) == ["Acked"]
    desk.candle(100, 100, 100, 100)
    assert desk.position() == 1


def test_one_link_id_never_stands_for_two_orders(desk: Desk) -> None:
    desk.place("a", BUY, 1)
    other = desk.venue.place("a", OrderTerms("btcusdt", SELL, MARKET, Decimal(1)), desk.now)
    assert reason(other) == "DUPLICATE_LINK_ID"


def test_an_order_that_works_says_so(desk: Desk) -> None:
    assert desk.place("a", BUY, 1, LIMIT, limit_price=95)[1] == Opened("a", "x-a", desk.now)
