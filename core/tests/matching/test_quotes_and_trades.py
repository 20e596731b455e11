"""Quotes and trades on the tape, and data that says the same thing twice."""

from __future__ import annotations

from decimal import Decimal

from core.tests.matching.desk import BTC_WITH_FEES, BUY, LIMIT, SELL, STOP, Desk, kinds, only_fill, prices, trades
from quarterdeck.domain.market import MINUTE, SECOND, Candle, Quote, Trade
from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import Liquidity
from quarterdeck.matching import LimitFill


def test_buys_pay_the_ask_and_sells_get_the_bid(desk: Desk) -> None:
    desk.place("buy", BUY, 1)
    desk.place("sell", SELL, 1)
    assert prices(desk.quote(99, 101)) == {"buy": Decimal(101), "sell": Decimal(99)}


def test_a_resting_limit_fills_when_the_other_side_is_quoted_at_it() -> None:
    desk = Desk(BTC_WITH_FEES)
    desk.quote(99, 101)
    desk.place("a", BUY, 1, LIMIT, limit_price=98)
    assert desk.quote(97, 98.5) == []  # the bid is not what a buyer pays
    fill = only_fill(desk.quote(96, 97))
    assert (fill.price, fill.liquidity) == (Decimal(98), Liquidity.MAKER)  # it was there first: at its own price


def test_a_new_limit_that_crosses_takes_the_quote() -> None:
    desk = Desk(BTC_WITH_FEES)
    desk.quote(99, 101)
    desk.place("a", BUY, 1, LIMIT, limit_price=102)
    fill = only_fill(desk.quote(99, 101))
    assert (fill.price, fill.liquidity) == (Decimal(101), Liquidity.TAKER)


def test_stops_watch_the_side_they_would_trade_on(desk: Desk) -> None:
    desk.place("sell", SELL, 1, STOP, trigger_price=95)
    desk.place("buy", BUY, 1, STOP, trigger_price=105)
    assert desk.quote(95.5, 104.5) == []
    assert prices(desk.quote(95, 104)) == {"sell": Decimal(95)}
    assert prices(desk.quote(94, 105)) == {"buy": Decimal(105)}


def test_a_trailing_sale_follows_the_bid(desk: Desk) -> None:
    desk.place("a", SELL, 1, OrderType.TRAILING_STOP, trailing_distance=5)
    desk.quote(104, 120)
    assert desk.quote(100, 110) == []
    assert prices(desk.quote(99, 101)) == {"a": Decimal(99)}


def test_quoted_size_limits_each_side_when_participation_is_set() -> None:
    desk = Desk(participation=Decimal(1))
    desk.quote(99, 101)
    desk.place("buy", BUY, 3)
    desk.place("sell", SELL, 3)
    found = trades(desk.quote(99, 101, bid_size=1, ask_size=2))
    assert found == [("buy", Decimal(2), Decimal(101)), ("sell", Decimal(1), Decimal(99))]


def test_positions_are_valued_in_the_middle(desk: Desk) -> None:
    desk.place("a", BUY, 2)
    desk.quote(99, 100)
    desk.quote(104, 107)
    assert desk.venue.margin_balance("USDT") == 10_000 + 2 * (Decimal("105.5") - 100)


# --- trades


def test_market_orders_trade_at_the_next_trade(desk: Desk) -> None:
    desk.place("a", BUY, 1)
    assert prices(desk.trade(101)) == {"a": Decimal(101)}


def test_a_resting_limit_has_to_be_traded_through(desk: Desk) -> None:
    desk.place("a", BUY, 1, LIMIT, limit_price=98)
    assert desk.trade(100) == []
    assert desk.trade(98) == []
    assert prices(desk.trade(97)) == {"a": Decimal(98)}


def test_or_touched_if_the_venue_is_told_so() -> None:
    desk = Desk(limit_fill=LimitFill.TOUCH)
    desk.trade(100)
    desk.place("a", BUY, 1, LIMIT, limit_price=98)
    desk.trade(99)
    assert prices(desk.trade(98)) == {"a": Decimal(98)}


def test_a_stop_trades_at_the_trade_that_reached_it(desk: Desk) -> None:
    desk.place("a", SELL, 1, STOP, trigger_price=98)
    assert prices(desk.trade(96)) == {"a": Decimal(96)}


# --- each moment trades once


def test_a_candle_of_what_quotes_have_shown_changes_nothing(desk: Desk) -> None:
    opened = desk.now
    desk.quote(99, 101)
    desk.place("a", BUY, 1, LIMIT, limit_price=95)
    assert desk.show(Candle("btcusdt", MINUTE, opened, 100.0, 100.0, 90.0, 99.0, 1.0)) == []


def test_candles_of_several_intervals_may_be_shown_side_by_side(desk: Desk) -> None:
    opened = desk.now
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=95)
    desk.candle(100, 100, 96, 100)
    # The two minutes again, as one candle, with the low they never had.
    assert desk.show(Candle("btcusdt", 2 * MINUTE, opened, 100.0, 100.0, 90.0, 100.0, 1.0)) == []
    assert kinds(desk.candle(100, 100, 90, 100)) == ["Filled"]


def test_news_that_comes_late_is_no_news(desk: Desk) -> None:
    desk.place("a", SELL, 1, STOP, trigger_price=95)
    assert desk.show(Quote("btcusdt", desk.now - SECOND, 90.0, 1.0, 91.0, 1.0)) == []
    assert desk.show(Trade("btcusdt", desk.now - SECOND, 90.0, 1.0, SELL)) == []


def test_instruments_the_venue_does_not_trade_are_ignored(desk: Desk) -> None:
    assert desk.candle(1, 2, 1, 2, symbol="dogeusdt") == []
