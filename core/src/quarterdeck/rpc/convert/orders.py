"""Owns orders and fills on the wire: terms, records, and what callers ask for."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderTerms, OrderType, TimeInForce
from quarterdeck.domain.report import FillCause, Liquidity
from quarterdeck.domain.risk import OrderDraft
from quarterdeck.engine.events import OrderFilled
from quarterdeck.engine.inputs import AmendOrder, SubmitOrder
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.values import asked_amount, choices, numbers, prose, read_amount, rounded, set_time, text
from quarterdeck.v1 import fill_pb2, order_pb2, order_service_pb2

SIDES = numbers(Side, order_pb2.Order.Side, "SIDE")
TYPES = numbers(OrderType, order_pb2.Order.Type, "TYPE")
TIMES_IN_FORCE = numbers(TimeInForce, order_pb2.Order.TimeInForce, "TIME_IN_FORCE")
ROLES = numbers(OrderRole, order_pb2.Order.Role, "ROLE")
STATES = numbers(OrderState, order_pb2.Order.State, "STATE")
LIQUIDITIES = numbers(Liquidity, fill_pb2.Fill.Liquidity, "LIQUIDITY")
CAUSES = numbers(FillCause, fill_pb2.Fill.Cause, "CAUSE")

SIDE_OF = choices(SIDES)
TYPE_OF = choices(TYPES)
TIME_IN_FORCE_OF = choices(TIMES_IN_FORCE)
ROLE_OF = choices(ROLES)
STATE_OF = choices(STATES)
LIQUIDITY_OF = choices(LIQUIDITIES)
CAUSE_OF = choices(CAUSES)


def write_terms(message: order_pb2.Order, terms: OrderTerms) -> None:
    """Write what is asked of the exchange."""
    message.instrument = names.instrument(terms.symbol)
    message.side = SIDES[terms.side]
    message.type = TYPES[terms.type]
    message.quantity.value = text(terms.quantity)
    if terms.limit_price is not None:
        message.limit_price.value = text(terms.limit_price)
    if terms.trigger_price is not None:
        message.trigger_price.value = text(terms.trigger_price)
    if terms.trailing_distance is not None:
        message.trailing_distance.value = text(terms.trailing_distance)
    message.time_in_force = TIMES_IN_FORCE[terms.time_in_force]
    if terms.reduce_only:
        message.reduce_only = True
    if terms.stop_loss is not None:
        message.stop_loss.value = text(terms.stop_loss)
    if terms.take_profit is not None:
        message.take_profit.value = text(terms.take_profit)


def read_terms(message: order_pb2.Order) -> OrderTerms:
    """Read what is asked of the exchange, as `write_terms` wrote it."""
    return OrderTerms(
        names.symbol_of(message.instrument),
        SIDE_OF[message.side],
        TYPE_OF[message.type],
        Decimal(message.quantity.value),
        read_amount(message.limit_price),
        read_amount(message.trigger_price),
        read_amount(message.trailing_distance),
        TIME_IN_FORCE_OF[message.time_in_force],
        message.reduce_only,
        read_amount(message.stop_loss),
        read_amount(message.take_profit),
    )


def order_message(order: Order, account: str) -> order_pb2.Order:
    """The record of an order. `account` is the account's name."""
    message = order_pb2.Order(
        name=account + names.ORDERS + order.order_id,
        bot=names.bot(order.bot_id),
        role=ROLES[order.role],
        state=STATES[order.state],
        link_id=order.link_id,
        exchange_order_id=order.exchange_order_id,
        reason=prose(order.reason),
    )
    write_terms(message, order.terms)
    message.filled_quantity.value = text(order.filled_quantity)
    if order.filled_quantity:
        message.average_price.value = rounded(order.cost / order.filled_quantity)
    message.fees.value = rounded(order.fees)
    if order.parent_id:
        message.parent_order = account + names.ORDERS + order.parent_id
    set_time(message.create_time, order.create_time)
    set_time(message.update_time, order.update_time)
    return message


def write_draft(message: order_pb2.Order, draft: OrderDraft, order_id: str, account: str) -> None:
    """Write an order that was approved and not made."""
    message.name = account + names.ORDERS + order_id
    message.bot = names.bot(draft.bot_id)
    message.role = ROLES[draft.role]
    message.state = STATES[OrderState.PREPARED]
    write_terms(message, draft.terms)


def write_fill(message: fill_pb2.Fill, event: OrderFilled, account: str) -> None:
    """Write a trade as its event has it."""
    message.order = account + names.ORDERS + event.order_id
    message.bot = names.bot(event.bot_id)
    message.exchange_trade_id = event.trade_id
    message.instrument = names.instrument(event.symbol)
    message.side = SIDES[event.side]
    message.quantity.value = text(event.quantity)
    message.price.value = text(event.price)
    message.fee.value = text(event.fee)
    message.fee_currency = event.fee_currency
    message.liquidity = LIQUIDITIES[event.liquidity]
    message.cause = CAUSES[event.cause]
    message.realized_pnl.value = text(event.realized_pnl)
    set_time(message.exchange_time, event.exchange_time)


def fill_message(event: OrderFilled, sequence: int, time: int, account: str) -> fill_pb2.Fill:
    """A trade that was recorded at a sequence and time."""
    message = fill_pb2.Fill(name=f"{account}{names.FILLS}{sequence}")
    write_fill(message, event, account)
    set_time(message.record_time, time)
    return message


# ---------------------------------------------------------------- what callers ask for


def submit_order(message: order_pb2.Order, order_id: str) -> SubmitOrder:
    """The order a caller describes; what is output only is not looked at."""
    return SubmitOrder(
        order_id,
        names.symbol_of(message.instrument),
        SIDE_OF[message.side],
        TYPE_OF[message.type],
        asked_amount(message.quantity),
        asked_amount(message.limit_price),
        asked_amount(message.trigger_price),
        asked_amount(message.trailing_distance),
        TIME_IN_FORCE_OF[message.time_in_force] if message.HasField("time_in_force") else TimeInForce.GTC,
        message.reduce_only,
        asked_amount(message.stop_loss),
        asked_amount(message.take_profit),
        names.bot_id_of(message.bot),
    )


def amend_order(request: order_service_pb2.AmendOrderRequest, order_id: str) -> AmendOrder:
    """The change a caller asks for."""
    return AmendOrder(
        order_id, asked_amount(request.quantity), asked_amount(request.limit_price), asked_amount(request.trigger_price)
    )
