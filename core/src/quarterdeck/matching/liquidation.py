"""Owns what happens when margin runs out: working orders end, positions are closed, the venue covers what is missing.

Cross margin: once the margin balance of a settlement currency is no more than all its maintenance margin, every
contract settled in it goes, the one whose price moved first, each at its current price with slippage and taker fee.
"""

from __future__ import annotations

from quarterdeck.domain.amounts import ZERO, nearest_to
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.report import BalanceChanged, ChildOpened, FillCause, Liquidity
from quarterdeck.matching.book import Book
from quarterdeck.matching.execution import Execution
from quarterdeck.matching.order import BookOrder, exchange_order_id
from quarterdeck.matching.reasons import Reason

_NO_VOLUME = 0.0  # nobody waits for volume here: market impact is at its worst


def liquidate(execution: Execution, first: Book) -> None:
    """Liquidate every contract settled in the currency of `first`, beginning with it."""
    currency = first.instrument.settle
    holders = sorted(execution.account.holders(currency), key=lambda book: book is not first)
    for book in execution.account.contracts(currency):
        while book.orders:
            execution.cancel(book, next(iter(book.orders.values())), Reason.LIQUIDATION)
    for book in holders:
        _close(execution, book)
    missing = -execution.account.balance(currency)
    if missing > 0:
        execution.account.add(currency, missing)
        change_id = f"insurance-{execution.next_trade_number}"  # trades preceded it, so no other has this number
        execution.report_activity(BalanceChanged(change_id, currency, missing, Reason.INSURANCE_FUND, execution.now))


def _close(execution: Execution, book: Book) -> None:
    """The link id is made of the trade's number, which no other trade of the account has."""
    side = Side.SELL if book.quantity > 0 else Side.BUY
    quantity = abs(book.quantity)
    link_id = f"liq-{execution.next_trade_number}"
    terms = OrderTerms(book.instrument.symbol, side, OrderType.MARKET, quantity, reduce_only=True)
    number = execution.take_number()
    order = BookOrder(link_id, terms, number, quantity, None, None, OrderRole.LIQUIDATION, has_arrived=True)
    execution.admit(book, order)
    execution.reports.append(
        ChildOpened(link_id, "", exchange_order_id(link_id), OrderRole.LIQUIDATION, terms, execution.now),
    )
    seen = book.price_for(order)
    if seen is None:
        seen = nearest_to(book.cost / book.quantity, book.instrument.tick_size)
    price = execution.taking_price(book, order, seen, quantity, _NO_VOLUME)
    execution.trade(book, order, quantity, price, Liquidity.TAKER, FillCause.LIQUIDATION)
    assert book.quantity == ZERO, f"{book.instrument.symbol} was not closed"
