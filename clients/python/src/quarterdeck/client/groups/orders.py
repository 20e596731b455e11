"""Owns what is done with orders, and questions about them and their fills."""

from __future__ import annotations

from quarterdeck.client.answers import OrderChanged, OrderCreated, OrdersChanged
from quarterdeck.client.calls import Pages, Unary, new_request_id, resource, resources
from quarterdeck.client.convert import Amount, amount, number
from quarterdeck.client.names import account_name, bot_name, instrument_name, order_name
from quarterdeck.client.resources import Fill, Order
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.client.words import OrderType, Side, TimeInForce
from quarterdeck.v1 import order_pb2
from quarterdeck.v1 import order_service_pb2 as pb


class Orders(Group[L]):
    """Opens, changes, cancels and reads orders."""

    @rpc
    def get(self, order: str) -> Unary[Order]:
        """One order."""
        return Unary(pb.GetOrderRequest(name=order_name(self.account, order)), resource(Order, "order"))

    @rpc
    def list(
        self, *, instrument: str = "", bot: str = "", open_only: bool = False, limit: int | None = None
    ) -> Pages[Order]:
        """Orders, newest first; at most `limit`."""
        request = pb.ListOrdersRequest(
            parent=account_name(self.account),
            instrument=instrument_name(instrument),
            bot=bot_name(bot),
            open_only=open_only,
        )
        return Pages(request, resources(Order, "orders"), limit)

    @rpc
    def create(  # noqa: PLR0913 - an order has this many terms, all named by the caller
        self,
        *,
        instrument: str,
        side: Side,
        type: OrderType,  # noqa: A002 - the contract's word
        quantity: Amount | None = None,
        limit_price: Amount | None = None,
        trigger_price: Amount | None = None,
        trailing_distance: Amount | None = None,
        time_in_force: TimeInForce | None = None,
        reduce_only: bool = False,
        stop_loss: Amount | None = None,
        take_profit: Amount | None = None,
        bot: str = "",
        order_id: str | None = None,
        validate_only: bool = False,
        request_id: str | None = None,
    ) -> Unary[OrderCreated]:
        """Record an order that passes sizing and every risk rule. It is sent to the exchange after this answers.

        Without a `quantity` the account's sizer decides, which needs a `stop_loss`. `stop_loss` and `take_profit` are
        attached: the venue opens them with each fill. The `order_id` is the `request_id` if none is given. With
        `validate_only` everything is checked, and nothing recorded or sent.

        Raises:
            RiskRefused: a risk rule said no.
            SizingRefused: no size could be found.
            TradingHalted: trading is reducing or halted.
        """
        request_id = request_id or new_request_id()
        order = order_pb2.Order(
            instrument=instrument_name(instrument),
            side=number(order_pb2.Order.Side.DESCRIPTOR, side),
            type=number(order_pb2.Order.Type.DESCRIPTOR, type),
            quantity=amount(quantity),
            limit_price=amount(limit_price),
            trigger_price=amount(trigger_price),
            trailing_distance=amount(trailing_distance),
            time_in_force=None
            if time_in_force is None
            else number(order_pb2.Order.TimeInForce.DESCRIPTOR, time_in_force),
            reduce_only=reduce_only,
            stop_loss=amount(stop_loss),
            take_profit=amount(take_profit),
            bot=bot_name(bot),
        )
        request = pb.CreateOrderRequest(
            parent=account_name(self.account),
            order_id=order_id or request_id,
            order=order,
            request_id=request_id,
            validate_only=validate_only,
        )
        return Unary(request, resource(OrderCreated))

    @rpc
    def amend(
        self,
        order: str,
        *,
        quantity: Amount | None = None,
        limit_price: Amount | None = None,
        trigger_price: Amount | None = None,
        request_id: str | None = None,
    ) -> Unary[OrderChanged]:
        """Ask for a working order to be changed; what is not given stays. The answer to the wish comes as an event."""
        request = pb.AmendOrderRequest(
            name=order_name(self.account, order),
            quantity=amount(quantity),
            limit_price=amount(limit_price),
            trigger_price=amount(trigger_price),
            request_id=request_id or new_request_id(),
        )
        return Unary(request, resource(OrderChanged))

    @rpc
    def cancel(self, order: str, *, request_id: str | None = None) -> Unary[OrderChanged]:
        """Ask for an order to be taken off the exchange. The answer to the wish comes as an event: a fill may win."""
        request = pb.CancelOrderRequest(name=order_name(self.account, order), request_id=request_id or new_request_id())
        return Unary(request, resource(OrderChanged))

    @rpc
    def resolve(self, order: str, reason: str, *, request_id: str | None = None) -> Unary[OrderChanged]:
        """Settle an `UNKNOWN` order as never having arrived. For a person who knows; `reason` says who, and how."""
        request = pb.ResolveOrderRequest(
            name=order_name(self.account, order), reason=reason, request_id=request_id or new_request_id()
        )
        return Unary(request, resource(OrderChanged))

    @rpc
    def cancel_all(self, *, instrument: str = "", bot: str = "", request_id: str | None = None) -> Unary[OrdersChanged]:
        """Ask for every working entry and exit that matches to be taken off the exchange. Protection stays."""
        request = pb.CancelAllOrdersRequest(
            parent=account_name(self.account),
            instrument=instrument_name(instrument),
            bot=bot_name(bot),
            request_id=request_id or new_request_id(),
        )
        return Unary(request, resource(OrdersChanged))


class Fills(Group[L]):
    """Reads fills."""

    @rpc
    def list(self, *, instrument: str = "", bot: str = "", order: str = "", limit: int | None = None) -> Pages[Fill]:
        """Fills, newest first; at most `limit`."""
        request = pb.ListFillsRequest(
            parent=account_name(self.account),
            instrument=instrument_name(instrument),
            bot=bot_name(bot),
            order=order_name(self.account, order),
        )
        return Pages(request, resources(Fill, "fills"), limit)
