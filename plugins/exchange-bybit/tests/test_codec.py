"""What goes over the wire, and what comes back."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MINUTE, Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms, OrderType, TimeInForce
from quarterdeck.domain.report import (
    Amended,
    Canceled,
    CancelRejected,
    ChildOpened,
    Expired,
    FillCause,
    Filled,
    FundingSettled,
    Opened,
    Rejected,
    Triggered,
)
from quarterdeck_exchange_bybit.codec import codes, executions, frames, market, orders
from quarterdeck_exchange_bybit.codec.account import read_balances, read_key_info, read_position
from quarterdeck_exchange_bybit.codec.listing import Listing, symbol_of
from quarterdeck_exchange_bybit.codec.row import Malformed, Row, number


def instrument(venue_symbol: str, category: str = "linear") -> Instrument:
    """An instrument with fine filters."""
    quote = "USDC" if venue_symbol.endswith("USDC") else "USDT"
    return Instrument(
        symbol=symbol_of(category, venue_symbol),
        venue_symbol=venue_symbol,
        kind=InstrumentKind.SPOT if category == "spot" else InstrumentKind.LINEAR,
        base=venue_symbol.removesuffix(quote),
        quote=quote,
        settle=quote,
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
    )


BTC = instrument("BTCUSDT")
BTC_SPOT = instrument("BTCUSDT", "spot")
LISTING = Listing([BTC, BTC_SPOT, instrument("ETHUSDT")])


def order_row(**changes: Any) -> dict[str, Any]:
    """A working limit order on the linear perpetual, as the order topic tells it."""
    return {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": "f6e324ff-99c2-4e89-9739-3086e47f9381",
        "orderLinkId": "a1-ours",
        "side": "Buy",
        "orderType": "Limit",
        "orderStatus": "New",
        "stopOrderType": "",
        "price": "50000",
        "qty": "0.10",
        "cumExecQty": "0",
        "triggerPrice": "",
        "triggerDirection": 0,
        "timeInForce": "GTC",
        "reduceOnly": False,
        "rejectReason": "EC_NoError",
        "cancelType": "UNKNOWN",
        "createdTime": "1700000000000",
        "updatedTime": "1700000000000",
    } | changes


def execution_row(**changes: Any) -> dict[str, Any]:
    """A maker's trade of that order, as the execution topic tells it."""
    return {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": "f6e324ff-99c2-4e89-9739-3086e47f9381",
        "orderLinkId": "a1-ours",
        "side": "Buy",
        "execId": "7e2ae69c-4edf-5800-a352-893d52b446aa",
        "execType": "Trade",
        "execPrice": "50000",
        "execQty": "0.1",
        "execFee": "1.0",
        "feeRate": "0.0002",
        "isMaker": True,
        "orderQty": "0.1",
        "stopOrderType": "UNKNOWN",
        "execTime": "1700000000500",
    } | changes


BUY, SELL = Side.BUY, Side.SELL
PLAIN = re.compile(r"\d+(\.\d+)?")


def terms(side: Side = BUY, kind: OrderType = OrderType.LIMIT, **more: Any) -> OrderTerms:
    return OrderTerms("btcusdt", side, kind, Decimal("0.10"), **more)


def reports(**changes: Any) -> list[object]:
    return list(orders.order_reports(orders.read_order(Row(order_row(**changes), "row"), LISTING)))


# ---------------------------------------------------------------- out


def test_a_limit_order_with_its_protection() -> None:
    wanted = terms(limit_price=Decimal("50000.0"), stop_loss=Decimal(49000), take_profit=Decimal("5.2E+4"))
    assert orders.create_params(BTC, wanted, "a1-x") == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "0.1",
        "price": "50000",
        "timeInForce": "GTC",
        "orderLinkId": "a1-x",
        "positionIdx": 0,
        "reduceOnly": False,
        "stopLoss": "49000",
        "slOrderType": "Market",
        "takeProfit": "52000",
        "tpOrderType": "Market",
        "tpslMode": "Partial",
    }


@pytest.mark.parametrize(
    ("side", "kind", "direction"),
    [
        (BUY, OrderType.STOP, 1),
        (SELL, OrderType.STOP, 2),
        (BUY, OrderType.TAKE_PROFIT, 2),
        (SELL, OrderType.TAKE_PROFIT, 1),
    ],
)
def test_a_conditional_order_says_which_way_its_trigger_lies(side: Side, kind: OrderType, direction: int) -> None:
    params = orders.create_params(BTC, terms(side, kind, trigger_price=Decimal(50_500), reduce_only=True), "a1-x")
    assert (params["triggerDirection"], params["triggerPrice"]) == (direction, "50500")
    assert (params["orderType"], params["timeInForce"], params["closeOnTrigger"]) == ("Market", "IOC", True)


def test_spot_counts_market_orders_in_the_base() -> None:
    params = orders.create_params(BTC_SPOT, terms(kind=OrderType.MARKET), "a1-x")
    assert params["marketUnit"] == "baseCoin"
    assert "positionIdx" not in params
    assert "reduceOnly" not in params


@given(st.decimals(min_value=Decimal("1E-12"), max_value=Decimal("1E12"), places=12))
def test_numbers_go_out_as_plain_digits(value: Decimal) -> None:
    text = orders.decimal_text(value)
    assert PLAIN.fullmatch(text)
    assert Decimal(text) == value


def test_what_the_venue_opened_is_named_by_its_own_id() -> None:
    assert orders.cancel_params(BTC, "a1-x-sl", "7e2a") == {
        "category": "linear", "symbol": "BTCUSDT", "orderId": "7e2a",
    }  # fmt: skip
    assert orders.amend_params(BTC, "a1-x", quantity=Decimal("0.20")) == {
        "category": "linear", "symbol": "BTCUSDT", "orderLinkId": "a1-x", "qty": "0.2",
    }  # fmt: skip


# ---------------------------------------------------------------- back


def test_a_working_order() -> None:
    assert reports() == [Opened("a1-ours", "f6e324ff-99c2-4e89-9739-3086e47f9381", 1_700_000_000_000_000_000)]


def test_an_order_that_was_changed_says_all_its_terms() -> None:
    opened, changed = reports(updatedTime="1700000000001", qty="0.2")
    assert isinstance(opened, Opened)
    assert changed == Amended("a1-ours", 1_700_000_000_001_000_000, Decimal("0.2"), Decimal(50_000), None)


def test_what_is_filled_is_told_by_executions_alone() -> None:
    assert reports(orderStatus="Filled", cumExecQty="0.1") == []


def test_a_cancellation_that_came_too_late() -> None:
    (late,) = reports(orderStatus="Filled", cancelType="CancelByUser", rejectReason="EC_OrigClOrdIDDoesNotExist")
    assert isinstance(late, CancelRejected)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        ("Cancelled", "EC_PerCancelRequest", Canceled),
        ("PartiallyFilledCanceled", "EC_NoError", Canceled),
        ("Deactivated", "EC_NoError", Canceled),
        ("Cancelled", "EC_NoImmediateQtyToFill", Expired),
        ("Rejected", "EC_PostOnlyWillTakeLiquidity", Rejected),
    ],
)
def test_how_an_order_ends(status: str, reason: str, kind: type[object]) -> None:
    (ended,) = reports(orderStatus=status, rejectReason=reason)
    assert type(ended) is kind


def test_a_conditional_order_that_has_started_to_work() -> None:
    changes = {"stopOrderType": "Stop", "triggerPrice": "50500", "triggerDirection": 1}
    (opened,) = reports(orderStatus="Untriggered", **changes)
    assert isinstance(opened, Opened)
    assert [type(each) for each in reports(orderStatus="New", **changes)] == [Opened, Triggered]
    assert [type(each) for each in reports(orderStatus="Deactivated", **changes)] == [Canceled]  # it never did


def test_protection_is_named_after_the_order_it_protects() -> None:
    changes = {
        "orderLinkId": "",
        "parentOrderLinkId": "a1-ours",
        "stopOrderType": "PartialStopLoss",
        "orderStatus": "Untriggered",
        "side": "Sell",
        "orderType": "Market",
        "price": "0",
        "triggerPrice": "49000",
        "triggerDirection": 2,
        "reduceOnly": True,
    }
    row = orders.read_order(Row(order_row(**changes), "row"), LISTING)
    assert row.role is OrderRole.STOP_LOSS
    child = orders.opened_by_venue(row, row.role)
    assert (child.link_id, child.parent_link_id, child.role) == ("a1-ours-sl", "a1-ours", OrderRole.STOP_LOSS)
    assert (child.terms.type, child.terms.trigger_price) == (OrderType.STOP, Decimal(49_000))


def test_a_status_nobody_here_knows_claims_nothing() -> None:
    row = orders.read_order(Row(order_row(orderStatus="Resting"), "row"), LISTING)
    assert (row.status, row.state, row.order.state) == ("Resting", None, OrderState.UNKNOWN)
    assert list(orders.order_reports(row)) == []


def test_terms_come_back_as_they_went_out() -> None:
    wanted = terms(
        SELL, OrderType.STOP_LIMIT, limit_price=Decimal(48_900), trigger_price=Decimal(49_000),
        time_in_force=TimeInForce.GTC, reduce_only=True,
    )  # fmt: skip
    sent = orders.create_params(BTC, wanted, "a1-ours")
    back = orders.read_order(Row(order_row(**sent, orderStatus="Untriggered", stopOrderType="Stop"), "row"), LISTING)
    assert back.order.terms == wanted


@pytest.mark.parametrize("name", ["symbol", "orderId", "side", "qty", "orderStatus", "updatedTime", "orderType"])
def test_a_missing_field_is_named(name: str) -> None:
    row = order_row()
    del row[name]
    with pytest.raises(Malformed, match=rf"^row\.{name}: None is not"):
        orders.read_order(Row(row, "row"), LISTING)


# ---------------------------------------------------------------- executions


def execution(**changes: Any) -> executions.Execution:
    return executions.read_execution(Row(execution_row(**changes), "row"), LISTING)


def test_a_trade() -> None:
    fill = execution().report
    assert isinstance(fill, Filled)
    assert (fill.trade_id, fill.quantity, fill.fee_currency) == (execution_row()["execId"], Decimal("0.1"), "USDT")


def test_a_spot_fee_is_taken_of_what_was_received() -> None:
    fill = execution(category="spot").report
    assert isinstance(fill, Filled)
    assert fill.fee_currency == "BTC"
    named = execution(category="spot", feeCurrency="MNT").report
    assert isinstance(named, Filled)
    assert named.fee_currency == "MNT"


@pytest.mark.parametrize("kind", ["BustTrade", "AdlTrade", "Delivery"])
def test_the_venue_takes_a_position_away(kind: str) -> None:
    opened, fill = execution(execType=kind, orderLinkId="", side="Sell").reports
    assert isinstance(opened, ChildOpened)
    assert isinstance(fill, Filled)
    assert (opened.role, opened.link_id) == (OrderRole.LIQUIDATION, fill.link_id)
    assert len(fill.link_id) <= 36
    assert fill.cause is FillCause.LIQUIDATION


def test_funding_that_a_long_paid() -> None:
    funding = execution(execType="Funding", orderLinkId="", side="Sell", execFee="0.5", feeRate="0.0001").report
    assert isinstance(funding, FundingSettled)
    assert (funding.amount, funding.rate, funding.position_quantity) == (
        Decimal("-0.5"), Decimal("0.0001"), Decimal("0.1"),
    )  # fmt: skip


def test_money_that_moved_in_an_unknown_way_is_refused_by_name() -> None:
    with pytest.raises(Malformed, match="execType: 'Donation' is not one of"):
        execution(execType="Donation")


# ---------------------------------------------------------------- account


def test_a_short_position_is_negative() -> None:
    row = {"category": "linear", "symbol": "BTCUSDT", "side": "Sell", "size": "0.5", "avgPrice": "50000",
           "positionIdx": 0, "updatedTime": "1700000000000"}  # fmt: skip
    read = read_position(Row(row, "row"), LISTING)
    assert read.position.quantity == Decimal("-0.5")
    flat = read_position(Row(row | {"side": "", "size": "0", "avgPrice": ""}, "row"), LISTING)
    assert flat.position.quantity == 0
    with pytest.raises(Malformed, match="avgPrice"):
        read_position(Row(row | {"avgPrice": ""}, "row"), LISTING)


def test_balances() -> None:
    row = {"coin": [{"coin": "USDT", "walletBalance": "10.50"}, {"coin": "BTC", "walletBalance": ""}]}
    assert dict(read_balances(Row(row, "row"))) == {"USDT": Decimal("10.5"), "BTC": Decimal(0)}


def test_what_a_key_may_do() -> None:
    row = {
        "userID": 7, "readOnly": 0, "uta": 1, "ips": ["*"], "expiredAt": "2027-02-19T08:00:00Z",
        "permissions": {"ContractTrade": ["Order", "Position"], "Spot": [], "Wallet": ["Withdraw"]},
    }  # fmt: skip
    key = read_key_info(Row(row, "row"))
    assert (key.can_trade_contracts, key.can_trade_spot, key.can_withdraw, key.is_bound) == (True, False, True, False)
    assert key.expires is not None
    assert key.expires.year == 2027


# ---------------------------------------------------------------- market


def test_candles_that_contradict_themselves_are_refused() -> None:
    good = ["1700000040000", "10", "12", "9", "11", "5", "50"]
    assert market.read_kline(good, BTC, MINUTE).high == 12.0
    for at, bad in ((2, "10.5"), (3, "10.5"), (1, "-1"), (4, "nan"), (0, "1700000040001"), (5, "")):
        broken = good.copy()
        broken[at] = bad
        with pytest.raises(Malformed):
            market.read_kline(broken, BTC, MINUTE)


# ---------------------------------------------------------------- codes and frames


@pytest.mark.parametrize("code", [10000, 10006, 10014, 10016, 110072, 170001, 170146, 170147, 500000, 999_999, -1])
def test_doubt_is_not_a_refusal(code: int) -> None:
    assert codes.verdict(code) is codes.Verdict.UNKNOWN


@pytest.mark.parametrize("code", [10001, 10003, 33004, 110007, 110017, 110094, 170131, 170210])
def test_refusals(code: int) -> None:
    assert codes.verdict(code) is codes.Verdict.REFUSED


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_a_row_holds_it_is_read_or_refused_by_name(anything: Any) -> None:
    for template in (order_row(), execution_row()):
        for name in template:
            row = Row(template | {name: anything}, "row")
            for read in (orders.read_order, executions.read_execution):
                with suppress(Malformed):
                    read(row, LISTING)


@given(st.binary() | st.text())
def test_whatever_bytes_come_they_are_a_frame_or_refused(anything: bytes | str) -> None:
    for read in (frames.read_frame, frames.read_answer):
        with pytest.raises(Malformed):
            read(anything)


@pytest.mark.parametrize("given_", ["1e400", "NaN", "Infinity", "1" * 100, True, [], "1_0", "٣x"])
def test_numbers_that_are_none(given_: object) -> None:
    with pytest.raises(Malformed):
        number(given_, "row.price")


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(Malformed):
        frames.read_frame("[" * 100_000)
