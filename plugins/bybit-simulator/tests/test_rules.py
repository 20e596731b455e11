"""Bybit's own rules, as far as a client can feel them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck_bybit_simulator import LinkIds
from quarterdeck_bybit_simulator.protection import unprotected

DAY = 86_400


def status(desk: Any, link_id: str) -> str:
    rows = desk.call("/v5/order/history", category="linear", orderLinkId=link_id)["result"]["list"]
    return rows[0]["orderStatus"] if rows else ""


def found(desk: Any, link_id: str) -> list[Any]:
    rows: list[Any] = desk.call("/v5/order/realtime", category="linear", orderLinkId=link_id)["result"]["list"]
    return rows


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"key": "nobody"}, 10003),
        ({"secret": "wrong"}, 10004),
        ({"stamp": 1_699_999_994_000}, 10002),
        ({"stamp": 1_700_000_001_500}, 10002),
        ({"qty": "1e-1"}, 10001),
        ({"qty": "0.0001"}, 10001),
        ({"price": "0.05"}, 10001),
        ({"price": "10", "qty": "0.001"}, 110094),
        ({"qty": "1000"}, 110007),
        ({"symbol": "NOUSDT"}, 10001),
        ({"orderLinkId": "x" * 37}, 10001),
        ({"reduceOnly": True}, 110017),
        ({"category": "spot", "qty": "60"}, 170131),
    ],
)
def test_refusals(desk: Any, changes: dict[str, Any], code: int) -> None:
    desk.now = 1_700_000_000_000_000_000
    assert desk.place(**changes)["retCode"] == code


def test_a_market_order_is_acknowledged_and_told_on_the_streams(desk: Any) -> None:
    answer = desk.place(orderType="Market", orderLinkId="a1", stopLoss="49000", tpslMode="Partial")
    assert answer["retCode"] == 0
    assert set(answer["result"]) == {"orderId", "orderLinkId"}
    filled, stop = [row for row in desk.rows("order") if row["orderStatus"] in ("Filled", "Untriggered")]
    assert (filled["orderLinkId"], filled["cumExecQty"], filled["avgPrice"]) == ("a1", "0.1", "50000.1")
    assert (stop["orderLinkId"], stop["parentOrderLinkId"], stop["stopOrderType"]) == ("", "a1", "PartialStopLoss")
    (execution,) = desk.rows("execution")
    assert (execution["execType"], execution["execFee"], execution["isMaker"]) == ("Trade", "2.7500055", False)
    assert desk.rows("position")[-1]["size"] == "0.1"


def test_a_post_only_order_that_would_take_is_acknowledged_and_canceled(desk: Any) -> None:
    assert desk.place(price="50001", timeInForce="PostOnly", orderLinkId="p1")["retCode"] == 0
    row = desk.rows("order")[-1]
    assert (row["orderStatus"], row["rejectReason"]) == ("Cancelled", "EC_PostOnlyWillTakeLiquidity")


@pytest.mark.parametrize(("mode", "again"), [(LinkIds.ALWAYS, 110072), (LinkIds.OPEN_ONLY, 0)])
def test_whether_a_link_id_may_be_used_again(desk: Any, mode: LinkIds, again: int) -> None:
    desk.simulator.settings.link_ids = mode
    assert desk.place(orderLinkId="same")["retCode"] == 0
    assert desk.place(orderLinkId="same")["retCode"] == 110072
    desk.call("/v5/order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="same")
    assert desk.place(orderLinkId="same")["retCode"] == again


def test_cancel_all_without_a_filter_takes_the_stops_too(desk: Any) -> None:
    for wanted, left in (("Order", 1), ("", 0)):
        desk.place(orderType="Market", stopLoss="49000", tpslMode="Partial", orderLinkId=f"e{left}")
        desk.place(orderLinkId=f"l{left}")
        filters = {"orderFilter": wanted} if wanted else {}
        desk.call("/v5/order/cancel-all", category="linear", settleCoin="USDT", **filters)
        open_orders = desk.call("/v5/order/realtime", category="linear", settleCoin="USDT")["result"]["list"]
        assert len(open_orders) == left


def test_queries_do_not_find_a_new_order_at_once(desk: Any) -> None:
    desk.simulator.settings.visibility_delay = 10 * 1_000_000_000
    desk.place(orderLinkId="late")
    assert found(desk, "late") == []
    desk.wait(10)
    assert len(found(desk, "late")) == 1


def test_history_forgets_what_was_canceled_after_a_day(desk: Any) -> None:
    desk.place(orderLinkId="c1")
    desk.call("/v5/order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="c1")
    desk.place(orderType="Market", orderLinkId="f1")
    assert (status(desk, "c1"), status(desk, "f1")) == ("Cancelled", "Filled")
    desk.wait(DAY + 1)
    assert (status(desk, "c1"), status(desk, "f1")) == ("", "Filled")


def test_the_cache_of_closed_orders_is_lost_when_the_service_restarts(desk: Any) -> None:
    desk.place(orderType="Market", orderLinkId="f1")
    assert len(found(desk, "f1")) == 1
    desk.simulator.accounts[10_000_001].forget_recent()
    assert found(desk, "f1") == []


def test_pages_have_cursors_and_defaults(desk: Any) -> None:
    desk.simulator.settings.limits_apply = False
    for number in range(51):
        desk.place(orderLinkId=f"o{number}")
    seen: list[str] = []
    cursor = ""
    sizes = []
    while True:
        more = {"cursor": cursor} if cursor else {}
        result = desk.call("/v5/order/realtime", category="linear", symbol="BTCUSDT", **more)["result"]
        sizes.append(len(result["list"]))
        seen += [row["orderLinkId"] for row in result["list"]]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
    assert sizes == [20, 20, 11]
    assert len(set(seen)) == 51


def test_limits_per_user_and_second(desk: Any) -> None:
    answers = [desk.place(orderLinkId=f"o{number}") for number in range(11)]
    assert [answer["retCode"] for answer in answers] == [0] * 10 + [10006]
    assert answers[0]["headers"]["X-Bapi-Limit"] == "10"
    assert answers[0]["headers"]["X-Bapi-Limit-Status"] == "9"
    desk.wait(1)
    assert desk.place(orderLinkId="next")["retCode"] == 0


def test_an_address_that_asks_too_often_is_banned(desk: Any) -> None:
    desk.simulator.settings.address_limit = 5

    def call() -> int:
        return int(desk.simulator.handle("GET", "/v5/market/time", "", "", {}, "10.0.0.1").status)

    assert [call() for _ in range(6)] == [200] * 5 + [403]
    desk.wait(599)
    assert call() == 403
    desk.wait(2)
    assert call() == 200


def test_ten_conditional_orders_a_symbol(desk: Any) -> None:
    desk.simulator.settings.limits_apply = False
    conditional = {"triggerPrice": "51000", "triggerDirection": 1, "price": "51100"}
    codes = [desk.place(**conditional, orderLinkId=f"s{n}")["retCode"] for n in range(11)]
    assert codes == [0] * 10 + [110009]


def test_position_stops_follow_the_position(desk: Any) -> None:
    desk.place(orderType="Market")
    stop = {"category": "linear", "symbol": "BTCUSDT", "tpslMode": "Full", "positionIdx": 0, "stopLoss": "49000"}
    assert desk.call("/v5/position/trading-stop", **stop)["retCode"] == 0
    desk.place(orderType="Market")
    (order,) = desk.call("/v5/order/realtime", category="linear", symbol="BTCUSDT")["result"]["list"]
    assert (order["stopOrderType"], order["qty"]) == ("StopLoss", "0.2")
    desk.place(orderType="Market", side="Sell", qty="0.2", reduceOnly=True)
    assert desk.call("/v5/order/realtime", category="linear", symbol="BTCUSDT")["result"]["list"] == []
    assert desk.call("/v5/position/list", category="linear", settleCoin="USDT")["result"]["list"] == []


def test_a_stop_triggers_and_closes(desk: Any) -> None:
    desk.place(orderType="Market", stopLoss="49000", tpslMode="Partial", orderLinkId="a1")
    desk.quote(48_990.0)
    stop = desk.rows("order")[-1]
    assert (stop["stopOrderType"], stop["orderStatus"]) == ("PartialStopLoss", "Filled")
    assert desk.rows("execution")[-1]["stopOrderType"] == "PartialStopLoss"
    assert desk.rows("position")[-1]["size"] == "0"


def test_a_liquidation_is_the_venues_own_doing(desk: Any) -> None:
    desk.simulator.accounts[10_000_001].venue.set_leverage("btcusdt", 100)
    desk.place(orderType="Market", qty="60", orderLinkId="big")
    desk.quote(48_400.0)
    bust = [row for row in desk.rows("execution") if row["execType"] == "BustTrade"]
    assert bust
    assert all(row["orderLinkId"] == "" and row["createType"] == "CreateByLiq" for row in bust)


def legs(*quantities: str, link: str = "b") -> list[dict[str, str]]:
    """Limit orders far below the market, for a batch."""
    order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "price": "40000"}
    return [order | {"qty": qty, "orderLinkId": f"{link}{number}"} for number, qty in enumerate(quantities)]


def codes(answer: Any) -> list[int]:
    """What came of each order of a batch."""
    assert answer["retCode"] == 0
    return [leg["code"] for leg in answer["retExtInfo"]["list"]]


BATCH = "/v5/order/create-batch"


def test_a_batch_answers_for_each_leg(desk: Any) -> None:
    answer = desk.call(BATCH, category="linear", request=legs("0.1", "5000", "0.2"))
    assert codes(answer) == [0, 10001, 0]
    assert [bool(leg["orderId"]) for leg in answer["result"]["list"]] == [True, False, True]


def test_a_batch_takes_a_place_of_its_own_limit_for_each_order(desk: Any) -> None:
    """Twelve of ten in a second: the first ten are done. Single orders have a limit of their own."""
    assert codes(desk.call(BATCH, category="linear", request=legs(*["0.001"] * 12))) == [0] * 10 + [10006] * 2
    assert desk.call(BATCH, category="linear", request=legs("0.001", link="c"))["retCode"] == 10006
    assert desk.place(orderLinkId="alone")["retCode"] == 0
    desk.wait(1)
    cancels = [{"symbol": "BTCUSDT", "orderLinkId": f"b{number}"} for number in range(11)]
    assert codes(desk.call("/v5/order/cancel-batch", category="linear", request=cancels)) == [0] * 10 + [10006]


@pytest.mark.parametrize(("category", "most"), [("linear", 20), ("spot", 10)])
def test_a_batch_holds_no_more_than_it_may(desk: Any, category: str, most: int) -> None:
    desk.simulator.settings.limits_apply = False
    assert desk.call(BATCH, category=category, request=legs(*["0.001"] * (most + 1)))["retCode"] == 10001
    assert codes(desk.call(BATCH, category=category, request=legs(*["0.001"] * most))) == [0] * most
    assert desk.call(BATCH, category=category, request=[])["retCode"] == 10001


def test_one_leg_of_a_batch_can_be_made_to_fail(desk: Any) -> None:
    desk.simulator.faults.add({"match": {"path": BATCH, "leg": 1}, "do": "code", "code": 10016})
    desk.simulator.faults.add({"match": {"path": BATCH, "leg": 2}, "do": "code", "code": 0, "after": True})
    answer = desk.call(BATCH, category="linear", request=legs("0.1", "0.1", "0.1"))
    assert codes(answer) == [10016, 0, 0]
    assert [bool(leg["orderId"]) for leg in answer["result"]["list"]] == [False, False, True]
    assert [row["orderLinkId"] for row in desk.rows("order")] == ["b1", "b2"]


def test_amending_and_cancelling_in_batches(desk: Any) -> None:
    desk.call(BATCH, category="linear", request=legs("0.1", "0.1"))
    change = [{"symbol": "BTCUSDT", "orderLinkId": link, "price": "41000"} for link in ("b0", "nobody")]
    answer = desk.call("/v5/order/amend-batch", category="linear", request=change)
    assert codes(answer) == [0, 110001]
    assert set(answer["result"]["list"][0]) == {"category", "symbol", "orderId", "orderLinkId"}
    ends = [{"symbol": "BTCUSDT", "orderLinkId": link} for link in ("b0", "nobody", "b1")]
    answer = desk.call("/v5/order/cancel-batch", category="linear", request=ends)
    assert codes(answer) == [0, 110001, 0]
    assert answer["result"]["list"][1] == {
        "category": "linear", "symbol": "BTCUSDT", "orderId": "", "orderLinkId": "nobody"
    }  # fmt: skip


def test_a_request_that_was_dropped_is_not_in_the_truth(desk: Any) -> None:
    before = len(desk.simulator.truth.of("order"))
    desk.place(orderLinkId="a1")
    assert [entry.data["row"]["orderLinkId"] for entry in desk.simulator.truth.of("order")[before:]] == ["a1"]


def test_queries_may_lag_behind(desk: Any) -> None:
    desk.place(orderLinkId="a")
    desk.place(orderType="Market", orderLinkId="b")
    desk.wait(10)
    desk.simulator.settings.read_lag = 5_000_000_000
    desk.call("/v5/order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="a")
    desk.place(orderType="Market", orderLinkId="c")
    scope = {"category": "linear", "symbol": "BTCUSDT"}

    def listed(path: str) -> list[str]:
        return [row["orderLinkId"] for row in desk.call(path, **scope)["result"]["list"]]

    assert "a" in listed("/v5/order/realtime")
    assert listed("/v5/order/history") == ["b"]
    assert listed("/v5/execution/list") == ["b"]
    desk.wait(6)
    assert listed("/v5/order/realtime") == []
    assert sorted(listed("/v5/order/history")) == ["a", "b", "c"]
    assert listed("/v5/execution/list") == ["c", "b"]


@pytest.mark.parametrize("keeps", [True, False])
def test_an_order_that_only_reduces_and_is_too_large_becomes_several(desk: Any, keeps: bool) -> None:
    desk.simulator.settings.split_keeps_link = keeps
    account = desk.simulator.accounts[10_000_001]
    account.instruments["btcusdt"] = small = replace(account.instruments["btcusdt"], max_quantity=Decimal("0.1"))
    desk.simulator.markets["linear", "BTCUSDT"].instrument = small
    for number in range(3):
        desk.place(orderType="Market", orderLinkId=f"e{number}", qty="0.09")
    assert desk.place(orderType="Market", side="Sell", reduceOnly=True, qty="0.25", orderLinkId="x")["retCode"] == 0
    parts = [entry.data["row"] for entry in desk.simulator.truth.of("order")][3:]
    assert [part["qty"] for part in parts] == ["0.1", "0.1", "0.05"]
    assert [part["orderLinkId"] for part in parts] == (["x"] * 3 if keeps else ["x", "", ""])
    assert len({part["orderId"] for part in parts}) == 3
    assert account.quantity("btcusdt") == Decimal("0.02")


def test_a_trade_that_is_booked_after_the_orders_end(desk: Any) -> None:
    desk.place(orderLinkId="a")
    with pytest.raises(ValueError, match="has not ended"):
        desk.simulator.trade_late(10_000_001, "a", Decimal("0.04"))
    desk.call("/v5/order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="a")
    desk.simulator.trade_late(10_000_001, "a", Decimal("0.04"))
    (execution,) = desk.rows("execution")
    assert (execution["orderLinkId"], execution["execQty"]) == ("a", "0.04")
    told = desk.rows("order")[-1]
    assert (told["orderStatus"], told["cumExecQty"], told["leavesQty"]) == ("Cancelled", "0.04", "0")
    assert desk.rows("position")[-1]["size"] == "0.04"


def test_protection_may_end_as_soon_as_it_was_told_of(desk: Any) -> None:
    desk.simulator.faults.add({"match": {"path": "protection"}, "do": "end", "count": 1})
    desk.place(orderType="Market", orderLinkId="a", stopLoss="49000", takeProfit="51000", tpslMode="Partial")
    desk.place(orderType="Market", orderLinkId="b", stopLoss="49000", tpslMode="Partial")
    told = [(row["parentOrderLinkId"], row["stopOrderType"], row["orderStatus"]) for row in desk.rows("order")]
    stop = "PartialStopLoss"
    assert [each for each in told if each[1] == stop] == [
        ("a", stop, "Untriggered"), ("a", stop, "Deactivated"), ("b", stop, "Untriggered"),
    ]  # fmt: skip
    account = desk.simulator.accounts[10_000_001]
    assert [one.parent_link_id for one in account.stops()] == ["b"]
    account.end(account.stops()[0])
    assert account.stops() == []


def test_a_rule_may_ask_for_what_a_body_has_in_it(desk: Any) -> None:
    faults = desk.simulator.faults
    faults.add({"match": {"path": "/v5/order/create", "contains": "triggerPrice"}, "do": "code", "code": 110009})
    assert faults.of_request("/v5/order/create", "", '{"qty": "1"}') is None
    assert faults.of_request("/v5/order/create", "", '{"triggerPrice": "1"}').code == 110009


@pytest.mark.parametrize("filters", [{}, {"orderFilter": "Order"}])
def test_the_truth_tells_when_a_position_lost_its_stop(desk: Any, filters: dict[str, str]) -> None:
    desk.place(orderType="Market", orderLinkId="held", stopLoss="49000", tpslMode="Partial")
    desk.place(orderLinkId="rests")
    assert list(unprotected(desk.simulator.truth)) == []
    desk.call("/v5/order/cancel-all", category="linear", settleCoin="USDT", **filters)
    found = list(unprotected(desk.simulator.truth))
    assert len(found) == (not filters)
    desk.place(side="Sell", orderType="Market", reduceOnly=True)
    assert list(unprotected(desk.simulator.truth)) == found
    assert list(unprotected(desk.simulator.truth, len(desk.simulator.truth))) == []


def test_filters_change_and_an_instrument_is_delisted(desk: Any) -> None:
    perpetual = desk.simulator.markets["linear", "BTCUSDT"].instrument
    desk.place(orderLinkId="before", qty="0.001", price="40000.1")
    desk.simulator.relist(replace(perpetual, lot_size=Decimal("0.01"), min_quantity=Decimal("0.01")))
    assert desk.place(qty="0.015")["retCode"] == 10001
    assert desk.place(qty="0.02", orderType="Market")["retCode"] == 0
    row = desk.call("/v5/market/instruments-info", category="linear", symbol="BTCUSDT")["result"]["list"][0]
    assert (row["status"], row["lotSizeFilter"]["qtyStep"]) == ("Trading", "0.01")
    desk.simulator.relist(replace(perpetual, reduce_only=True), "Settling")
    assert desk.place()["retCode"] == 110023
    assert desk.place(qty="0.01", side="Sell", orderType="Market", reduceOnly=True)["retCode"] == 0
    row = desk.call("/v5/market/instruments-info", category="linear", symbol="BTCUSDT")["result"]["list"][0]
    assert row["status"] == "Settling"
    assert desk.simulator.accounts[10_000_001].find("", "before").is_open


def test_bybit_takes_over_a_part_of_a_position(desk: Any) -> None:
    desk.place(orderType="Market", orderLinkId="a")
    account = desk.simulator.accounts[10_000_001]
    account.take_over(account.instruments["btcusdt"], Decimal("-0.04"), "AdlTrade", "CreateByAdl_PassThrough")
    desk.quote(50_000.0)
    taken = desk.rows("execution")[-1]
    assert (taken["execType"], taken["orderLinkId"], taken["side"], taken["execQty"]) == (
        "AdlTrade",
        "",
        "Sell",
        "0.04",
    )
    assert taken["createType"] == "CreateByAdl_PassThrough"
    assert desk.rows("position")[-1]["size"] == "0.06"


def test_pages_may_be_smaller_than_asked_for(desk: Any) -> None:
    for number in range(3):
        desk.place(orderLinkId=f"p{number}")
    desk.simulator.settings.largest_page = 2
    page = desk.call("/v5/order/realtime", category="linear", symbol="BTCUSDT", limit=50)["result"]
    assert len(page["list"]) == 2
    assert page["nextPageCursor"]
