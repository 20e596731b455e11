"""Owns the scripted session: what a client wants, in order, under request ids that survive the daemon.

A wish that got no answer is asked again under its id once the daemon is back; what it answers then is held against
everything it has answered before.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
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
    market_data_service_pb2,
    market_data_service_pb2_grpc,
    order_pb2,
    order_service_pb2,
    order_service_pb2_grpc,
    risk_service_pb2,
    risk_service_pb2_grpc,
)
from quarterdeck.v1.decimal_pb2 import Decimal
from tests.e2e.process import IMPATIENT, DaemonProcess

ACCOUNT = "accounts/main"
INSTRUMENT = "instruments/btcusdt"

#: How long one answer may take before the client asks again.
PATIENCE = 10.0

#: A market fast enough that the bot trades now and then, rules that stay out of the way, but one that refuses.
CONFIG = """\
mode = "paper"
[journal]
url = "{url}"
reserve_mib = 1
[exchange]
plugin = "{venue}"
[exchange.settings.balances]
USDT = "1000000"
[feed]
plugin = "synthetic"
[feed.settings]
seed = 6
speed = 100
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
max_position_risk = 1
max_notional = 100000
max_entries_per_minute = "off"
price_band = "off"
[[bots]]
id = "crossing"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
[bots.settings]
fast = 2
slow = 5
"""


class Down(Exception):
    """The daemon has ended before it answered."""


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


class Session:
    """Plays the script on a daemon, as far as it lives; goes on where it was when there is another."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.wishes: list[Wish] = []
        self._script = self._steps()
        self._is_over = False
        self._stubs: Stubs | None = None

    def play(self) -> None:
        """Go on until the script is over.

        Raises:
            Down: the daemon has ended.
        """
        with grpc.insecure_channel(self.daemon.address, options=IMPATIENT) as channel:
            self._stubs = Stubs(channel)
            self._wait_for_market()
            if self.wishes and not self.wishes[-1].answers:
                self._ask(self.wishes[-1])
            while not self._is_over:
                wish = next(self._script, None)
                if wish is None:
                    self._is_over = True
                else:
                    self.wishes.append(wish)
                    self._ask(wish)

    def repeat(self) -> None:
        """Ask everything once more; the answers are added to those of before.

        Raises:
            Down: the daemon has ended.
        """
        with grpc.insecure_channel(self.daemon.address, options=IMPATIENT) as channel:
            self._stubs = Stubs(channel)
            for wish in self.wishes:
                self._ask(wish)

    def misuse(self) -> Answer:
        """Ask for something else under an id that was used; returns what is answered."""
        with grpc.insecure_channel(self.daemon.address, options=IMPATIENT) as channel:
            self._stubs = Stubs(channel)
            used = next(wish for wish in self.wishes if wish.answers and wish.answers[0].reason == "OK")
            other = self._create("another", limit=0.5)
            other.request.request_id = used.request_id
            self._ask(other)
            return other.answers[0]

    # ------------------------------------------------------------ asking

    def _ask(self, wish: Wish) -> None:
        while True:
            assert self._stubs is not None
            try:
                response = wish.method(self._stubs)(wish.request, timeout=PATIENCE)
            except grpc.RpcError as error:
                answer = _refusal(error)
                if answer is None:
                    self._wait_for_another_try()
                    continue
                wish.answers.append(answer)
            else:
                order = response.order if hasattr(response, "order") else None
                name = "" if order is None else order.name
                wish.answers.append(Answer("OK", response.sequence, name, response))
            return

    def _wait_for_market(self) -> None:
        """A market order needs a price to be judged by, and a daemon has none before its first candle."""
        while True:
            assert self._stubs is not None
            quotes = self._stubs.market.StreamQuotes(market_data_service_pb2.StreamQuotesRequest(), timeout=PATIENCE)
            try:
                next(iter(quotes))
            except grpc.RpcError:
                self._wait_for_another_try()
            else:
                quotes.cancel()
                return

    def _wait_for_another_try(self) -> None:
        """The call failed on its way: either the daemon is gone, or it is about to be there."""
        time.sleep(0.02)
        if self.daemon.process.poll() is not None:
            raise Down

    # ------------------------------------------------------------ the script

    def _steps(self) -> Iterator[Wish]:
        """About thirty orders, and everything that can be done with them."""
        for number in range(1, 7):
            yield self._create(f"rest-{number}", limit=0.9 - number / 100, stop=0.7)
        yield self._create("market", stop=0.9, target=1.2)
        yield self._create("late", side=order_pb2.Order.SIDE_SELL, limit=1.3, stop=1.5)
        yield self._create("huge", quantity="9")
        yield self._create("rest-1", limit=0.5)  # the id is taken
        yield self._amend("rest-1", "0.85")
        yield self._amend("rest-2", "0.84")
        yield self._cancel("rest-1")
        yield self._cancel("rest-3")
        yield self._cancel("rest-3")  # again, under another id
        yield self._create("part", side=order_pb2.Order.SIDE_SELL, quantity="0.004", reduce=True)
        yield self._kill(risk_service_pb2.EngageKillSwitchRequest.KILL_MODE_CANCEL_ONLY)
        yield self._create("halted", limit=0.8)
        yield self._release()
        for number in range(1, 5):
            yield self._create(f"more-{number}", limit=0.9 - number / 100, stop=0.7)
        yield self._bot("second")
        yield self._start_bot("second")
        yield self._amend("more-1", "0.8", "0.005")
        yield self._create("second-market", stop=0.95)
        yield self._create("stop-in", kind=order_pb2.Order.TYPE_STOP, trigger=1.4, stop=1.3)
        yield self._pause_bot("second")
        yield self._cancel("stop-in")
        yield self._kill(risk_service_pb2.EngageKillSwitchRequest.KILL_MODE_FLATTEN)
        yield self._release()
        yield self._start_bot("second")
        for number in range(1, 7):
            yield self._create(f"last-{number}", limit=0.9 - number / 100, stop=0.7)
            if number == 3:
                yield self._create("last-market", stop=0.9)
                yield self._create("third-market", side=order_pb2.Order.SIDE_SELL, stop=1.1)
        yield self._amend("last-2", "0.83")
        yield self._cancel("last-1")
        yield self._close()
        yield self._cancel_all()
        yield self._create("end", limit=0.8)
        yield self._stop_bot("second")

    def _create(
        self,
        order_id: str,
        *,
        side: order_pb2.Order.Side.ValueType = order_pb2.Order.SIDE_BUY,
        kind: order_pb2.Order.Type.ValueType | None = None,
        quantity: str = "0.01",
        limit: float = 0.0,
        trigger: float = 0.0,
        stop: float = 0.0,
        target: float = 0.0,
        reduce: bool = False,
    ) -> Wish:
        """An order; prices are parts of the market's."""
        order = order_pb2.Order(
            instrument=INSTRUMENT,
            side=side,
            type=kind or (order_pb2.Order.TYPE_LIMIT if limit else order_pb2.Order.TYPE_MARKET),
            quantity=Decimal(value=quantity),
            reduce_only=reduce,
        )
        for name, part in (
            ("limit_price", limit),
            ("trigger_price", trigger),
            ("stop_loss", stop),
            ("take_profit", target),
        ):
            if part:
                getattr(order, name).value = self._at(part)
        request = order_service_pb2.CreateOrderRequest(
            parent=ACCOUNT, order_id=order_id, order=order, request_id=_new_id()
        )
        return Wish(lambda stubs: stubs.orders.CreateOrder, request)

    def _amend(self, order_id: str, part: str, quantity: str = "") -> Wish:
        request = order_service_pb2.AmendOrderRequest(name=_order(order_id), request_id=_new_id())
        request.limit_price.value = self._at(float(part))
        if quantity:
            request.quantity.value = quantity
        return Wish(lambda stubs: stubs.orders.AmendOrder, request)

    def _cancel(self, order_id: str) -> Wish:
        request = order_service_pb2.CancelOrderRequest(name=_order(order_id), request_id=_new_id())
        return Wish(lambda stubs: stubs.orders.CancelOrder, request)

    def _cancel_all(self) -> Wish:
        request = order_service_pb2.CancelAllOrdersRequest(parent=ACCOUNT, request_id=_new_id())
        return Wish(lambda stubs: stubs.orders.CancelAllOrders, request)

    def _close(self) -> Wish:
        name = f"{ACCOUNT}/positions/{INSTRUMENT.rpartition('/')[2]}"
        request = order_service_pb2.ClosePositionRequest(name=name, request_id=_new_id())
        return Wish(lambda stubs: stubs.orders.ClosePosition, request)

    def _kill(self, mode: risk_service_pb2.EngageKillSwitchRequest.KillMode.ValueType) -> Wish:
        request = risk_service_pb2.EngageKillSwitchRequest(
            parent=ACCOUNT, mode=mode, reason="the script", request_id=_new_id()
        )
        return Wish(lambda stubs: stubs.risk.EngageKillSwitch, request)

    def _release(self) -> Wish:
        request = risk_service_pb2.ReleaseKillSwitchRequest(parent=ACCOUNT, reason="go on", request_id=_new_id())
        return Wish(lambda stubs: stubs.risk.ReleaseKillSwitch, request)

    def _bot(self, bot_id: str) -> Wish:
        bot = bot_pb2.Bot(account=ACCOUNT, strategy="sma-cross", instrument=INSTRUMENT, interval=Duration(seconds=60))
        bot.settings.update({"fast": 2, "slow": 4})
        request = bot_service_pb2.CreateBotRequest(bot_id=bot_id, bot=bot, request_id=_new_id())
        return Wish(lambda stubs: stubs.bots.CreateBot, request)

    def _start_bot(self, bot_id: str) -> Wish:
        request = bot_service_pb2.StartBotRequest(name=f"bots/{bot_id}", request_id=_new_id())
        return Wish(lambda stubs: stubs.bots.StartBot, request)

    def _pause_bot(self, bot_id: str) -> Wish:
        request = bot_service_pb2.PauseBotRequest(name=f"bots/{bot_id}", request_id=_new_id())
        return Wish(lambda stubs: stubs.bots.PauseBot, request)

    def _stop_bot(self, bot_id: str) -> Wish:
        request = bot_service_pb2.StopBotRequest(
            name=f"bots/{bot_id}",
            position_policy=bot_service_pb2.StopBotRequest.POSITION_POLICY_FLATTEN,
            request_id=_new_id(),
        )
        return Wish(lambda stubs: stubs.bots.StopBot, request)

    def _at(self, part: float) -> str:
        return str(round(PRICE * part))


#: About where the market of the script's seed begins; it does not go far in the time a script takes.
PRICE = 60_000


def _new_id() -> str:
    return str(uuid.uuid4())


def _order(order_id: str) -> str:
    return f"{ACCOUNT}/orders/{order_id}"


def _refusal(error: grpc.RpcError) -> Answer | None:
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
