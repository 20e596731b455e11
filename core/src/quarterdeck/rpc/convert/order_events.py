"""Owns the events of orders on the wire, each written and read by a pair of functions, listed at the end.

`account` is the name of the account, such as `accounts/main`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.ledger import Book, Posting
from quarterdeck.domain.risk import Refused
from quarterdeck.engine import events as e
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.orders import (
    CAUSE_OF,
    LIQUIDITY_OF,
    ROLE_OF,
    ROLES,
    SIDE_OF,
    STATE_OF,
    STATES,
    read_terms,
    write_fill,
    write_terms,
)
from quarterdeck.rpc.convert.sizing import read_sizing, write_sizing
from quarterdeck.rpc.convert.values import choices, numbers, prose, read_amount, rounded, text, time_of
from quarterdeck.rpc.names import ORDERS
from quarterdeck.v1 import event_pb2, ledger_pb2, order_pb2

BOOKS = numbers(Book, ledger_pb2.Posting.Book, "BOOK")
BOOK_OF = choices(BOOKS)

_PREPARED = order_pb2.Order.STATE_PREPARED
_OPEN = order_pb2.Order.STATE_OPEN


class Codec(NamedTuple):
    """How one type of event is written into, and read from, its field of the envelope."""

    event: type[Any]
    field: str
    write: Callable[[Any, Any, str], None]
    read: Callable[[Any], e.Event]


# ---------------------------------------------------------------- approval


def write_prepared(message: order_pb2.Order, event: e.OrderPrepared, account: str) -> None:
    """Write an order as it was when it was approved."""
    _write_order(message, event, account)
    message.link_id = event.link_id
    message.state = _PREPARED


def _write_prepared(message: event_pb2.OrderPrepared, event: e.OrderPrepared, account: str) -> None:
    write_prepared(message.order, event, account)
    if event.sizing is not None:
        write_sizing(message.sizing, event.sizing)
    message.rules.extend(event.rules)
    message.reference_price.value = text(event.reference_price)


def _read_prepared(message: event_pb2.OrderPrepared) -> e.OrderPrepared:
    order = message.order
    return e.OrderPrepared(
        names.last_id(order.name),
        order.link_id,
        read_terms(order),
        ROLE_OF[order.role],
        names.bot_id_of(order.bot),
        Decimal(message.reference_price.value),
        read_sizing(message.sizing) if message.HasField("sizing") else None,
        tuple(message.rules),
    )


def _write_refused(message: event_pb2.OrderRefused, event: e.OrderRefused, account: str) -> None:
    _write_order(message.order, event, account)
    refusal = event.refusal
    message.rule = refusal.rule
    message.reason = prose(refusal.reason)
    if refusal.limit is not None and (spelt := rounded(refusal.limit)):
        message.limit.value = spelt
    if refusal.observed is not None and (spelt := rounded(refusal.observed)):
        message.observed.value = spelt


def _read_refused(message: event_pb2.OrderRefused) -> e.OrderRefused:
    order = message.order
    return e.OrderRefused(
        names.last_id(order.name),
        read_terms(order),
        ROLE_OF[order.role],
        names.bot_id_of(order.bot),
        Refused(message.rule, message.reason, read_amount(message.limit), read_amount(message.observed)),
    )


def _write_adopted(message: event_pb2.OrderAdopted, event: e.OrderAdopted, account: str) -> None:
    order = message.order
    _write_order(order, event, account)
    order.link_id = event.link_id
    order.state = _OPEN
    order.exchange_order_id = event.exchange_order_id
    if event.parent_id:
        order.parent_order = account + ORDERS + event.parent_id


def _read_adopted(message: event_pb2.OrderAdopted) -> e.OrderAdopted:
    order = message.order
    return e.OrderAdopted(
        names.last_id(order.name),
        order.link_id,
        read_terms(order),
        ROLE_OF[order.role],
        names.bot_id_of(order.bot),
        names.last_id(order.parent_order),
        order.exchange_order_id,
    )


def _write_order(
    message: order_pb2.Order, event: e.OrderPrepared | e.OrderRefused | e.OrderAdopted, account: str
) -> None:
    message.name = account + ORDERS + event.order_id
    message.role = ROLES[event.role]
    if event.bot_id:
        message.bot = names.bot(event.bot_id)
    write_terms(message, event.terms)


# ---------------------------------------------------------------- trades


def _write_filled(message: event_pb2.OrderFilled, event: e.OrderFilled, account: str) -> None:
    write_fill(message.fill, event, account)
    message.order_state = STATES[event.order_state]
    message.filled_quantity.value = text(event.filled_quantity)
    message.position_quantity.value = text(event.position_quantity)
    if event.position_average_price is not None and (spelt := rounded(event.position_average_price)):
        message.position_average_price.value = spelt
    if event.fee_quantity:
        message.fee_quantity.value = text(event.fee_quantity)
    postings = message.postings
    for book, currency, amount in event.postings:
        posting = postings.add()
        posting.book = BOOKS[book]
        posting.currency = currency
        posting.amount.value = text(amount)


def _read_filled(message: event_pb2.OrderFilled) -> e.OrderFilled:
    fill = message.fill
    return e.OrderFilled(
        names.last_id(fill.order),
        fill.exchange_trade_id,
        names.symbol_of(fill.instrument),
        SIDE_OF[fill.side],
        Decimal(fill.quantity.value),
        Decimal(fill.price.value),
        Decimal(fill.fee.value),
        fill.fee_currency,
        LIQUIDITY_OF[fill.liquidity],
        CAUSE_OF[fill.cause],
        Decimal(fill.realized_pnl.value),
        time_of(fill.exchange_time),
        STATE_OF[message.order_state],
        Decimal(message.filled_quantity.value),
        Decimal(message.position_quantity.value),
        read_amount(message.position_average_price),
        tuple([Posting(BOOK_OF[each.book], each.currency, Decimal(each.amount.value)) for each in message.postings]),
        names.bot_id_of(fill.bot),
        Decimal(message.fee_quantity.value) if message.HasField("fee_quantity") else ZERO,
    )


# ---------------------------------------------------------------- the life of an order


def _write_sent(message: event_pb2.OrderSent, event: e.OrderSent, account: str) -> None:
    message.order = account + ORDERS + event.order_id
    message.attempt = event.attempt


def _read_sent(message: event_pb2.OrderSent) -> e.OrderSent:
    return e.OrderSent(names.last_id(message.order), message.attempt)


def _write_at_exchange(
    message: event_pb2.OrderAcked | event_pb2.OrderOpened, event: e.OrderAcked | e.OrderOpened, account: str
) -> None:
    message.order = account + ORDERS + event.order_id
    message.exchange_order_id = event.exchange_order_id


def _read_acked(message: event_pb2.OrderAcked) -> e.OrderAcked:
    return e.OrderAcked(names.last_id(message.order), message.exchange_order_id)


def _read_opened(message: event_pb2.OrderOpened) -> e.OrderOpened:
    return e.OrderOpened(names.last_id(message.order), message.exchange_order_id)


class _WithDetail(Protocol):
    order: str
    detail: str


def _write_detail(message: _WithDetail, event: e.OrderUnknown | e.OrderNotSent | e.OrderAbsent, account: str) -> None:
    message.order = account + ORDERS + event.order_id
    message.detail = prose(event.detail)


class _WithReason(Protocol):
    order: str
    reason: str


def _write_reason(
    message: _WithReason, event: e.OrderRejected | e.OrderCancelRejected | e.OrderAmendRejected, account: str
) -> None:
    message.order = account + ORDERS + event.order_id
    message.reason = prose(event.reason)


def _write_name(
    message: event_pb2.OrderTriggered | event_pb2.OrderCancelRequested,
    event: e.OrderTriggered | e.OrderCancelRequested,
    account: str,
) -> None:
    message.order = account + ORDERS + event.order_id


def _write_ended(
    message: event_pb2.OrderCanceled | event_pb2.OrderExpired, event: e.OrderCanceled | e.OrderExpired, account: str
) -> None:
    message.order = account + ORDERS + event.order_id
    message.filled_quantity.value = text(event.filled_quantity)
    message.reason = prose(event.reason)


def _read_canceled(message: event_pb2.OrderCanceled) -> e.OrderCanceled:
    return e.OrderCanceled(names.last_id(message.order), Decimal(message.filled_quantity.value), message.reason)


def _read_expired(message: event_pb2.OrderExpired) -> e.OrderExpired:
    return e.OrderExpired(names.last_id(message.order), Decimal(message.filled_quantity.value), message.reason)


def _write_change(
    message: event_pb2.OrderAmendRequested | event_pb2.OrderAmended,
    event: e.OrderAmendRequested | e.OrderAmended,
    account: str,
) -> None:
    message.order = account + ORDERS + event.order_id
    if event.quantity is not None:
        message.quantity.value = text(event.quantity)
    if event.limit_price is not None:
        message.limit_price.value = text(event.limit_price)
    if event.trigger_price is not None:
        message.trigger_price.value = text(event.trigger_price)


def _change(
    message: event_pb2.OrderAmendRequested | event_pb2.OrderAmended,
) -> tuple[str, Decimal | None, Decimal | None, Decimal | None]:
    return (
        names.last_id(message.order),
        read_amount(message.quantity),
        read_amount(message.limit_price),
        read_amount(message.trigger_price),
    )


def _detail(message: _WithDetail) -> tuple[str, str]:
    return names.last_id(message.order), message.detail


def _reason(message: _WithReason) -> tuple[str, str]:
    return names.last_id(message.order), message.reason


ORDER_EVENTS: Sequence[Codec] = (
    Codec(e.OrderPrepared, "order_prepared", _write_prepared, _read_prepared),
    Codec(e.OrderRefused, "order_refused", _write_refused, _read_refused),
    Codec(e.OrderSent, "order_sent", _write_sent, _read_sent),
    Codec(e.OrderAcked, "order_acked", _write_at_exchange, _read_acked),
    Codec(e.OrderOpened, "order_opened", _write_at_exchange, _read_opened),
    Codec(e.OrderUnknown, "order_unknown", _write_detail, lambda m: e.OrderUnknown(*_detail(m))),
    Codec(e.OrderNotSent, "order_not_sent", _write_detail, lambda m: e.OrderNotSent(*_detail(m))),
    Codec(e.OrderAbsent, "order_absent", _write_detail, lambda m: e.OrderAbsent(*_detail(m))),
    Codec(e.OrderRejected, "order_rejected", _write_reason, lambda m: e.OrderRejected(*_reason(m))),
    Codec(e.OrderTriggered, "order_triggered", _write_name, lambda m: e.OrderTriggered(names.last_id(m.order))),
    Codec(e.OrderFilled, "order_filled", _write_filled, _read_filled),
    Codec(e.OrderCanceled, "order_canceled", _write_ended, _read_canceled),
    Codec(e.OrderExpired, "order_expired", _write_ended, _read_expired),
    Codec(
        e.OrderCancelRequested,
        "order_cancel_requested",
        _write_name,
        lambda m: e.OrderCancelRequested(names.last_id(m.order)),
    ),
    Codec(e.OrderCancelRejected, "order_cancel_rejected", _write_reason, lambda m: e.OrderCancelRejected(*_reason(m))),
    Codec(e.OrderAmendRequested, "order_amend_requested", _write_change, lambda m: e.OrderAmendRequested(*_change(m))),
    Codec(e.OrderAmended, "order_amended", _write_change, lambda m: e.OrderAmended(*_change(m))),
    Codec(e.OrderAmendRejected, "order_amend_rejected", _write_reason, lambda m: e.OrderAmendRejected(*_reason(m))),
    Codec(e.OrderAdopted, "order_adopted", _write_adopted, _read_adopted),
)
