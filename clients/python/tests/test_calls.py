from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import grpc
import pytest

from clients.python.tests.conftest import Face
from clients.python.tests.fake_daemon import FakeDaemon, refuse, stall
from clients.python.tests.messages import at, bot, number, order
from quarterdeck.client import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    Order,
    OrderCreated,
    QuarterdeckError,
    Unary,
    Unavailable,
    to_dict,
)
from quarterdeck.client.convert import decode
from quarterdeck.v1 import order_service_pb2 as pb
from quarterdeck.v1.bot_service_pb2 import CreateBotResponse
from quarterdeck.v1.market_data_service_pb2 import ListCandlesResponse

AWAY = refuse(grpc.StatusCode.UNAVAILABLE)
MARKET_BUY = {"instrument": "btcusdt", "side": "BUY", "type": "MARKET", "quantity": "0.1"}


def answer_orders(daemon: FakeDaemon) -> None:
    daemon.answers["GetOrder"] = lambda request: pb.GetOrderResponse(order=order(name=request.name))
    daemon.answers["CreateOrder"] = lambda request: pb.CreateOrderResponse(order=order(request.order_id), sequence=7)


async def test_answers_are_dataclasses_with_exact_numbers(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    found = await face.call(face.client.orders.get("42"))
    assert isinstance(found, Order)
    assert (found.name, found.id) == ("accounts/main/orders/42", "42")
    assert (found.side, found.type, found.state, found.is_open) == ("BUY", "MARKET", "OPEN", True)
    assert (found.quantity, found.stop_loss, found.limit_price) == (Decimal("0.1"), Decimal(49000), None)
    assert found.create_time == datetime(2026, 1, 1, tzinfo=UTC)


async def test_short_ids_and_full_names_are_the_same(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    for given in ("42", "accounts/main/orders/42"):
        await face.call(face.client.orders.get(given))
    assert {request.name for request in daemon.requests["GetOrder"]} == {"accounts/main/orders/42"}


async def test_a_mutation_is_tried_again_with_the_same_request_id(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    daemon.steps["CreateOrder"].extend([AWAY, refuse(grpc.StatusCode.UNAVAILABLE, "NOT_READY", {"state": "SYNCING"})])
    created = await face.call(face.client.orders.create(**MARKET_BUY, stop_loss=Decimal("4.9E+4")))
    assert isinstance(created, OrderCreated)
    assert (created.sequence, created.sizing) == (7, None)
    requests = daemon.requests["CreateOrder"]
    assert len(requests) == 3
    assert requests[0] == requests[1] == requests[2]
    assert UUID(requests[0].request_id).version == 4
    assert requests[0].order_id == requests[0].request_id
    assert requests[0].order.stop_loss.value == "49000"


async def test_two_calls_have_two_request_ids(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    for _ in range(2):
        await face.call(face.client.orders.create(**MARKET_BUY))
    assert len({request.request_id for request in daemon.requests["CreateOrder"]}) == 2


async def test_the_callers_own_ids_are_kept(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    await face.call(face.client.orders.create(**MARKET_BUY, order_id="mine", request_id="r"))
    (request,) = daemon.requests["CreateOrder"]
    assert (request.order_id, request.request_id) == ("mine", "r")


async def test_reads_are_tried_again(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    daemon.steps["GetOrder"].append(AWAY)
    assert (await face.call(face.client.orders.get("1"))).id == "1"


@pytest.mark.parametrize(
    "code",
    [code for code in grpc.StatusCode if code.name not in {"OK", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}],
)
async def test_nothing_else_is_tried_again(face: Face, daemon: FakeDaemon, code: grpc.StatusCode) -> None:
    daemon.steps["CreateOrder"].append(refuse(code))
    with pytest.raises(QuarterdeckError) as raised:
        await face.call(face.client.orders.create(**MARKET_BUY))
    assert raised.value.code == code.name
    assert len(daemon.requests["CreateOrder"]) == 1


async def test_the_daemon_says_how_long_to_wait(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    daemon.steps["GetOrder"].append(refuse(grpc.StatusCode.UNAVAILABLE, "EXCHANGE_UNAVAILABLE", retry_after=0.05))
    begun = time.monotonic()
    await face.call(face.client.orders.get("1"))
    assert time.monotonic() - begun >= 0.05


async def test_no_answer_is_tried_again_and_the_error_names_the_request(face: Face, daemon: FakeDaemon) -> None:
    daemon.steps["CreateOrder"].extend([stall(0.1)] * 50)
    hasty = face.client.with_options(timeout=0.2, attempt_timeout=0.05)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded) as raised:
        await face.call(hasty.orders.create(**MARKET_BUY))
    assert time.monotonic() - begun < 2
    requests = daemon.requests["CreateOrder"]
    assert len(requests) > 1
    assert {request.request_id for request in requests} == {raised.value.request_id}


async def test_a_daemon_that_is_away_is_waited_for_until_the_deadline(face: Face, daemon: FakeDaemon) -> None:
    daemon.stop()
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await face.call(face.client.with_options(timeout=0.05).orders.get("1"))
    assert time.monotonic() - begun < 2


async def test_a_call_survives_a_restart(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    await face.call(face.client.orders.get("1"))
    daemon.stop()
    daemon.start()
    assert (await face.call(face.client.orders.get("1"))).id == "1"


async def test_listings_read_page_by_page(face: Face, daemon: FakeDaemon) -> None:
    def page(request: pb.ListOrdersRequest) -> pb.ListOrdersResponse:
        first = int(request.page_token or 0)
        return pb.ListOrdersResponse(
            orders=[order(str(first)), order(str(first + 1))],
            next_page_token=str(first + 2) if first < 4 else "",
            snapshot_sequence=99,
        )

    daemon.answers["ListOrders"] = page
    listing = face.client.orders.list(instrument="btcusdt", bot="demo", open_only=True)
    assert listing.snapshot_sequence is None
    assert [each.id for each in await face.items(listing)] == ["0", "1", "2", "3", "4", "5"]
    assert listing.snapshot_sequence == 99
    requests = daemon.requests["ListOrders"]
    assert [request.page_token for request in requests] == ["", "2", "4"]
    for request in requests:
        request.page_token = ""
    assert requests[0] == requests[1] == requests[2]
    assert (requests[0].bot, requests[0].instrument) == ("bots/demo", "instruments/btcusdt")


async def test_a_limit_ends_a_listing_early(face: Face, daemon: FakeDaemon) -> None:
    daemon.answers["ListOrders"] = lambda request: pb.ListOrdersResponse(
        orders=[order(str(each)) for each in range(request.page_size)], next_page_token="more"
    )
    assert len(await face.items(face.client.orders.list(limit=3))) == 3
    assert await face.items(face.client.orders.list(limit=0)) == []
    assert [request.page_size for request in daemon.requests["ListOrders"]] == [3]


async def test_an_async_listing_can_be_awaited_whole(client: object, daemon: FakeDaemon) -> None:
    daemon.answers["ListOrders"] = lambda _: pb.ListOrdersResponse(orders=[order("1"), order("2")])
    assert [each.id for each in await client.orders.list()] == ["1", "2"]  # type: ignore[attr-defined]  # a Client


async def test_moments_and_intervals_in_any_spelling(face: Face, daemon: FakeDaemon) -> None:
    daemon.answers["ListCandles"] = lambda _: ListCandlesResponse()
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for start, interval in ((noon, "5m"), (at(43_200).ToNanoseconds(), timedelta(minutes=5))):
        await face.items(face.client.market.candles("btcusdt", interval, start=start))
    first, second = daemon.requests["ListCandles"]
    assert first == second
    assert first.interval.seconds == 300


async def test_what_has_no_exact_or_known_meaning_is_refused_here(face: Face) -> None:
    orders = face.client.orders
    with pytest.raises(TypeError, match="not exact"):
        await face.call(orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity=0.1))
    with pytest.raises(TypeError, match="not exact"):
        await face.call(orders.amend("1", quantity=True))
    with pytest.raises(ValueError, match="BUY, SELL"):
        await face.call(orders.create(instrument="btcusdt", side="HOLD", type="MARKET"))
    with pytest.raises(ValueError, match="no time zone"):
        await face.items(face.client.market.candles("btcusdt", "5m", start=datetime(2026, 1, 1)))  # noqa: DTZ001 - refused
    for interval in ("5", "m", "5 m", "1.5h", "5M"):
        with pytest.raises(ValueError, match="is not an interval"):
            await face.items(face.client.market.candles("btcusdt", interval))


async def test_an_error_of_the_daemon_reaches_the_caller_whole(face: Face, daemon: FakeDaemon) -> None:
    daemon.steps["GetOrder"].append(
        refuse(grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND", {"name": "accounts/main/orders/1"}, message="no order 1")
    )
    with pytest.raises(NotFound, match=r"^ORDER_NOT_FOUND: no order 1$") as raised:
        await face.call(face.client.orders.get("1"))
    assert raised.value.metadata == {"name": "accounts/main/orders/1"}
    assert raised.value.request_id == ""
    daemon.steps["GetOrder"].append(
        refuse(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields=[("name", "must match")])
    )
    with pytest.raises(InvalidRequest) as refused:
        await face.call(face.client.orders.get("?"))
    assert refused.value.violations == (("name", "must match"),)


async def test_a_link_makes_any_call_of_the_contract(face: Face, daemon: FakeDaemon) -> None:
    answer_orders(daemon)
    daemon.steps["GetOrder"].append(AWAY)
    request = pb.GetOrderRequest(name="accounts/main/orders/9")
    answer = await face.call(face.client.link.unary(Unary(request, lambda answer: answer)))
    assert answer.order.name == request.name


async def test_settings_come_back_as_they_were_given(face: Face, daemon: FakeDaemon) -> None:
    daemon.answers["CreateBot"] = lambda request: CreateBotResponse(bot=bot(settings=request.bot.settings))
    settings = {"fast": 20, "ratio": Decimal("0.10"), "factor": 1.5, "note": "x", "on": True, "levels": [1, 2.5]}
    made = await face.call(
        face.client.bots.create("demo", strategy="sma-cross", instrument="btcusdt", interval="5m", settings=settings)
    )
    assert repr(dict(sorted(made.bot.settings.items()))) == repr(dict(sorted({**settings, "ratio": "0.10"}.items())))


def test_anything_returned_becomes_json() -> None:
    shown = to_dict(decode(Order, order(limit_price=number("50000.10"))))
    assert shown["limit_price"] == "50000.10"
    assert shown["take_profit"] is None
    assert shown["create_time"] == "2026-01-01T00:00:00Z"
    assert to_dict([timedelta(minutes=5), Decimal("1E+3"), {"a": (1, True)}]) == ["300s", "1000", {"a": [1, True]}]
