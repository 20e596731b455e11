"""One error table: every reason with the code and metadata the contract promises, and nothing else gets out."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import grpc
import pytest
import structlog
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from core.tests.rpc.calls import MAIN, amount, failure, failure_of, rid
from core.tests.rpc.deck import FakeDeck
from quarterdeck.domain.errors import CallerError, ConfigError, InvalidRequest, NotFound, QuarterdeckError, Unavailable
from quarterdeck.domain.risk import Refused
from quarterdeck.rpc.errors import TABLE, answer_to, fields_called, refused
from quarterdeck.v1.account_service_pb2 import GetAccountRequest
from quarterdeck.v1.bot_service_pb2 import GetBotRequest
from quarterdeck.v1.error_pb2 import ErrorReason
from quarterdeck.v1.event_service_pb2 import StreamEventsRequest
from quarterdeck.v1.event_service_pb2_grpc import EventServiceStub
from quarterdeck.v1.market_data_service_pb2 import GetInstrumentRequest
from quarterdeck.v1.order_pb2 import Order
from quarterdeck.v1.order_service_pb2 import CancelOrderRequest, CreateOrderRequest
from quarterdeck.v1.order_service_pb2_grpc import OrderServiceStub
from quarterdeck.v1.position_service_pb2 import GetPositionRequest
from quarterdeck.v1.risk_service_pb2 import EngageKillSwitchRequest
from quarterdeck.v1.sizing_service_pb2 import ComputeSizeRequest
from quarterdeck.v1.system_service_pb2 import GetStatusRequest, ListPluginsRequest
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub
from tests.contract.surface import comments

REASONS = sorted(set(TABLE) - {"INTERNAL"})


def test_the_table_has_every_reason_of_the_contract() -> None:
    assert {f"ERROR_REASON_{reason}" for reason in TABLE} == set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


@pytest.mark.parametrize("reason", sorted(TABLE))
def test_code_and_metadata_are_the_contract_s(reason: str) -> None:
    promised = comments()[f"quarterdeck.v1.ErrorReason.ERROR_REASON_{reason}"]
    row = TABLE[reason]
    assert row.code.name in re.findall(r"[A-Z_]+", promised)
    assert set(row.keys) == set(re.findall(r"`(\w+)`", promised))
    assert (row.code is grpc.StatusCode.UNAVAILABLE) == ("RetryInfo" in promised)


@pytest.mark.parametrize("reason", REASONS)
def test_an_error_looks_as_its_row_says(reason: str) -> None:
    row = TABLE[reason]
    data = dict.fromkeys(row.keys, "x")
    answer = answer_to(QuarterdeckError(reason, "what went wrong", data), MAIN, "/m")
    assert answer.code is row.code
    assert (answer.status.code, answer.status.message) == (row.code.value[0], "what went wrong")
    info = ErrorInfo()
    assert answer.status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (reason, "quarterdeck")
    assert set(info.metadata) == set(row.keys)
    kinds = {detail.TypeName() for detail in answer.status.details[1:]}
    assert (RetryInfo.DESCRIPTOR.full_name in kinds) == (row.code is grpc.StatusCode.UNAVAILABLE)
    assert (BadRequest.DESCRIPTOR.full_name in kinds) == (
        row.code is grpc.StatusCode.INVALID_ARGUMENT and "field" in data
    )


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (NotFound("order", "o-1"), "accounts/main/orders/o-1"),
        (NotFound("position", "btcusdt"), "accounts/main/positions/btcusdt"),
        (NotFound("instrument", "instruments/btcusdt"), "instruments/btcusdt"),
        (NotFound("bot", "sma"), "bots/sma"),
        (CallerError("NO_POSITION", "flat", {"name": "btcusdt"}), "accounts/main/positions/btcusdt"),
    ],
    ids=str,
)
def test_what_is_named_is_named_as_a_resource(error: CallerError, name: str) -> None:
    info = ErrorInfo()
    answer_to(error, MAIN, "/m").status.details[0].Unpack(info)
    assert info.metadata["name"] == name


@pytest.mark.parametrize(
    "error",
    [KeyError("secret /etc/key"), ConfigError("/etc/key"), QuarterdeckError("INTERNAL", "secret"), ValueError()],
    ids=repr,
)
def test_what_nobody_foresaw_stays_in_the_log(error: Exception) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = answer_to(error, MAIN, "/quarterdeck.v1.X/Y")
    info = ErrorInfo()
    answer.status.details[0].Unpack(info)
    assert (answer.code, info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in str(answer.status)
    assert "key" not in answer.status.message
    assert [(entry["error_id"], entry["method"], entry["exc_info"]) for entry in logs] == [
        (info.metadata["errorId"], "/quarterdeck.v1.X/Y", error)
    ]


@pytest.mark.parametrize(
    ("refusal", "reason", "keys"),
    [
        (
            Refused("notional", "TOO_LARGE", Decimal(1), Decimal(2)),
            "RISK_REFUSED",
            {"rule", "reason", "limit", "observed"},
        ),
        (Refused("notional", "NO_MARK"), "RISK_REFUSED", {"rule", "reason"}),
        (Refused("notional", "ODD", None, Decimal("NaN")), "RISK_REFUSED", {"rule", "reason"}),
        (Refused("sizing", "SIZER_FAILED: x"), "SIZING_REFUSED", {"rule", "reason"}),
        (
            Refused("core", "BELOW_MIN_QUANTITY", Decimal("0.001"), Decimal(0)),
            "SIZING_REFUSED",
            {"rule", "reason", "limit", "observed"},
        ),
        (
            Refused("core", "BELOW_MIN_QUANTITY", Decimal("0.01"), Decimal("0.001")),
            "RISK_REFUSED",
            {"rule", "reason", "limit", "observed"},
        ),
        (Refused("core", "TRADING_HALTED"), "TRADING_HALTED", {"state", "since"}),
        (Refused("core", "TRADING_REDUCING"), "TRADING_HALTED", {"state", "since"}),
    ],
    ids=["both numbers", "no numbers", "no number", "sizer", "nothing left", "too little", "halted", "reducing"],
)
def test_a_refusal_says_which_kind_it_is(refusal: Refused, reason: str, keys: set[str]) -> None:
    error = refused(refusal, 7, 1_700_000_000_000_000_000)
    assert (error.reason, set(error.data)) == (reason, keys | {"sequence"})
    assert error.data["sequence"] == "7"
    if reason == "TRADING_HALTED":
        assert error.data["since"] == "2023-11-14T22:13:20Z"


def test_a_field_is_called_what_the_caller_calls_it() -> None:
    with pytest.raises(InvalidRequest, match=r"^entry_price: is off") as caught, fields_called({"a.b": "entry_price"}):
        raise InvalidRequest("a.b", "is off")
    assert caught.value.data == {"field": "entry_price"}
    with pytest.raises(InvalidRequest, match=r"^other: is off"), fields_called({"a.b": "entry_price"}):
        raise InvalidRequest("other", "is off")


def test_long_texts_fit_into_a_header() -> None:
    answer = answer_to(InvalidRequest("f" * 10_000, "x" * 10_000), MAIN, "/m")
    assert len(answer.status.SerializeToString()) < 2_000


# ---------------------------------------------------------------- over the wire


@pytest.mark.parametrize(
    ("service", "method", "request_"),
    [
        ("AccountService", "GetAccount", GetAccountRequest(name="main")),
        ("BotService", "GetBot", GetBotRequest(name="sma")),
        ("EventService", "StreamEvents", StreamEventsRequest(parent=MAIN, after_sequence=-1)),
        ("MarketDataService", "GetInstrument", GetInstrumentRequest(name="BTCUSDT")),
        ("OrderService", "CancelOrder", CancelOrderRequest(name="accounts/main/orders/x")),
        ("PositionService", "GetPosition", GetPositionRequest()),
        ("RiskService", "EngageKillSwitch", EngageKillSwitchRequest(parent=MAIN, request_id=rid(1))),
        ("SizingService", "ComputeSize", ComputeSizeRequest(parent=MAIN)),
        ("SystemService", "ListPlugins", ListPluginsRequest(page_size=-1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_service_refuses_what_breaks_a_rule(
    grpc_channel: grpc.Channel, service: str, method: str, request_: Any
) -> None:
    name = f"/quarterdeck.v1.{service}/{method}"
    open_call = grpc_channel.unary_stream if method.startswith("Stream") else grpc_channel.unary_unary
    found = failure(open_call(name, type(request_).SerializeToString), request_)
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert found.fields
    assert found.metadata == {"field": found.fields[0]}


def test_every_broken_rule_is_told_once(grpc_channel: grpc.Channel) -> None:
    order = Order(instrument="instruments/btcusdt", side=Order.SIDE_BUY, type=Order.TYPE_LIMIT, stop_loss=amount("0"))
    wish = CreateOrderRequest(parent=MAIN, order_id="UPPER", order=order, request_id=rid(1))
    found = failure(OrderServiceStub(grpc_channel).CreateOrder, wish)
    assert set(found.fields) == {"order_id", "order", "order.stop_loss"}
    assert found.text.startswith("order_id: ")
    assert found.text.endswith("(and 2 more)")


@pytest.mark.parametrize("method", ["OrderService/GetOrder", "EventService/ListEvents"])
def test_what_is_no_message_is_refused(grpc_channel: grpc.Channel, method: str) -> None:
    found = failure(grpc_channel.unary_unary(f"/quarterdeck.v1.{method}"), b"\xff\xff\xff")
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")


def test_an_exception_s_text_goes_to_nobody(grpc_channel: grpc.Channel, deck: FakeDeck) -> None:
    deck.failure = KeyError("secret /etc/key")
    try:
        found = failure(SystemServiceStub(grpc_channel).GetStatus, GetStatusRequest())
    finally:
        deck.failure = None
    assert (found.code, found.reason) == ("INTERNAL", "INTERNAL")
    assert len(found.metadata["errorId"]) == 16
    assert "secret" not in str(found)


def test_what_is_away_can_be_tried_again(grpc_channel: grpc.Channel, deck: FakeDeck) -> None:
    deck.failure = Unavailable("EXCHANGE_UNAVAILABLE", "paper does not answer", {"exchange": "paper"})
    wish = CancelOrderRequest(name="accounts/main/orders/x", request_id=rid(2))
    try:
        found = failure(OrderServiceStub(grpc_channel).CancelOrder, wish)
    finally:
        deck.failure = None
    assert found == ("UNAVAILABLE", "EXCHANGE_UNAVAILABLE", {"exchange": "paper"}, [], True, "paper does not answer")


def test_a_canceled_call_is_not_an_error_of_ours(grpc_channel: grpc.Channel, do: Callable[..., Any]) -> None:
    with structlog.testing.capture_logs() as logs:
        call = EventServiceStub(grpc_channel).StreamEvents(StreamEventsRequest(parent=MAIN))
        next(call)
        call.cancel()
        with pytest.raises(grpc.RpcError):
            next(call)
        do(lambda: None)
    assert logs == []


def test_a_stream_that_breaks_half_way_ends_with_the_table_s_answer(
    grpc_channel: grpc.Channel, deck: FakeDeck, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = EventServiceStub(grpc_channel).StreamEvents(StreamEventsRequest(parent=MAIN, after_sequence=0))
    next(call)
    monkeypatch.setattr("quarterdeck.rpc.tape.Tape.progress", lambda *_: 1 / 0)
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    assert failure_of(caught.value)[:2] == ("INTERNAL", "INTERNAL")
    assert deck.events.head
