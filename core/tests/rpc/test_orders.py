"""OrderService: wishes become events, retries find them, and what stands is what is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.tests.rpc.calls import MAIN, amount, failure, rid
from core.tests.rpc.deck import FakeDeck
from quarterdeck.domain.report import Unknown
from quarterdeck.engine.inputs import Sending
from quarterdeck.v1.order_pb2 import Order
from quarterdeck.v1.order_service_pb2 import (
    AmendOrderRequest,
    CancelAllOrdersRequest,
    CancelOrderRequest,
    ClosePositionRequest,
    CreateOrderRequest,
    GetOrderRequest,
    ListFillsRequest,
    ListOrdersRequest,
    ResolveOrderRequest,
)
from quarterdeck.v1.order_service_pb2_grpc import OrderServiceStub


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrderServiceStub]:
    return OrderServiceStub


def market(**more: Any) -> Order:
    return Order(instrument="instruments/btcusdt", side=Order.SIDE_BUY, type=Order.TYPE_MARKET, **more)


def limit(price: str, **more: Any) -> Order:
    return Order(
        instrument="instruments/btcusdt",
        side=Order.SIDE_BUY,
        type=Order.TYPE_LIMIT,
        limit_price=amount(price),
        **more,
    )


def create(order_id: str, order: Order, request: int, **more: Any) -> CreateOrderRequest:
    return CreateOrderRequest(parent=MAIN, order_id=order_id, order=order, request_id=rid(request), **more)


def test_a_sized_order_is_recorded_with_its_sizing(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    answer = grpc_stub.CreateOrder(create("sized", market(stop_loss=amount("49000")), 1))
    assert answer.order.name == "accounts/main/orders/sized"
    assert answer.order.quantity.value == "0.200"  # 2 % of 10 000 over 1 000 to the stop
    assert answer.order.state == Order.STATE_PREPARED
    assert answer.sizing.risk_amount.value == "200"
    assert [step.rule for step in answer.sizing.steps] == ["size", "round down to lot"]
    assert answer.sequence == deck.events.head
    assert answer.order.create_time.ToNanoseconds() == deck.time


def test_a_retry_gets_the_first_answer_and_records_nothing(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    wish = create("again", limit("40000", quantity=amount("0.01")), 2)
    first, head = grpc_stub.CreateOrder(wish), deck.events.head
    assert grpc_stub.CreateOrder(wish) == first
    assert deck.events.head == head
    assert not first.HasField("sizing")


def test_a_request_id_stands_for_one_content(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    grpc_stub.CreateOrder(create("once", limit("40000", quantity=amount("0.01")), 3))
    found = failure(grpc_stub.CreateOrder, create("twice", limit("40000", quantity=amount("0.01")), 3))
    assert (found.code, found.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert found.metadata == {"sequence": str(deck.events.head)}
    cancel = CancelOrderRequest(name="accounts/main/orders/once", request_id=rid(3))
    assert failure(grpc_stub.CancelOrder, cancel).reason == "REQUEST_ID_REUSED"


def test_a_taken_order_id_is_named(grpc_stub: OrderServiceStub) -> None:
    found = failure(grpc_stub.CreateOrder, create("once", limit("40000", quantity=amount("0.01")), 4))
    assert (found.code, found.reason) == ("ALREADY_EXISTS", "ORDER_ID_TAKEN")
    assert found.metadata["name"] == "accounts/main/orders/once"


def test_a_refusal_is_an_error_and_an_event(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    wish = create("huge", market(quantity=amount("0.5"), stop_loss=amount("49990")), 5)
    found = failure(grpc_stub.CreateOrder, wish)
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "RISK_REFUSED")
    recorded = str(deck.events.head)
    assert found.metadata == {
        "rule": "ceiling", "reason": "TOO_LARGE", "limit": "20000", "observed": "25000", "sequence": recorded
    }  # fmt: skip
    assert deck.events.entries[-1].type == "OrderRefused"
    assert failure(grpc_stub.CreateOrder, wish).metadata["sequence"] == recorded


def test_what_would_be_refused_says_so_and_records_nothing(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    head = deck.events.head
    wish = create("maybe", market(quantity=amount("0.5"), stop_loss=amount("49990")), 6, validate_only=True)
    found = failure(grpc_stub.CreateOrder, wish)
    assert (found.reason, found.metadata["sequence"], deck.events.head) == ("RISK_REFUSED", "0", head)


def test_validate_only_answers_as_if_real_and_records_nothing(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    head = deck.events.head
    answer = grpc_stub.CreateOrder(create("maybe", market(stop_loss=amount("49000")), 7, validate_only=True))
    assert (answer.order.name, answer.order.quantity.value) == ("accounts/main/orders/maybe", "0.200")
    assert (answer.sequence, deck.events.head) == (0, head)
    assert answer.HasField("sizing")


@pytest.mark.parametrize(
    ("order", "reason", "fields"),
    [
        (market(quantity=amount("0.0001")), "INVALID_REQUEST", ["order.quantity"]),
        (limit("40000.01", quantity=amount("0.1")), "INVALID_REQUEST", ["order.limit_price"]),
        (market(stop_loss=amount("60000")), "INVALID_REQUEST", ["order.stop_loss"]),
        (market(quantity=amount("0.1"), bot="bots/nobody"), "BOT_NOT_FOUND", []),
    ],
    ids=["off the lot", "off the tick", "stop on the wrong side", "no such bot"],
)
def test_what_makes_no_sense_is_refused_by_name(
    grpc_stub: OrderServiceStub, deck: FakeDeck, order: Order, reason: str, fields: list[str]
) -> None:
    head = deck.events.head
    found = failure(grpc_stub.CreateOrder, create("wrong", order, 8))
    assert (found.reason, found.fields) == (reason, fields)
    assert deck.events.head == head


def test_an_unknown_instrument_is_named(grpc_stub: OrderServiceStub) -> None:
    order = market(quantity=amount("0.1"))
    order.instrument = "instruments/nothing"
    found = failure(grpc_stub.CreateOrder, create("wrong", order, 9))
    assert (found.code, found.reason) == ("NOT_FOUND", "INSTRUMENT_NOT_FOUND")
    assert found.metadata == {"name": "instruments/nothing"}


def test_an_order_is_read_as_it_stands(grpc_stub: OrderServiceStub, deck: FakeDeck, do: Callable[..., Any]) -> None:
    grpc_stub.CreateOrder(create("read", limit("40000", quantity=amount("0.03")), 10))
    do(deck.fill, "read", "39999.5", "0.01")
    answer = grpc_stub.GetOrder(GetOrderRequest(name="accounts/main/orders/read"))
    order = answer.order
    assert order.state == Order.STATE_PARTIALLY_FILLED
    assert (order.filled_quantity.value, order.average_price.value) == ("0.01", "39999.5")
    assert order.exchange_order_id == "x-read"
    assert order.role == Order.ROLE_ENTRY
    assert answer.snapshot_sequence == deck.events.head


def test_an_order_out_of_memory_is_read_from_history(
    grpc_stub: OrderServiceStub, deck: FakeDeck, do: Callable[..., Any]
) -> None:
    grpc_stub.CreateOrder(create("old", limit("40000", quantity=amount("0.03")), 11))
    do(lambda: deck.archive.update({"old": deck.state.open_orders.pop("old")}))
    assert grpc_stub.GetOrder(GetOrderRequest(name="accounts/main/orders/old")).order.name.endswith("/old")


def test_no_such_order(grpc_stub: OrderServiceStub) -> None:
    found = failure(grpc_stub.GetOrder, GetOrderRequest(name="accounts/main/orders/none"))
    assert (found.code, found.reason) == ("NOT_FOUND", "ORDER_NOT_FOUND")
    assert found.metadata == {"name": "accounts/main/orders/none"}


def test_an_amendment_is_a_wish(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    name = "accounts/main/orders/read"
    answer = grpc_stub.AmendOrder(AmendOrderRequest(name=name, limit_price=amount("39000"), request_id=rid(12)))
    assert answer.sequence == deck.events.head
    assert answer.order.limit_price.value == "40000"  # the exchange has not answered
    found = failure(grpc_stub.AmendOrder, AmendOrderRequest(name=name, limit_price=amount("0.05"), request_id=rid(13)))
    assert found.fields == ["limit_price"]


def test_a_cancellation_is_a_wish_and_asking_again_is_no_error(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    name = "accounts/main/orders/read"
    first = grpc_stub.CancelOrder(CancelOrderRequest(name=name, request_id=rid(14)))
    assert first.sequence == deck.events.head
    assert deck.events.entries[-1].type == "OrderCancelRequested"
    again = grpc_stub.CancelOrder(CancelOrderRequest(name=name, request_id=rid(15)))
    assert again.sequence == deck.events.head == first.sequence


def test_cancel_all_tells_what_is_ending(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    for number in range(3):
        grpc_stub.CreateOrder(create(f"all-{number}", limit("30000", quantity=amount("0.01")), 20 + number))
    answer = grpc_stub.CancelAllOrders(CancelAllOrdersRequest(parent=MAIN, request_id=rid(23)))
    assert {"all-0", "all-1", "all-2"} <= {order.name.rpartition("/")[2] for order in answer.orders}
    assert 0 < answer.sequence <= deck.events.head
    nothing = CancelAllOrdersRequest(parent=MAIN, instrument="instruments/ethusdt", request_id=rid(24))
    empty = grpc_stub.CancelAllOrders(nothing)
    assert (len(empty.orders), empty.sequence) == (0, deck.events.head)


def test_a_position_is_closed_by_orders(grpc_stub: OrderServiceStub, deck: FakeDeck, do: Callable[..., Any]) -> None:
    grpc_stub.CreateOrder(create("hold", market(quantity=amount("0.02"), stop_loss=amount("49000")), 30))
    do(deck.fill, "hold", "50000")
    wish = ClosePositionRequest(name="accounts/main/positions/btcusdt", request_id=rid(31))
    answer = grpc_stub.ClosePosition(wish)
    assert [(order.role, order.reduce_only) for order in answer.orders] == [(Order.ROLE_EXIT, True)]
    assert answer.orders[0].side == Order.SIDE_SELL
    closed = deck.events.head
    assert grpc_stub.ClosePosition(wish) == answer
    assert deck.events.head == closed
    do(deck.fill, answer.orders[0].name.rpartition("/")[2], "50000")  # as a venue does that is quicker than the answer
    again = grpc_stub.ClosePosition(wish)
    assert [(order.name, order.state) for order in again.orders] == [(answer.orders[0].name, Order.STATE_FILLED)]


def test_a_closed_order_says_so(grpc_stub: OrderServiceStub) -> None:
    found = failure(grpc_stub.CancelOrder, CancelOrderRequest(name="accounts/main/orders/hold", request_id=rid(32)))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "ORDER_CLOSED")
    assert found.metadata == {"name": "accounts/main/orders/hold", "state": "FILLED"}


def test_orders_are_listed_newest_first_page_by_page(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    whole = grpc_stub.ListOrders(ListOrdersRequest(parent=MAIN, page_size=1000))
    assert whole.snapshot_sequence == deck.events.head
    assert not whole.next_page_token
    times = [order.create_time.ToNanoseconds() for order in whole.orders]
    assert times == sorted(times, reverse=True)
    read: list[Order] = []
    token = ""
    while True:
        page = grpc_stub.ListOrders(ListOrdersRequest(parent=MAIN, page_size=3, page_token=token))
        assert page.snapshot_sequence == whole.snapshot_sequence
        read += page.orders
        token = page.next_page_token
        if not token:
            break
    assert read == list(whole.orders)


def test_open_orders_keep_one_position_over_all_pages(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    for number in range(3):
        grpc_stub.CreateOrder(create(f"page-{number}", limit("20000", quantity=amount("0.01")), 40 + number))
    ask = ListOrdersRequest(parent=MAIN, open_only=True, page_size=2)
    first = grpc_stub.ListOrders(ask)
    names = [order.name for order in grpc_stub.ListOrders(ListOrdersRequest(parent=MAIN, open_only=True)).orders]
    grpc_stub.CreateOrder(create("page-later", limit("20000", quantity=amount("0.01")), 43))
    assert deck.events.head > first.snapshot_sequence
    read, token = list(first.orders), first.next_page_token
    while token:
        page = grpc_stub.ListOrders(ListOrdersRequest(parent=MAIN, open_only=True, page_size=2, page_token=token))
        assert page.snapshot_sequence == first.snapshot_sequence
        read += page.orders
        token = page.next_page_token
    assert [order.name for order in read] == names
    assert "accounts/main/orders/page-later" not in names


def test_fills_are_listed_with_their_bot_and_place(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    whole = grpc_stub.ListFills(ListFillsRequest(parent=MAIN))
    closing, *others = [fill.order.rpartition("/")[2] for fill in whole.fills]
    assert (closing.startswith("order-"), others) == (True, ["hold", "read"])
    newest = whole.fills[0]
    assert newest.name == f"accounts/main/fills/{_place(deck, 'OrderFilled')}"
    assert (newest.quantity.value, newest.price.value, newest.fee_currency) == ("0.03", "50000", "USDT")
    first = grpc_stub.ListFills(ListFillsRequest(parent=MAIN, page_size=1))
    second = grpc_stub.ListFills(ListFillsRequest(parent=MAIN, page_size=2, page_token=first.next_page_token))
    assert [*first.fills, *second.fills] == list(whole.fills)
    assert not second.next_page_token
    of_one = grpc_stub.ListFills(ListFillsRequest(parent=MAIN, order="accounts/main/orders/read"))
    assert len(of_one.fills) == 1


@pytest.mark.parametrize("token", ["x", "AAAA", "é", "_" * 40])
def test_a_page_token_of_nobody_is_refused(grpc_stub: OrderServiceStub, token: str) -> None:
    found = failure(grpc_stub.ListOrders, ListOrdersRequest(parent=MAIN, page_token=token))
    assert (found.code, found.reason, found.fields) == ("INVALID_ARGUMENT", "PAGE_TOKEN_MISMATCH", ["page_token"])


def test_a_page_token_is_bound_to_its_query(grpc_stub: OrderServiceStub) -> None:
    token = grpc_stub.ListOrders(ListOrdersRequest(parent=MAIN, page_size=1)).next_page_token
    other = ListOrdersRequest(parent=MAIN, page_size=1, page_token=token, instrument="instruments/btcusdt")
    assert failure(grpc_stub.ListOrders, other).reason == "PAGE_TOKEN_MISMATCH"
    fills = ListFillsRequest(parent=MAIN, page_size=1, page_token=token)
    assert failure(grpc_stub.ListFills, fills).reason == "PAGE_TOKEN_MISMATCH"


def test_only_what_is_in_question_is_settled_by_hand(grpc_stub: OrderServiceStub, deck: FakeDeck) -> None:
    name = "accounts/main/orders/lost"
    grpc_stub.CreateOrder(create("lost", limit("30000", quantity=amount("0.01")), 90))
    wish = ResolveOrderRequest(name=name, reason="Ann, by phone", request_id=rid(91))
    found = failure(grpc_stub.ResolveOrder, wish)
    assert (found.code, found.reason, found.metadata["name"]) == ("FAILED_PRECONDITION", "ORDER_STATE", name)
    lost = deck.state.order("lost")
    assert lost is not None
    deck.step(Sending(lost.link_id))
    deck.step(Unknown(lost.link_id, "timeout", deck.time))
    answer = grpc_stub.ResolveOrder(wish)
    assert (answer.order.state, answer.sequence) == (Order.STATE_ABSENT, deck.events.head)
    assert grpc_stub.ResolveOrder(wish).sequence == answer.sequence


def _place(deck: FakeDeck, kind: str) -> int:
    return max(entry.sequence for entry in deck.events.entries if entry.type == kind)
