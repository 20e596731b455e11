"""Owns OrderService: wishes about orders, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import override

from quarterdeck.domain.errors import NotFound
from quarterdeck.domain.order import Order, OrderRole, OrderType
from quarterdeck.domain.risk import Refused
from quarterdeck.engine.events import OrderRefused, Recorded
from quarterdeck.engine.inputs import CancelAllOrders, CancelOrder, ClosePosition, ResolveOrder, SubmitOrder
from quarterdeck.rpc import names, pages
from quarterdeck.rpc.convert.orders import amend_order, fill_message, order_message, submit_order, write_draft
from quarterdeck.rpc.convert.sizing import write_sizing
from quarterdeck.rpc.errors import refused
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.servicers.base import Context, Servicer, identity, place_of
from quarterdeck.v1 import order_pb2
from quarterdeck.v1.event_pb2 import Envelope
from quarterdeck.v1.order_service_pb2 import (
    AmendOrderRequest,
    AmendOrderResponse,
    CancelAllOrdersRequest,
    CancelAllOrdersResponse,
    CancelOrderRequest,
    CancelOrderResponse,
    ClosePositionRequest,
    ClosePositionResponse,
    CreateOrderRequest,
    CreateOrderResponse,
    GetOrderRequest,
    GetOrderResponse,
    ListFillsRequest,
    ListFillsResponse,
    ListOrdersRequest,
    ListOrdersResponse,
    ResolveOrderRequest,
    ResolveOrderResponse,
)
from quarterdeck.v1.order_service_pb2_grpc import OrderServiceServicer


class OrderServicer(Servicer, OrderServiceServicer):
    """Orders and fills."""

    def __init__(self, deck: Deck, listings: pages.Listings) -> None:
        super().__init__(deck)
        self._listings = listings

    # ------------------------------------------------------------ reads

    @override
    async def GetOrder(self, request: GetOrderRequest, context: Context) -> GetOrderResponse:
        order_id = names.last_id(request.name)
        sequence = await self._settled()
        return GetOrderResponse(order=await self._order(order_id), snapshot_sequence=sequence)

    @override
    async def ListOrders(self, request: ListOrdersRequest, context: Context) -> ListOrdersResponse:
        symbol, bot_id = _filter(request.instrument, request.bot)
        if request.open_only:
            sequence = await self._settled()
            page = self._listings.page(request, sequence, lambda: self._open_orders(symbol, bot_id))
            return ListOrdersResponse(
                orders=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
            )
        token = pages.read_token(request)
        before: tuple[int, str] | None = None
        if token is not None:
            time, _, last_id = token.cursor.partition(":")
            before = token._replace(cursor=time).number, last_id
        size = pages.size_of(request)
        found = await self._deck.history.orders(size + 1, before, symbol=symbol, bot_id=bot_id)
        orders, sequence, more = found.rows[:size], found.sequence if token is None else token.sequence, ""
        if len(found.rows) > size:
            last = orders[-1]
            more = pages.make_token(request, pages.Token(sequence, f"{last.create_time}:{last.order_id}"))
        return ListOrdersResponse(
            orders=[order_message(order, self._account) for order in orders],
            next_page_token=more,
            snapshot_sequence=sequence,
        )

    @override
    async def ListFills(self, request: ListFillsRequest, context: Context) -> ListFillsResponse:
        symbol, bot_id = _filter(request.instrument, request.bot)
        order_id = names.id_within(request.order, self._account, names.ORDERS, "order") if request.order else None
        token = pages.read_token(request)
        before = token.number if token is not None else None
        size = pages.size_of(request)
        found = await self._deck.history.fills(size + 1, before, order_id=order_id, symbol=symbol, bot_id=bot_id)
        fills, sequence, more = found.rows[:size], found.sequence if token is None else token.sequence, ""
        if len(found.rows) > size:
            more = pages.make_token(request, pages.Token(sequence, str(fills[-1].sequence)))
        return ListFillsResponse(
            fills=[fill_message(fill.event, fill.sequence, fill.time, self._account) for fill in fills],
            next_page_token=more,
            snapshot_sequence=sequence,
        )

    # ------------------------------------------------------------ wishes

    @override
    async def CreateOrder(self, request: CreateOrderRequest, context: Context) -> CreateOrderResponse:
        order = submit_order(request.order, request.order_id)
        if request.validate_only:
            return await self._try_order(order)
        recorded = await self._deck.submit(order, identity(request))
        self._check_approved(recorded)
        assert recorded is not None
        written = Envelope.FromString((await self._deck.events.read(recorded.sequence - 1, 1))[0].body)
        prepared = written.order_prepared
        response = CreateOrderResponse(sequence=recorded.sequence)
        response.order.CopyFrom(prepared.order)  # given to the constructor they would be written out and read again
        if prepared.HasField("sizing"):
            response.sizing.CopyFrom(prepared.sizing)
        response.order.create_time.CopyFrom(written.record_time)
        response.order.update_time.CopyFrom(written.record_time)
        return response

    async def _try_order(self, order: SubmitOrder) -> CreateOrderResponse:
        await self._settled()
        evaluation = self._deck.evaluate(order)
        if isinstance(evaluation.verdict, Refused):
            raise refused(evaluation.verdict, 0, self._deck.state.trading_since)
        response = CreateOrderResponse()
        write_draft(response.order, evaluation.verdict.item, order.order_id, self._account)
        if evaluation.sizing is not None:
            write_sizing(response.sizing, evaluation.sizing)
        return response

    @override
    async def AmendOrder(self, request: AmendOrderRequest, context: Context) -> AmendOrderResponse:
        order_id = names.last_id(request.name)
        recorded = await self._deck.submit(amend_order(request, order_id), identity(request))
        self._check_approved(recorded)
        sequence = place_of(recorded, await self._settled())
        return AmendOrderResponse(order=await self._order(order_id), sequence=sequence)

    @override
    async def CancelOrder(self, request: CancelOrderRequest, context: Context) -> CancelOrderResponse:
        order_id = names.last_id(request.name)
        recorded = await self._deck.submit(CancelOrder(order_id), identity(request))
        sequence = place_of(recorded, await self._settled())
        return CancelOrderResponse(order=await self._order(order_id), sequence=sequence)

    @override
    async def ResolveOrder(self, request: ResolveOrderRequest, context: Context) -> ResolveOrderResponse:
        order_id = names.last_id(request.name)
        recorded = await self._deck.submit(ResolveOrder(order_id, request.reason), identity(request))
        sequence = place_of(recorded, await self._settled())
        return ResolveOrderResponse(order=await self._order(order_id), sequence=sequence)

    @override
    async def CancelAllOrders(self, request: CancelAllOrdersRequest, context: Context) -> CancelAllOrdersResponse:
        symbol, bot_id = _filter(request.instrument, request.bot)
        state = self._deck.state
        working = {order.order_id: order for order in state.orders_of(symbol, bot_id)}
        recorded = await self._deck.submit(CancelAllOrders(symbol, bot_id), identity(request))
        # What the venue ends at once is no working order any more when this is settled.
        working |= {order.order_id: order for order in state.orders_of(symbol, bot_id)}
        sequence = place_of(recorded, await self._settled())
        ending = [order for order in working.values() if order.cancel_requested]
        return CancelAllOrdersResponse(orders=self._messages(ending), sequence=sequence)

    @override
    async def ClosePosition(self, request: ClosePositionRequest, context: Context) -> ClosePositionResponse:
        symbol = names.last_id(request.name)
        _, bot_id = _filter("", request.bot)
        recorded = await self._deck.submit(ClosePosition(symbol, bot_id), identity(request))
        self._check_approved(recorded)
        sequence = place_of(recorded, await self._settled())
        orders = [*self._made_and_ended(recorded), *self._deck.state.orders_of(symbol, bot_id)]
        closing = [order for order in orders if _closes(order, symbol, bot_id)]
        return ClosePositionResponse(orders=self._messages(closing), sequence=sequence)

    # ------------------------------------------------------------ what they share

    def _check_approved(self, recorded: Recorded | None) -> None:
        """Tell the caller of a refusal, which is an event as well."""
        if recorded is not None and isinstance(recorded.event, OrderRefused):
            raise refused(recorded.event.refusal, recorded.sequence, self._deck.state.trading_since)

    async def _order(self, order_id: str) -> order_pb2.Order:
        order = self._deck.state.order(order_id) or await self._deck.history.order(order_id)
        if order is None:
            raise NotFound("order", order_id)
        return order_message(order, self._account)

    def _made_and_ended(self, recorded: Recorded | None) -> list[Order]:
        """The orders that a wish has made and that have ended, as they do at once at some venues; oldest first."""
        if recorded is None:
            return []
        ended = self._deck.state.ended_since(recorded.time)
        return [order for order in ended if order.create_time == recorded.time][::-1]

    def _open_orders(self, symbol: str | None, bot_id: str | None) -> list[order_pb2.Order]:
        return self._messages(reversed(list(self._deck.state.orders_of(symbol, bot_id))))

    def _messages(self, orders: Iterable[Order]) -> list[order_pb2.Order]:
        return [order_message(order, self._account) for order in orders]


def _closes(order: Order, symbol: str, bot_id: str | None) -> bool:
    """Whether an order is one that closes what somebody, or everybody, holds of an instrument."""
    is_theirs = order.terms.symbol == symbol and bot_id in (None, order.bot_id)
    return is_theirs and order.role is OrderRole.EXIT and order.terms.type is OrderType.MARKET


def _filter(instrument: str, bot: str) -> tuple[str | None, str | None]:
    """The instrument's and the bot's id, None for any."""
    return names.symbol_of(instrument) or None, names.bot_id_of(bot) or None
