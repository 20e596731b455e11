"""Owns what happens to an order at the venue: it is taken in, trades, changes and ends, each with its report."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from quarterdeck.domain.amounts import ONE, ZERO, ceil_to, floor_to, settle
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderState
from quarterdeck.domain.report import (
    Amended,
    Canceled,
    Expired,
    FillCause,
    Filled,
    Liquidity,
    Opened,
    Rejected,
    Report,
)
from quarterdeck.domain.venue import Activity
from quarterdeck.matching.account import Account
from quarterdeck.matching.book import Book
from quarterdeck.matching.order import BookOrder, exchange_order_id
from quarterdeck.matching.reasons import Reason
from quarterdeck.matching.settings import VenueSettings

#: What moved the account is remembered this far back.
ACTIVITY_KEPT = 10_000


class Execution:
    """The venue's orders, its account, and the reports it has yet to hand out.

    `now` is the time of what is being worked through; `orders` are all that were ever taken in, open or not, `fills`
    their trades by link id; `activity` is what moved the account of late.
    """

    def __init__(self, books: Mapping[str, Book], account: Account, settings: VenueSettings) -> None:
        self.books = books
        self.account = account
        self.settings = settings
        self.orders: dict[str, BookOrder] = {}
        self.fills: dict[str, list[Filled]] = {}
        self.activity: deque[Activity] = deque(maxlen=ACTIVITY_KEPT)
        self.reports: list[Report] = []
        self.now = 0
        self.next_number = 1
        self.next_trade_number = 1

    def take_number(self) -> int:
        """The next place in time priority."""
        number = self.next_number
        self.next_number += 1
        return number

    def take_reports(self) -> list[Report]:
        """Hand out what has been reported since the last time."""
        reports = self.reports
        self.reports = []
        return reports

    def report_activity(self, activity: Activity) -> None:
        """Report something that moved the account, and remember it."""
        self.activity.append(activity)
        self.reports.append(activity)

    def admit(self, book: Book, order: BookOrder, reserved: Decimal = ZERO) -> None:
        """Take an order in and hold what it needs of the account's means."""
        self.orders[order.link_id] = order
        book.admit(order)
        book.reserve(order, reserved)

    def reserve(self, book: Book, order: BookOrder) -> None:
        """Hold what an order needs of the account's means now."""
        book.reserve(order, reservation(book, order, reference_price(book, order)))

    def open(self, order: BookOrder) -> None:
        """An order works from now on."""
        order.state = OrderState.OPEN
        self.reports.append(Opened(order.link_id, exchange_order_id(order.link_id), self.now))

    def reject(self, book: Book, order: BookOrder, reason: Reason) -> None:
        """End an order that has not traded."""
        self._end(book, order, OrderState.REJECTED)
        self.reports.append(Rejected(order.link_id, reason, self.now))

    def cancel(self, book: Book, order: BookOrder, reason: Reason) -> None:
        """End an order before it is filled."""
        self._end(book, order, OrderState.CANCELED)
        self.reports.append(Canceled(order.link_id, reason, self.now))
        if order.parent_link_id:
            self.end_entry(book, order)

    def expire(self, book: Book, order: BookOrder) -> None:
        """End an order whose time in force does not let it wait."""
        self._end(book, order, OrderState.EXPIRED)
        self.reports.append(Expired(order.link_id, Reason.NOT_FILLED_AT_ONCE, self.now))

    def shrink(self, book: Book, order: BookOrder, leaves: Decimal) -> None:
        """Lower what an order may still fill, to something above zero."""
        order.quantity = order.filled + leaves
        self.reserve(book, order)
        self.reports.append(Amended(order.link_id, self.now, quantity=order.quantity))

    def trade(
        self,
        book: Book,
        order: BookOrder,
        quantity: Decimal,
        price: Decimal,
        liquidity: Liquidity,
        cause: FillCause = FillCause.ORDER,
    ) -> None:
        """Trade some of an order at a price on the tick. The fee is rounded to eight places."""
        instrument = book.instrument
        rate = instrument.maker_fee_rate if liquidity is Liquidity.MAKER else instrument.taker_fee_rate
        terms = order.terms
        currency = self._fee_currency(book, terms.side)
        fee = settle(quantity * rate if instrument.takes_in_kind(currency) else quantity * price * rate)
        self.account.apply_fill(book, terms.side, quantity, price, fee, currency)
        order.filled += quantity
        if order.filled == order.quantity:
            self._end(book, order, OrderState.FILLED)
        else:
            order.state = OrderState.PARTIALLY_FILLED
            self.reserve(book, order)
        fill = Filled(
            order.link_id,
            str(self.next_trade_number),
            terms.symbol,
            terms.side,
            quantity,
            price,
            fee,
            currency,
            liquidity,
            self.now,
            cause,
            exchange_order_id(order.link_id),
        )
        self.next_trade_number += 1
        self.fills.setdefault(order.link_id, []).append(fill)
        self.report_activity(fill)

    def _fee_currency(self, book: Book, side: Side) -> str:
        """Contracts: of their margin. Pairs: of the quote or, where the venue keeps fees in kind, of what is bought."""
        if not book.is_spot:
            return book.instrument.settle
        in_kind = self.settings.fees_in_kind and side is Side.BUY
        return book.instrument.base if in_kind else book.instrument.quote

    def _end(self, book: Book, order: BookOrder, state: OrderState) -> None:
        order.state = state
        order.is_open = False
        book.drop(order)

    def end_entry(self, book: Book, child: BookOrder) -> None:
        """End what is left of the entry that protection belongs to: an entry opens nothing it does not protect."""
        parent = self.orders.get(child.parent_link_id)
        if parent is not None and parent.is_open:
            self.cancel(book, parent, Reason.PROTECTION_ENDED)

    def taking_price(self, book: Book, order: BookOrder, price: Decimal, quantity: Decimal, volume: float) -> Decimal:
        """What taking `quantity` at an observed price costs: on the tick, after slippage, within the order's limit."""
        step = book.instrument.tick_size
        slip = self.settings.slippage.adverse(price, step, quantity, volume)
        limit = order.limit_price
        if order.is_buy:
            worse = ceil_to(price + slip, step)
            return worse if limit is None else min(worse, limit)
        worse = max(step, floor_to(price - slip, step))
        return worse if limit is None else max(worse, limit)


def reference_price(book: Book, order: BookOrder) -> Decimal | None:
    """What an order is expected to trade at: its limit, its trigger, or the current price."""
    return order.limit_price or order.trigger_price or book.price_for(order)


def reservation(book: Book, order: BookOrder, price: Decimal | None) -> Decimal:
    """What an order holds against the account's means: notional, with the fee on spot; the quantity of a spot sale.

    `price` is what it is expected to trade at.
    """
    if order.terms.reduce_only:
        return ZERO
    if book.is_spot and not order.is_buy:
        return order.leaves
    if price is None:
        return ZERO
    notional = order.leaves * price
    return notional * (ONE + max(ZERO, book.instrument.taker_fee_rate)) if book.is_spot else notional
