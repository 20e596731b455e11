"""Owns what a client wishes over the API, under request ids that survive the daemon, and what it was answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from quarterdeck.v1 import (
    bot_pb2,
    bot_service_pb2,
    bot_service_pb2_grpc,
    market_data_service_pb2_grpc,
    order_pb2,
    order_service_pb2,
    order_service_pb2_grpc,
    risk_service_pb2,
    risk_service_pb2_grpc,
)
from quarterdeck.v1.decimal_pb2 import Decimal

ACCOUNT = "accounts/main"

#: How long one answer may take before the client asks again.
PATIENCE = 10.0


@dataclass(frozen=True)
class Answer:
    """What a wish was answered: OK with a sequence, or the reason of the error and what it said about a sequence."""

    reason: str
    sequence: int
    name: str = ""
    """The order it is about, if it is about one."""
    response: Any = None


@dataclass
class Wish:
    """One call, the same message each time."""

    method: Callable[[Any], Any]
    """Finds the call among the stubs."""
    request: Any
    answers: list[Answer] = field(default_factory=list)

    @property
    def request_id(self) -> str:
        """The id it is known by to the daemon."""
        return str(self.request.request_id)


class Stubs:
    """The services a session uses, over one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.orders = order_service_pb2_grpc.OrderServiceStub(channel)
        self.risk = risk_service_pb2_grpc.RiskServiceStub(channel)
        self.bots = bot_service_pb2_grpc.BotServiceStub(channel)
        self.market = market_data_service_pb2_grpc.MarketDataServiceStub(channel)


def create(
    order_id: str,
    *,
    instrument: str = "btcusdt",
    side: order_pb2.Order.Side.ValueType = order_pb2.Order.SIDE_BUY,
    kind: order_pb2.Order.Type.ValueType = order_pb2.Order.TYPE_MARKET,
    quantity: str = "0.01",
    time_in_force: order_pb2.Order.TimeInForce.ValueType | None = None,
    reduce: bool = False,
    prices: Mapping[str, str] = {},
) -> Wish:
    """An order; `prices` by their fields' names."""
    order = order_pb2.Order(
        instrument=f"instruments/{instrument}",
        side=side,
        type=kind,
        quantity=Decimal(value=quantity),
        reduce_only=reduce,
    )
    if time_in_force is not None:
        order.time_in_force = time_in_force
    for name, price in prices.items():
        getattr(order, name).value = price
    request = order_service_pb2.CreateOrderRequest(parent=ACCOUNT, order_id=order_id, order=order, request_id=_new_id())
    return Wish(lambda stubs: stubs.orders.CreateOrder, request)


def amend(order_id: str, limit_price: str = "", quantity: str = "") -> Wish:
    """Another limit, another quantity, or both."""
    request = order_service_pb2.AmendOrderRequest(name=_order(order_id), request_id=_new_id())
    if limit_price:
        request.limit_price.value = limit_price
    if quantity:
        request.quantity.value = quantity
    return Wish(lambda stubs: stubs.orders.AmendOrder, request)


def cancel(order_id: str) -> Wish:
    """An order off the book."""
    request = order_service_pb2.CancelOrderRequest(name=_order(order_id), request_id=_new_id())
    return Wish(lambda stubs: stubs.orders.CancelOrder, request)


def cancel_all() -> Wish:
    """All orders off the book."""
    request = order_service_pb2.CancelAllOrdersRequest(parent=ACCOUNT, request_id=_new_id())
    return Wish(lambda stubs: stubs.orders.CancelAllOrders, request)


def close(instrument: str = "btcusdt") -> Wish:
    """No position any more."""
    request = order_service_pb2.ClosePositionRequest(name=f"{ACCOUNT}/positions/{instrument}", request_id=_new_id())
    return Wish(lambda stubs: stubs.orders.ClosePosition, request)


def kill(*, flatten: bool) -> Wish:
    """The kill switch pulled."""
    modes = risk_service_pb2.EngageKillSwitchRequest
    request = risk_service_pb2.EngageKillSwitchRequest(
        parent=ACCOUNT,
        mode=modes.KILL_MODE_FLATTEN if flatten else modes.KILL_MODE_CANCEL_ONLY,
        reason="the script",
        request_id=_new_id(),
    )
    return Wish(lambda stubs: stubs.risk.EngageKillSwitch, request)


def release() -> Wish:
    """Trading again."""
    request = risk_service_pb2.ReleaseKillSwitchRequest(parent=ACCOUNT, reason="go on", request_id=_new_id())
    return Wish(lambda stubs: stubs.risk.ReleaseKillSwitch, request)


def make_bot(bot_id: str, instrument: str = "btcusdt") -> Wish:
    """One more bot."""
    bot = bot_pb2.Bot(
        account=ACCOUNT,
        strategy="sma-cross",
        instrument=f"instruments/{instrument}",
        interval=Duration(seconds=60),
    )
    bot.settings.update({"fast": 2, "slow": 4})
    request = bot_service_pb2.CreateBotRequest(bot_id=bot_id, bot=bot, request_id=_new_id())
    return Wish(lambda stubs: stubs.bots.CreateBot, request)


def start_bot(bot_id: str) -> Wish:
    """A bot at work."""
    request = bot_service_pb2.StartBotRequest(name=f"bots/{bot_id}", request_id=_new_id())
    return Wish(lambda stubs: stubs.bots.StartBot, request)


def pause_bot(bot_id: str) -> Wish:
    """A bot that enters nothing."""
    request = bot_service_pb2.PauseBotRequest(name=f"bots/{bot_id}", request_id=_new_id())
    return Wish(lambda stubs: stubs.bots.PauseBot, request)


def stop_bot(bot_id: str) -> Wish:
    """A bot that has closed what it holds and does nothing."""
    request = bot_service_pb2.StopBotRequest(
        name=f"bots/{bot_id}",
        position_policy=bot_service_pb2.StopBotRequest.POSITION_POLICY_FLATTEN,
        request_id=_new_id(),
    )
    return Wish(lambda stubs: stubs.bots.StopBot, request)


def _new_id() -> str:
    return str(uuid.uuid4())


def _order(order_id: str) -> str:
    return f"{ACCOUNT}/orders/{order_id}"


def refusal(error: grpc.RpcError) -> Answer | None:
    """What an error says about the wish; None if it says nothing about whether it was heard."""
    assert isinstance(error, grpc.Call)
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            assert isinstance(value, bytes)
            for detail in Status.FromString(value).details:
                info = ErrorInfo()
                if detail.Unpack(info):
                    return Answer(info.reason, int(info.metadata.get("sequence", "0")))
    raise error
