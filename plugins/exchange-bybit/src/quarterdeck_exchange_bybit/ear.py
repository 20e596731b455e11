"""Owns understanding the account's stream: every row under the name its order has here, told to the core as reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

import structlog

from quarterdeck.domain.order import CLOSED_STATES, OrderRole, OrderState, OrderTerms
from quarterdeck.domain.report import Amended, BalanceChanged, Filled
from quarterdeck.domain.venue import Activity
from quarterdeck.plugin import Deliver
from quarterdeck_exchange_bybit.codec.executions import Execution, read_execution
from quarterdeck_exchange_bybit.codec.frames import Topic
from quarterdeck_exchange_bybit.codec.listing import LINEAR, Listing
from quarterdeck_exchange_bybit.codec.orders import OrderRow, opened_by_venue, order_reports, read_order
from quarterdeck_exchange_bybit.codec.row import Row
from quarterdeck_exchange_bybit.links import Links
from quarterdeck_exchange_bybit.parts import Parts

log = structlog.get_logger(__name__)

_REMEMBERED = 10_000

#: What Bybit calls executions of protection that was attached to an entry.
_ATTACHED = frozenset({"StopLoss", "TakeProfit", "PartialStopLoss", "PartialTakeProfit"})


def activity_id(activity: Activity) -> str:
    """What makes a move of the account one."""
    if isinstance(activity, Filled):
        return activity.trade_id
    return activity.change_id if isinstance(activity, BalanceChanged) else activity.funding_id


class Ear:
    """Reads rows and hears topics. `suspect` is told when something was said that can't be believed."""

    def __init__(self, listing: Listing, links: Links, suspect: Callable[[str], None]) -> None:
        self.deliver: Deliver = lambda _: None
        self._listing = listing
        self._links = links
        self._suspect = suspect
        self._introduced: dict[str, OrderTerms] = {}
        self._quantities: dict[str, Decimal] = {}
        self._parts = Parts()
        self._told: dict[str, None] = {}
        self._told_late: set[str] = set()
        """Bybit's ids of orders that the core knows by their trades alone."""
        self._awaited: dict[str, float] = {}
        self._heard: dict[str, float] = {}

    # ------------------------------------------------------------ rows

    def is_ours(self, row: Row, category: str) -> bool:
        """Whether a row is about an instrument that is traded here.

        Raises:
            Malformed: it does not say what it is about.
        """
        return self._listing.find(category, row.text("symbol")) is not None

    def order(self, row: Row, category: str) -> OrderRow:
        """An order, under the name it has here."""
        read = read_order(row, self._listing, category)
        link = self._links.learn(read)
        return read if link == read.order.link_id else replace(read, order=replace(read.order, link_id=link))

    def execution(self, row: Row, category: str) -> Execution:
        """An execution, under the name its order has here."""
        read = read_execution(row, self._listing, category)
        if not isinstance(read.report, Filled) or read.takeover is not None:
            return read
        link = self._links.of_order(read.order_id, read.link_id, read.stop_type, read.report.symbol)
        return read if link == read.link_id else replace(read, link_id=link, report=replace(read.report, link_id=link))

    def is_nameless(self, execution: Execution) -> bool:
        """Whether it is of protection that no order row has told of yet: whose it was, an execution does not say."""
        return execution.stop_type in _ATTACHED and not self._links.knows(execution.order_id)

    def learn_late(self, rows: Iterable[Row], category: str) -> None:
        """Take in rows of an order whose trades are told before it was heard of."""
        for row in rows:
            self._told_late.add(self.order(row, category).order.exchange_order_id)

    # ------------------------------------------------------------ what is expected

    def note_quantity(self, link: str, quantity: Decimal) -> None:
        """What an order was placed for: Bybit may cut it down."""
        self._quantities[link] = quantity

    def expect(self, link: str, sent: float) -> None:
        """Bybit has taken what was sent then: the stream has to tell of that order, if it has not been quicker.

        Times by the steady clock.
        """
        if link and self._heard.get(link, 0.0) < sent:  # somebody else's order may have no link
            self._awaited.setdefault(link, sent)

    def overdue(self, before: float) -> str:
        """An order nothing was heard of though it was expected before then; empty if there is none."""
        return next((link for link, since in self._awaited.items() if since < before), "")

    def forget_expectations(self) -> None:
        """A new connection: what was told meanwhile is found by asking."""
        self._awaited.clear()

    def remember(self, activity: str) -> bool:
        """Note that something is known; whether it was not before."""
        is_new = activity not in self._told
        self._told[activity] = None
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return is_new

    # ------------------------------------------------------------ the stream

    def hear(self, topic: Topic) -> None:
        """Take one message of a private topic.

        Positions and wallets follow from fills; where they don't, agreeing with Bybit finds it.
        """
        if topic.kind not in ("order", "execution"):
            return
        for row in topic.message.rows("data"):
            category = row.text_or("category") or LINEAR
            if not self.is_ours(row, category):
                continue
            if topic.kind == "order":
                self._hear_order(self.order(row, category))
            else:
                self._hear_execution(self.execution(row, category))

    def _hear_execution(self, execution: Execution) -> None:
        if self.is_nameless(execution):
            self._suspect(f"a trade of protection that the stream has not told of: {execution.order_id}")
            return
        self.remember(activity_id(execution.report))
        for report in execution.reports:
            self.deliver(report)

    def _hear_order(self, news: OrderRow) -> None:
        link = news.order.link_id
        self._awaited.pop(link, None)
        self._heard[link] = time.monotonic()
        while len(self._heard) > _REMEMBERED:
            del self._heard[next(iter(self._heard))]
        if news.state is None:
            log.error("bybit_unknown_status", status=news.status, order=link)
            self._suspect(f"order status {news.status!r} is not known")
            return
        if news.state in CLOSED_STATES and news.order.exchange_order_id in self._told_late:
            return  # its trades have told all there is to tell
        self._introduce(news)
        if self._links.is_external(link) and news.role is None and link not in self._introduced:
            return  # somebody else's, over before it was heard of: its executions tell all there is to tell
        wanted = self._quantities.get(link)
        if wanted is not None:
            news = self._parts.whole(news, wanted, self._listing[news.order.terms.symbol].max_quantity)
        self._note_cut(news)
        for report in order_reports(news):
            self.deliver(report)

    def _introduce(self, news: OrderRow) -> None:
        """Tell of an order that nobody here placed: once, and again when more of it is covered."""
        link = news.order.link_id
        role = news.role or (OrderRole.EXTERNAL if self._links.is_external(link) else None)
        if role is None or link in self._links.trailing:
            return
        known = self._introduced.get(link)
        is_open = news.state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED)
        if (is_open and known != news.order.terms) or (known is None and role is not OrderRole.EXTERNAL):
            self._introduced[link] = news.order.terms
            self.deliver(opened_by_venue(news, role))

    def _note_cut(self, news: OrderRow) -> None:
        """Bybit cuts a reduce-only order down to the position, and fills it whole without another word."""
        order = news.order
        known = self._quantities.get(order.link_id)
        if known is not None and order.terms.quantity != known and news.state is not OrderState.CANCELED:
            self.deliver(Amended(order.link_id, order.update_time, order.terms.quantity))
        if news.state in CLOSED_STATES:
            self._quantities.pop(order.link_id, None)
            self._introduced.pop(order.link_id, None)
        elif order.link_id in self._quantities:
            self._quantities[order.link_id] = order.terms.quantity
