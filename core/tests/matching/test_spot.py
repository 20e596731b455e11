"""Spot: two balances, no borrowing, no shorting."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.matching.desk import BTC, BTC_SPOT, BUY, LIMIT, SELL, Desk, kinds, reason, trades
from quarterdeck.domain.market import FundingRate
from quarterdeck.domain.report import Filled

SPOT = "btcusdt-spot"


@pytest.fixture
def spot() -> Desk:
    desk = Desk(BTC_SPOT, balances={"USDT": 1000, "BTC": 2})
    desk.candle(100, 100, 100, 100, symbol=SPOT)
    return desk


def test_a_buy_moves_both_balances(spot: Desk) -> None:
    spot.place("a", BUY, 3, symbol=SPOT)
    spot.candle(101, 101, 101, 101, symbol=SPOT)
    assert spot.balance("BTC") == 5
    assert spot.balance("USDT") == 1000 - 303 - Decimal("0.16665")  # 303 * 0.00055


def test_a_fee_in_kind_is_kept_of_what_is_bought() -> None:
    spot = Desk(BTC_SPOT, balances={"USDT": 1000, "BTC": 0}, fees_in_kind=True)
    spot.candle(100, 100, 100, 100, symbol=SPOT)
    spot.place("a", BUY, 2, symbol=SPOT)
    (bought,) = [each for each in spot.candle(100, 100, 100, 100, symbol=SPOT) if isinstance(each, Filled)]
    assert (bought.fee, bought.fee_currency) == (Decimal("0.0011"), "BTC")  # 2 * 0.00055
    assert (spot.balance("BTC"), spot.balance("USDT")) == (Decimal("1.9989"), Decimal(800))
    assert [each.quantity for each in spot.venue.positions()] == [Decimal("1.9989")]
    spot.place("b", SELL, "1.99", symbol=SPOT)
    (sold,) = [each for each in spot.candle(100, 100, 100, 100, symbol=SPOT) if isinstance(each, Filled)]
    assert (sold.fee, sold.fee_currency) == (Decimal("0.10945"), "USDT")
    assert (spot.balance("BTC"), spot.balance("USDT")) == (Decimal("0.0089"), 999 - Decimal("0.10945"))
    assert list(spot.venue.positions()) == []  # it is less than a lot


def test_a_sale_moves_them_back(spot: Desk) -> None:
    spot.place("a", SELL, 2, symbol=SPOT)
    spot.candle(101, 101, 101, 101, symbol=SPOT)
    assert spot.balance("BTC") == 0
    assert spot.balance("USDT") == 1202 - Decimal("0.1111")


def test_what_is_not_there_can_be_neither_spent_nor_sold(spot: Desk) -> None:
    assert reason(spot.place("a", BUY, 10, symbol=SPOT)) == "INSUFFICIENT_BALANCE"  # 1000 and the fee
    assert reason(spot.place("b", SELL, "2.01", symbol=SPOT)) == "INSUFFICIENT_BALANCE"
    assert kinds(spot.place("c", SELL, 2, LIMIT, symbol=SPOT, limit_price=110)) == ["Acked", "Opened"]
    assert reason(spot.place("d", SELL, "0.01", symbol=SPOT)) == "INSUFFICIENT_BALANCE"  # c holds it
    spot.cancel("c")
    assert kinds(spot.place("e", SELL, 2, symbol=SPOT)) == ["Acked"]


def test_a_buy_that_gaps_beyond_the_balance_takes_what_it_can_pay(spot: Desk) -> None:
    spot.place("a", BUY, 9, symbol=SPOT)
    reports = spot.candle(200, 200, 200, 200, symbol=SPOT)
    # 1000 / (200 * 1.00055) = 4.99725..., on the lot 4.99
    assert trades(reports) == [("a", Decimal("4.99"), Decimal(200))]
    assert reason(reports) == "INSUFFICIENT_BALANCE"
    assert 0 <= spot.balance("USDT") < 3


def test_reduce_only_sells_what_was_bought_here(spot: Desk) -> None:
    assert reason(spot.place("a", SELL, 1, symbol=SPOT, reduce_only=True)) == "NOTHING_TO_REDUCE"
    assert reason(spot.place("b", BUY, 1, symbol=SPOT, reduce_only=True)) == "NOTHING_TO_REDUCE"
    spot.place("c", BUY, 1, symbol=SPOT)
    spot.candle(100, 100, 100, 100, symbol=SPOT)
    spot.place("d", SELL, 1, symbol=SPOT, reduce_only=True)
    spot.candle(100, 100, 100, 100, symbol=SPOT)
    assert spot.position(SPOT) == 0


def test_a_short_can_not_be_protected(spot: Desk) -> None:
    assert reason(spot.place("a", SELL, 1, symbol=SPOT, stop_loss=110)) == "PROTECTION_MISMATCH"


def test_spot_pays_no_funding(spot: Desk) -> None:
    spot.place("a", BUY, 1, symbol=SPOT)
    spot.candle(100, 100, 100, 100, symbol=SPOT)
    assert spot.show(FundingRate(SPOT, spot.now, 0.01)) == []


def test_margin_and_spot_orders_share_the_wallet() -> None:
    desk = Desk(BTC, BTC_SPOT, balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.candle(100, 100, 100, 100, symbol=SPOT)
    desk.place("contract", BUY, 5, LIMIT, limit_price=100)  # 50 of margin
    assert reason(desk.place("a", BUY, "0.5", symbol=SPOT)) == "INSUFFICIENT_BALANCE"  # 50.0275
    assert kinds(desk.place("b", BUY, "0.49", symbol=SPOT)) == ["Acked"]
    assert reason(desk.place("more", BUY, "0.5", LIMIT, limit_price=100)) == "INSUFFICIENT_MARGIN"


def test_a_resting_buy_whose_money_was_lost_elsewhere_takes_what_it_can_pay() -> None:
    desk = Desk(BTC, BTC_SPOT, balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.candle(100, 100, 100, 100, symbol=SPOT)
    desk.place("contract", BUY, "0.1")
    desk.candle(100, 100, 100, 100)
    desk.place("spot", BUY, 1, LIMIT, symbol=SPOT, limit_price=95)
    desk.funding(1.0)  # takes 10 of the 100
    reports = desk.candle(100, 100, 90, 90, symbol=SPOT)
    # 90 / (95 * 1.00055) = 0.9468..., on the lot 0.94
    assert trades(reports) == [("spot", Decimal("0.94"), Decimal(95))]
    assert reason(reports) == "INSUFFICIENT_BALANCE"
