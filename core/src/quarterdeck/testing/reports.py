"""Owns a reader of an exchange's reports that takes nothing on trust: it keeps its own books and checks every claim.

What an exchange says of its orders has to fit the table of legal moves, the terms that were asked for and the
instrument's filters; positions and balances then follow from the fills alone, and can be compared with the exchange's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import assert_never

from quarterdeck.domain.amounts import ZERO, is_multiple
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.ledger import Book, Ledger, fill_postings, move
from quarterdeck.domain.order import (
    CONDITIONAL_TYPES,
    Order,
    OrderRole,
    OrderState,
    OrderTerms,
    OrderType,
    check_transition,
    state_after_fill,
)
from quarterdeck.domain.position import Position
from quarterdeck.domain.report import (
    Absent,
    Acked,
    Amended,
    AmendRejected,
    BalanceChanged,
    Canceled,
    CancelRejected,
    ChildOpened,
    Expired,
    Filled,
    FundingSettled,
    NotSent,
    Opened,
    Rejected,
    Report,
    StreamDown,
    StreamUp,
    Triggered,
    Unknown,
)
from quarterdeck.domain.venue import Activity

_STATES: Mapping[type[Report], OrderState] = {
    Opened: OrderState.OPEN,
    Unknown: OrderState.UNKNOWN,
    NotSent: OrderState.NOT_SENT,
    Absent: OrderState.ABSENT,
    Rejected: OrderState.REJECTED,
    Canceled: OrderState.CANCELED,
    Expired: OrderState.EXPIRED,
}


class ReportReader:
    """Folds reports into orders, positions and a ledger. Each method fails an assertion that names what is wrong."""

    def __init__(self, instruments: Iterable[Instrument], balances: Mapping[str, Decimal]) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.orders: dict[str, Order] = {}
        self.positions: dict[str, Position] = {}
        self.fills: list[Filled] = []
        self.ledger = Ledger()
        self._trade_ids: set[str] = set()
        self._funding_ids: set[str] = set()
        self._change_ids: set[str] = set()
        self.activity: list[Activity] = []
        for currency, amount in balances.items():
            self.ledger.post(move(Book.TRANSFERS, currency, amount))

    def sent(self, link_id: str, terms: OrderTerms) -> None:
        """An order has been sent; what is reported of it from now on is checked against these terms."""
        assert link_id not in self.orders, f"{link_id} is used twice"
        self.orders[link_id] = Order(link_id, link_id, terms, OrderRole.ENTRY, 0, state=OrderState.SENT)

    def read(self, report: Report) -> None:
        """Take one report in."""
        match report:
            case Acked():
                if self._order(report.link_id).state is OrderState.SENT:
                    self._move(report.link_id, OrderState.ACKED)
            case Opened() | Unknown() | NotSent() | Absent():
                self._move(report.link_id, _STATES[type(report)])
            case Rejected() | Canceled() | Expired():
                assert report.reason, f"{report}: no reason"
                self._move(report.link_id, _STATES[type(report)])
            case Triggered():
                self._trigger(report)
            case Filled():
                self._fill(report)
            case Amended():
                self._amend(report)
            case CancelRejected() | AmendRejected():
                assert report.reason, f"{report}: no reason"
            case ChildOpened():
                self._open_child(report)
            case FundingSettled():
                self._fund(report)
            case BalanceChanged():
                self._change_balance(report)
            case StreamDown() | StreamUp():
                pass  # what was missed meanwhile is found by asking
            case _:
                assert_never(report)

    def quantity(self, symbol: str) -> Decimal:
        """The signed position its fills add up to."""
        position = self.positions.get(symbol)
        return ZERO if position is None else position.quantity

    def _order(self, link_id: str) -> Order:
        assert link_id in self.orders, f"a report of {link_id}, which nobody placed"
        return self.orders[link_id]

    def _move(self, link_id: str, state: OrderState) -> None:
        order = self._order(link_id)
        check_transition(order, state)
        order.state = state

    def _trigger(self, report: Triggered) -> None:
        order = self._order(report.link_id)
        assert order.is_open, f"{report.link_id} was triggered after it had ended"
        assert order.terms.type in CONDITIONAL_TYPES, f"{report.link_id} has no trigger"
        assert not order.triggered, f"{report.link_id} was triggered twice"
        order.triggered = True

    def _fill(self, fill: Filled) -> None:
        order, instrument = self._order(fill.link_id), self.instruments[fill.symbol]
        terms = order.terms
        assert fill.trade_id not in self._trade_ids, f"trade {fill.trade_id} was reported twice"
        assert (fill.symbol, fill.side) == (terms.symbol, terms.side), f"{fill} is not what {terms} asked for"
        assert fill.quantity > 0, f"{fill}: a trade of nothing"
        assert is_multiple(fill.quantity, instrument.lot_size), f"{fill}: quantity is not on the lot"
        assert fill.price > 0, f"{fill}: traded for nothing"
        assert is_multiple(fill.price, instrument.tick_size), f"{fill}: price is not on the tick"
        assert order.filled_quantity + fill.quantity <= terms.quantity, f"{fill}: more than {terms.quantity}"
        if terms.limit_price is not None:
            assert (terms.limit_price - fill.price) * fill.side.sign >= 0, f"{fill}: worse than {terms.limit_price}"
        if terms.type in CONDITIONAL_TYPES:
            assert order.triggered, f"{fill}: traded before it was triggered"
        if terms.reduce_only:
            closable = -fill.side.sign * self.quantity(fill.symbol)
            assert fill.quantity <= closable, f"{fill}: reduce-only, but only {closable} could be reduced"
        state = state_after_fill(order, fill.quantity)
        check_transition(order, state)
        order.state = state
        order.filled_quantity += fill.quantity
        order.cost += fill.quantity * fill.price
        order.fees += fill.fee
        position = self.positions.setdefault(fill.symbol, Position(fill.symbol))
        realized = position.apply(fill.side, fill.quantity, fill.price, fill.fee, fill.time)
        self.ledger.post(
            fill_postings(instrument, fill.side, fill.quantity, fill.price, fill.fee, fill.fee_currency, realized),
        )
        self._trade_ids.add(fill.trade_id)
        self.fills.append(fill)
        self.activity.append(fill)

    def _amend(self, report: Amended) -> None:
        order = self._order(report.link_id)
        assert order.is_open, f"{report.link_id} was amended after it had ended"
        changes = {
            name: value
            for name in ("quantity", "limit_price", "trigger_price")
            if (value := getattr(report, name)) is not None
        }
        assert changes, f"{report.link_id} was amended in nothing"
        order.terms = replace(order.terms, **changes)
        assert order.terms.quantity > order.filled_quantity, f"{report}: nothing is left of it"

    def _open_child(self, report: ChildOpened) -> None:
        assert report.terms.reduce_only, f"{report}: the venue may not open positions by itself"
        known = self.orders.get(report.link_id)
        if known is not None:
            assert known.is_open, f"{report}: it had ended"
            grown = replace(known.terms, quantity=report.terms.quantity)
            assert report.terms == grown, f"{report}: opened again as something else"
            known.terms = grown
            return
        if report.role is OrderRole.LIQUIDATION:
            assert report.terms.type is OrderType.MARKET, f"{report}: a liquidation waits for no price"
        else:
            assert report.role in (OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT), f"{report}: not a child's role"
            parent = self._order(report.parent_link_id)
            assert report.terms.side is parent.terms.side.opposite, f"{report}: it does not protect"
            assert report.terms.quantity <= parent.filled_quantity, f"{report}: covers more than was filled"
        self.orders[report.link_id] = Order(
            report.link_id,
            report.link_id,
            report.terms,
            report.role,
            report.time,
            parent_id=report.parent_link_id,
            state=OrderState.OPEN,
            triggered=report.terms.type not in CONDITIONAL_TYPES,
        )

    def _fund(self, report: FundingSettled) -> None:
        assert report.funding_id not in self._funding_ids, f"funding {report.funding_id} was reported twice"
        quantity = self.quantity(report.symbol)
        assert report.position_quantity == quantity, f"{report}: the position is {quantity}"
        self._funding_ids.add(report.funding_id)
        self.activity.append(report)
        self.ledger.post(move(Book.FUNDING, self.instruments[report.symbol].settle, report.amount))

    def _change_balance(self, report: BalanceChanged) -> None:
        assert report.change_id, f"{report}: no id, so nobody could tell it from another"
        assert report.change_id not in self._change_ids, f"change {report.change_id} was reported twice"
        self._change_ids.add(report.change_id)
        self.activity.append(report)
        self.ledger.post(move(Book.TRANSFERS, report.currency, report.amount))
