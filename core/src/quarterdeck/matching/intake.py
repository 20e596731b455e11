"""Owns what arrives at the venue: new orders, wishes to cancel, amendments."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.amounts import ZERO, ceil_to, floor_to
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms
from quarterdeck.domain.report import Amended, AmendRejected, CancelRejected
from quarterdeck.matching.book import Amendment, Book, Request
from quarterdeck.matching.execution import Execution, reference_price, reservation
from quarterdeck.matching.filters import STOP_LOSS_SUFFIX, TAKE_PROFIT_SUFFIX, amendment_refusal, order_refusal
from quarterdeck.matching.order import BookOrder
from quarterdeck.matching.reasons import Reason
from quarterdeck.matching.snapshot import OrderSnapshot


def accept(execution: Execution, book: Book, link_id: str, terms: OrderTerms) -> BookOrder | Reason:
    """Take a new order in, or say why not. It does not work before it arrives."""
    order = BookOrder(link_id, terms, 0, terms.quantity, terms.limit_price, terms.trigger_price)
    price = reference_price(book, order)
    reserved = reservation(book, order, price)
    reason = (
        order_refusal(link_id, terms, book.instrument, price)
        or _id_refusal(execution, order)
        or _means_refusal(execution, book, order, price, reserved)
    )
    if reason is not None:
        return reason
    order.number = execution.take_number()
    execution.admit(book, order, reserved)
    return order


def announce(execution: Execution, book: Book, order: BookOrder) -> None:
    """Say that an order works, unless it may not."""
    if order.is_post_only and post_only_crosses(book, order):
        execution.reject(book, order, Reason.POST_ONLY_WOULD_CROSS)
        return
    if order.can_wait:
        execution.open(order)
    if order.terms.reduce_only and order.leaves > book.closable(order):
        execution.shrink(book, order, book.closable(order))


def resume(execution: Execution, book: Book, shown: OrderSnapshot) -> None:
    """Take an order over as it stood."""
    terms = shown.terms
    order = BookOrder(
        shown.link_id,
        terms,
        shown.number or execution.take_number(),
        terms.quantity,
        terms.limit_price,
        terms.trigger_price,
        _role_of(shown),
        shown.parent_link_id,
        shown.filled_quantity,
        shown.state,
        has_arrived=shown.has_arrived,
        told_trigger=terms.trigger_price,
    )
    if shown.triggered:
        order.awaits_trigger = False
    execution.admit(book, order, shown.reserved or ZERO)
    if shown.reserved is None:
        execution.reserve(book, order)
    if not order.has_arrived:
        return
    if order.state is OrderState.ACKED and order.can_wait:
        execution.now = book.seen_until
        execution.open(order)
    if order.can_wait and not order.is_trailing and not shown.is_fresh:
        book.rest(order)
    else:
        put_to_work(book, order)


def _role_of(shown: OrderSnapshot) -> OrderRole | None:
    if not shown.parent_link_id:
        return None
    return OrderRole.STOP_LOSS if shown.link_id.endswith(STOP_LOSS_SUFFIX) else OrderRole.TAKE_PROFIT


def put_to_work(book: Book, order: BookOrder) -> None:
    """Place an order where the next price finds it."""
    order.has_arrived = True
    if order.is_trailing and order.awaits_trigger:
        start_trailing(book, order)
    elif order.awaits_trigger or (order.is_post_only and book.price_for(order) is not None):
        book.rest(order)
    else:
        book.fresh.append(order)


def start_trailing(book: Book, order: BookOrder) -> None:
    """Set the trigger of a trailing stop by the last price; without one, by the next."""
    if order.trigger_price is None:
        price = book.price_for(order)
        if price is None:
            book.fresh.append(order)
            return
        order.trigger_price = trailed(book, order, price)
    book.trailing[order.link_id] = order
    book.rest(order)


def trailed(book: Book, order: BookOrder, best: Decimal) -> Decimal:
    """The trigger of a trailing stop whose best price is `best`, on the tick that is farther away."""
    distance = order.terms.trailing_distance
    assert distance is not None, f"{order.link_id} trails at no distance"
    step = book.instrument.tick_size
    return ceil_to(best + distance, step) if order.is_buy else floor_to(best - distance, step)


def post_only_crosses(book: Book, order: BookOrder) -> bool:
    """Whether a post-only order would trade at once at the last price."""
    if not order.is_post_only or order.awaits_trigger:
        return False
    price = book.price_for(order)
    return price is not None and order.crosses(price)


def take_in(execution: Execution, book: Book, request: Request) -> None:
    """Do what a request that has arrived asks for."""
    order, amendment = execution.orders.get(request.link_id), request.amendment
    if order is None or not order.is_open:
        if not request.is_new:
            answer = CancelRejected if amendment is None else AmendRejected
            execution.reports.append(answer(request.link_id, Reason.ORDER_CLOSED, execution.now))
    elif request.is_new:
        if order.state is OrderState.ACKED:
            announce(execution, book, order)
        if order.is_open:
            put_to_work(book, order)
    elif amendment is None:
        execution.cancel(book, order, Reason.CANCELED_ON_REQUEST)
    else:
        _amend(execution, book, order, amendment)


def _amend(execution: Execution, book: Book, order: BookOrder, change: Amendment) -> None:
    reason = _amend_refusal(execution, book, order, change)
    if reason is not None:
        execution.reports.append(AmendRejected(order.link_id, reason, execution.now))
        return
    finds_new_place = change.trigger_price is not None or (change.limit_price is not None and not order.awaits_trigger)
    grows = change.quantity is not None and change.quantity > order.quantity
    was_resting = order.rung is not None
    moves = order.has_arrived and (finds_new_place or grows)
    if moves:
        book.set_aside(order)
        order.number = execution.take_number()
    _change(order, change)
    execution.reserve(book, order)
    execution.reports.append(
        Amended(order.link_id, execution.now, change.quantity, change.limit_price, change.trigger_price),
    )
    if moves and was_resting and not finds_new_place:
        book.rest(order)
    elif moves:
        put_to_work(book, order)


def _change(order: BookOrder, change: Amendment) -> None:
    if change.quantity is not None:
        order.quantity = change.quantity
    if change.limit_price is not None:
        order.limit_price = change.limit_price
    if change.trigger_price is not None:
        order.trigger_price = order.told_trigger = change.trigger_price


def _amend_refusal(execution: Execution, book: Book, order: BookOrder, change: Amendment) -> Reason | None:
    reason = amendment_refusal(order, change, book.instrument)
    if reason is not None:
        return reason
    changed = BookOrder(order.link_id, order.terms, 0, order.quantity, order.limit_price, order.trigger_price)
    changed.filled, changed.awaits_trigger = order.filled, order.awaits_trigger
    _change(changed, change)
    if post_only_crosses(book, changed):
        return Reason.POST_ONLY_WOULD_CROSS
    if order.terms.reduce_only:
        return Reason.REDUCES_TOO_MUCH if changed.leaves > book.closable(order) else None
    price = reference_price(book, changed)
    return _means_refusal(execution, book, changed, price, reservation(book, changed, price) - order.reserved)


def _means_refusal(
    execution: Execution, book: Book, order: BookOrder, price: Decimal | None, more: Decimal
) -> Reason | None:
    """Why the account can't carry an order at an expected price, of which it does not carry `more` yet."""
    if order.terms.reduce_only:
        return None if book.closable(order) else Reason.NOTHING_TO_REDUCE
    if price is None:
        return Reason.NO_PRICE
    fee = order.leaves * price * book.instrument.taker_fee_rate
    return execution.account.refusal(book, is_buy=order.is_buy, amount=more, fee=fee)


def _id_refusal(execution: Execution, order: BookOrder) -> Reason | None:
    terms = order.terms
    if terms.stop_loss is None and terms.take_profit is None:
        return None
    orders, link_id = execution.orders, order.link_id
    is_taken = link_id + STOP_LOSS_SUFFIX in orders or link_id + TAKE_PROFIT_SUFFIX in orders
    return Reason.DUPLICATE_LINK_ID if is_taken else None
