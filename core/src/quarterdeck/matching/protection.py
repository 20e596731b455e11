"""Owns what a trade sets off: protection opens and grows, one side ends the other, reduce-only orders shrink."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.report import ChildOpened
from quarterdeck.matching.book import Book
from quarterdeck.matching.execution import Execution
from quarterdeck.matching.filters import STOP_LOSS_SUFFIX, TAKE_PROFIT_SUFFIX
from quarterdeck.matching.order import BookOrder, exchange_order_id
from quarterdeck.matching.reasons import Reason


def after_trade(execution: Execution, book: Book, order: BookOrder, quantity: Decimal) -> None:
    """Do what a trade of `quantity` of an order sets off."""
    if order.parent_link_id:
        _balance_other_side(execution, book, order)
    if book.reducing:
        keep_reducing(execution, book)
    terms = order.terms
    if terms.stop_loss is not None or terms.take_profit is not None:
        _protect(execution, book, order, quantity)


def keep_reducing(execution: Execution, book: Book) -> None:
    """Hold reduce-only orders to the position: shrink what is larger, cancel what has nothing left to reduce."""
    for order in list(book.reducing.values()):
        closable = book.closable(order)
        if not closable:
            execution.cancel(book, order, Reason.NOTHING_TO_REDUCE)
        elif order.leaves > closable:
            execution.shrink(book, order, closable)


def _protect(execution: Execution, book: Book, parent: BookOrder, quantity: Decimal) -> None:
    """Cover what the trade added to the position; the part of it that closed an opposite position needs no cover."""
    terms = parent.terms
    covered = min(quantity, max(ZERO, book.quantity if parent.is_buy else -book.quantity))
    if not covered:
        return
    if terms.stop_loss is not None:
        _cover(execution, book, parent, covered, OrderRole.STOP_LOSS, terms.stop_loss)
    if terms.take_profit is not None:
        _cover(execution, book, parent, covered, OrderRole.TAKE_PROFIT, terms.take_profit)


def _cover(
    execution: Execution, book: Book, parent: BookOrder, quantity: Decimal, role: OrderRole, trigger: Decimal
) -> None:
    is_stop = role is OrderRole.STOP_LOSS
    link_id = parent.link_id + (STOP_LOSS_SUFFIX if is_stop else TAKE_PROFIT_SUFFIX)
    child = execution.orders.get(link_id)
    if child is None:
        terms = OrderTerms(
            parent.terms.symbol,
            parent.terms.side.opposite,
            OrderType.STOP if is_stop else OrderType.TAKE_PROFIT,
            quantity,
            trigger_price=trigger,
            reduce_only=True,
        )
        child = BookOrder(link_id, terms, execution.take_number(), quantity, None, trigger, role, parent.link_id)
        child.state, child.has_arrived = OrderState.OPEN, True
        execution.admit(book, child)
        book.rest(child)
    else:
        assert child.is_open, f"{link_id} has ended, so {parent.link_id} should have"
        child.quantity += quantity
        terms = child.current_terms()
    execution.reports.append(
        ChildOpened(
            link_id,
            parent.link_id,
            exchange_order_id(link_id),
            role,
            terms,
            execution.now,
        ),
    )


def _balance_other_side(execution: Execution, book: Book, child: BookOrder) -> None:
    """When one side of the protection trades, the other covers that much less."""
    suffix = TAKE_PROFIT_SUFFIX if child.role is OrderRole.STOP_LOSS else STOP_LOSS_SUFFIX
    other = execution.orders.get(child.parent_link_id + suffix)
    if other is None or not other.is_open:
        return
    if not child.leaves:
        execution.cancel(book, other, Reason.OTHER_SIDE_FILLED)
    elif other.leaves > child.leaves:
        execution.shrink(book, other, child.leaves)
