"""Margin, liquidation and funding of perpetuals."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.matching.desk import BTC, BTC_WITH_FEES, BUY, ETH, LIMIT, SELL, STOP, Desk, kinds, prices, reason
from quarterdeck.domain.market import HOUR, MINUTE, SECOND, Candle, FundingRate
from quarterdeck.domain.order import OrderRole, OrderState
from quarterdeck.domain.report import BalanceChanged, ChildOpened, FillCause, Filled, FundingSettled
from quarterdeck.matching import FixedFunding, FixedTicks

# --- initial margin


def test_orders_beyond_the_leverage_are_refused() -> None:
    desk = Desk(balances={"USDT": 5000})
    desk.candle(100, 100, 100, 100)
    # 5000 USDT at 10 times carry a notional of 50 000: 500 at 100.
    assert reason(desk.place("a", BUY, "500.01")) == "INSUFFICIENT_MARGIN"
    assert kinds(desk.place("b", BUY, 500)) == ["Acked"]
    assert reason(desk.place("c", BUY, "0.01")) == "INSUFFICIENT_MARGIN"


def test_leverage_is_per_instrument_and_never_above_its_maximum() -> None:
    desk = Desk(BTC, ETH, leverage={"ethusdt": Decimal(50)}, default_leverage=Decimal(100), balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.candle(100, 100, 100, 100, symbol="ethusdt")
    assert reason(desk.place("a", BUY, "50.01")) == "INSUFFICIENT_MARGIN"  # 100 * 50 / 100
    assert kinds(desk.place("b", BUY, "25")) == ["Acked"]
    assert reason(desk.place("c", SELL, "25.01", symbol="ethusdt")) == "INSUFFICIENT_MARGIN"
    assert kinds(desk.place("d", SELL, "25", symbol="ethusdt")) == ["Acked"]


def test_the_fee_has_to_be_there_too() -> None:
    desk = Desk(BTC_WITH_FEES, balances={"USDT": 10})
    desk.candle(100, 100, 100, 100)
    # 1 at 100 needs 10 of margin and 0.055 of fee; 0.99 needs 9.9 and 0.05445.
    assert reason(desk.place("a", BUY, 1)) == "INSUFFICIENT_MARGIN"
    assert kinds(desk.place("b", BUY, "0.99")) == ["Acked"]


def test_the_worse_side_counts_not_both() -> None:
    desk = Desk(balances={"USDT": 10})
    desk.candle(100, 100, 100, 100)
    assert kinds(desk.place("bid", BUY, "0.5", LIMIT, limit_price=100)) == ["Acked", "Opened"]
    assert kinds(desk.place("ask", SELL, "0.5", LIMIT, limit_price=110)) == ["Acked", "Opened"]
    assert kinds(desk.place("more", BUY, "0.5", LIMIT, limit_price=100)) == ["Acked", "Opened"]
    assert reason(desk.place("much", BUY, "0.01", LIMIT, limit_price=100)) == "INSUFFICIENT_MARGIN"


def test_reducing_is_never_refused_for_margin() -> None:
    desk = Desk(balances={"USDT": 10})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1)
    desk.candle(100, 100, 96, 96)
    assert desk.venue.margin_balance("USDT") == 6  # less than the 9.6 of initial margin
    assert reason(desk.place("b", BUY, "0.01")) == "INSUFFICIENT_MARGIN"
    assert kinds(desk.place("c", SELL, 1)) == ["Acked"]


def test_unrealised_profit_carries_new_positions(desk: Desk) -> None:
    desk.place("a", BUY, 900)
    desk.candle(100, 110, 100, 110)
    # 10 000 + 9 000 of profit at 10 times carry 190 000; 99 000 are held.
    assert reason(desk.place("b", BUY, 830)) == "INSUFFICIENT_MARGIN"
    assert kinds(desk.place("c", BUY, 827)) == ["Acked"]


def test_a_cancelled_order_frees_its_margin(desk: Desk) -> None:
    desk.place("a", BUY, 1000, LIMIT, limit_price=99)
    assert reason(desk.place("b", BUY, 100)) == "INSUFFICIENT_MARGIN"
    desk.cancel("a")
    assert kinds(desk.place("c", BUY, 1000)) == ["Acked"]


# --- liquidation


def test_a_long_is_liquidated_where_equity_meets_maintenance_margin() -> None:
    desk = Desk(balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 10)
    desk.place("more", BUY, 1, LIMIT, limit_price=50)
    desk.candle(100, 100, 100, 100)
    # 100 + 10 (p - 100) = 0.01 * 10 p  =>  9.9 p = 900  =>  p = 90.909..., on the tick 90.5
    assert desk.venue.liquidation_price("btcusdt") == Decimal("90.5")
    assert desk.candle(100, 100, 91, 95) == []
    reports = desk.candle(95, 95, 85, 90)
    assert kinds(reports) == ["ChildOpened", "Filled"]
    opened, fill = reports
    assert isinstance(opened, ChildOpened)
    assert isinstance(fill, Filled)
    assert (opened.link_id, opened.parent_link_id, opened.role) == ("liq-2", "", OrderRole.LIQUIDATION)
    assert (fill.price, fill.cause, fill.quantity) == (Decimal("90.5"), FillCause.LIQUIDATION, Decimal(10))
    assert desk.balance() == 5  # 100 - 10 * 9.5


def test_working_orders_end_first() -> None:
    desk = Desk(balances={"USDT": 120})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 10, stop_loss=80)
    desk.place("more", BUY, 1, LIMIT, limit_price=50)
    desk.candle(100, 100, 100, 100)
    reports = desk.candle(100, 100, 79, 95)
    assert kinds(reports) == ["Canceled", "Canceled", "ChildOpened", "Filled"]
    assert reason(reports[:2]) == "LIQUIDATION"
    assert desk.state("a-sl") is OrderState.CANCELED


def test_a_stop_before_the_liquidation_price_saves_the_rest() -> None:
    desk = Desk(balances={"USDT": 120})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 10, stop_loss=95)
    assert prices(desk.candle(100, 100, 50, 95)) == {"a": Decimal(100), "a-sl": Decimal(95)}
    assert desk.balance() == 70


def test_a_short_is_liquidated_above() -> None:
    desk = Desk(balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.place("a", SELL, 10)
    desk.candle(100, 100, 100, 100)
    # 100 + 10 (100 - p) = 0.1 p  =>  10.1 p = 1100  =>  p = 108.91..., on the tick 109
    assert desk.venue.liquidation_price("btcusdt") == 109
    assert prices(desk.candle(100, 120, 100, 100)) == {"liq-2": Decimal(109)}


def test_a_gap_beyond_bankruptcy_is_covered_by_the_venue() -> None:
    desk = Desk(slippage=FixedTicks(2), balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 9)
    desk.candle(99, 99, 99, 99)  # bought at 100
    reports = desk.candle(80, 80, 80, 80)  # closed at 79: 9 * 21 = 189 of loss
    assert kinds(reports) == ["ChildOpened", "Filled", "BalanceChanged"]
    assert reports[-1] == BalanceChanged("insurance-3", "USDT", Decimal(89), "INSURANCE_FUND", desk.now - MINUTE)
    assert desk.balance() == 0


def test_one_account_carries_all_contracts() -> None:
    desk = Desk(BTC, ETH, balances={"USDT": 200})
    for symbol in ("btcusdt", "ethusdt"):
        desk.candle(100, 100, 100, 100, symbol=symbol)
    desk.place("a", BUY, 10)
    desk.place("b", BUY, 10, symbol="ethusdt")
    desk.candle(100, 100, 100, 100)
    desk.now -= MINUTE
    desk.candle(100, 100, 100, 100, symbol="ethusdt")
    # 200 - 10 - 10 of maintenance: both may lose 9 a piece, or one 18.
    assert desk.candle(100, 100, 91, 91) == []
    desk.now -= MINUTE
    reports = desk.candle(100, 100, 80, 85, symbol="ethusdt")
    # 200 - 90 + 10 (p - 100) = 9.1 + 0.1 p  =>  9.9 p = 899.1  =>  p = 90.818..., on the tick 90.5
    assert prices(reports) == {"liq-3": Decimal("90.5"), "liq-4": Decimal(91)}
    assert [r.symbol for r in reports if isinstance(r, Filled)] == ["ethusdt", "btcusdt"]


def test_profit_elsewhere_holds_a_position() -> None:
    desk = Desk(BTC, ETH, balances={"USDT": 200})
    for symbol in ("btcusdt", "ethusdt"):
        desk.candle(100, 100, 100, 100, symbol=symbol)
    desk.place("a", BUY, 10)
    desk.place("b", SELL, 10, symbol="ethusdt")
    for fall in (0, 10, 20, 30, 40):
        for symbol in ("ethusdt", "btcusdt"):
            desk.candle(100 - fall, 100 - fall, 100 - fall, 100 - fall, symbol=symbol)
    assert desk.position("btcusdt") == 10


# --- funding


def test_longs_pay_shorts_when_the_rate_is_positive(desk: Desk) -> None:
    desk.place("a", BUY, 3)
    desk.candle(100, 101, 99, 101)
    expected = FundingSettled(
        "btcusdt-120000000000", "btcusdt", Decimal("-0.0303"), Decimal("0.0001"), Decimal(3), desk.now
    )
    assert desk.funding(0.0001) == [expected]
    assert desk.balance() == Decimal("9999.9697")


def test_each_moment_is_paid_for_once(desk: Desk) -> None:
    desk.place("a", SELL, 3)
    desk.candle(100, 100, 100, 100)
    assert len(desk.funding(0.0001)) == 1
    assert desk.funding(0.0001) == []
    assert desk.balance() == Decimal("10000.03")


def test_without_a_position_nothing_is_paid(desk: Desk) -> None:
    assert desk.funding(0.0001) == []


def test_a_fixed_rate_falls_due_every_eight_hours() -> None:
    desk = Desk(funding=FixedFunding(Decimal("0.0001")))
    start = 20 * 365 * 24 * HOUR
    assert start % (8 * HOUR) == 0
    desk.show(Candle("btcusdt", HOUR, start, 100.0, 100.0, 100.0, 100.0, 1.0))
    desk.place("a", BUY, 1)
    found = [
        report.time
        for hour in range(1, 20)
        for report in desk.show(Candle("btcusdt", HOUR, start + hour * HOUR, 100.0, 100.0, 100.0, 100.0, 1.0))
        if isinstance(report, FundingSettled)
    ]
    assert found == [start + 8 * HOUR, start + 16 * HOUR]
    assert desk.balance() == Decimal("9999.98")


def test_a_rate_from_the_market_goes_before_the_fixed_one() -> None:
    desk = Desk(funding=FixedFunding(Decimal("0.0001"), interval=MINUTE))
    desk.trade(100)
    desk.place("a", BUY, 1)
    desk.trade(100)
    desk.show(FundingRate("btcusdt", MINUTE, 0.001))
    assert desk.balance() == Decimal("9999.9")
    desk.trade(100)
    assert desk.balance() == Decimal("9999.9")


def test_funding_can_liquidate() -> None:
    desk = Desk(balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 10)
    desk.candle(100, 100, 91, 91)  # 10 of equity, 9.1 of maintenance margin
    reports = desk.funding(0.001)  # 0.91
    assert kinds(reports) == ["FundingSettled", "ChildOpened", "Filled"]
    assert desk.balance() == Decimal("9.09")


@pytest.mark.parametrize("seconds", [1, 30])
def test_a_stop_that_arrives_too_late_does_not_save_from_liquidation(seconds: int) -> None:
    desk = Desk(balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 10)
    desk.candle(100, 100, 100, 100)
    opened = desk.now
    desk.now += 20 * SECOND + seconds * SECOND  # after the low of the candle that is under way
    desk.place("stop", SELL, 10, STOP, trigger_price=95, reduce_only=True)
    reports = desk.show(Candle("btcusdt", MINUTE, opened, 100.0, 100.0, 80.0, 90.0, 1.0))
    assert kinds(reports) == ["Canceled", "ChildOpened", "Filled"]


def test_history_is_told_as_far_as_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a history would be taken for all of it."""
    monkeypatch.setattr("quarterdeck.matching.execution.ACTIVITY_KEPT", 2)
    desk = Desk()
    for name in ("a", "b", "c"):
        desk.candle(100, 100, 100, 100)
        desk.place(name, BUY, 1)
    desk.candle(100, 100, 100, 100)
    _, second, third = desk.reader.fills
    assert list(desk.venue.history(second.time + 1)) == [third]
    with pytest.raises(LookupError, match=f"before {second.time} is forgotten"):
        desk.venue.history(second.time)


def test_money_taken_out_brings_the_liquidation_near() -> None:
    desk = Desk(balances={"USDT": 1_000})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 10)
    desk.candle(100, 100, 100, 100)
    desk.venue.deposit("USDT", Decimal(-900))
    # 100 - 10 (100 - p) = 0.1 p  =>  p = 90.90..., on the tick 90.5
    assert desk.venue.liquidation_price("btcusdt") == Decimal("90.5")
    assert prices(desk.candle(100, 100, 80, 80))
    desk.venue.deposit("EUR", Decimal(5))
    assert desk.venue.balances()["EUR"] == 5


def test_leverage_can_be_changed_within_what_the_instrument_allows() -> None:
    desk = Desk(balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.venue.set_leverage("btcusdt", Decimal(1))
    assert kinds(desk.place("a", BUY, 10)) == ["Rejected"]
    desk.venue.set_leverage("btcusdt", Decimal(10))
    assert kinds(desk.place("b", BUY, 10))[0] == "Acked"
    with pytest.raises(ValueError, match="from 1 to"):
        desk.venue.set_leverage("btcusdt", Decimal(1_000))
    with pytest.raises(ValueError, match="not traded here"):
        desk.venue.set_leverage("nothing", Decimal(1))
