"""Owns what a venue's reports establish. A report is a claim; what it changes is an event, and each claim counts once.

Reports may come twice, late or out of order. News that the order's state already implies is dropped; a fill is a fact
whatever the order's state; what contradicts our records is an anomaly, named so that a person looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quarterdeck.domain import report as r
from quarterdeck.domain.ledger import fill_postings
from quarterdeck.domain.order import TRANSITIONS, Order, OrderRole, OrderState, state_after_fill
from quarterdeck.domain.position import Position, position_after
from quarterdeck.engine import events as e
from quarterdeck.engine.orders import request_cancel
from quarterdeck.engine.state import BY_HAND
from quarterdeck.engine.turn import Turn


def apply_report(turn: Turn, report: r.Report) -> None:
    """Turn one report into events."""
    _APPLY[type(report)](turn, report)


_OfOrder = r.Acked | r.Opened | r.Rejected | r.Unknown | r.NotSent | r.Absent | r.Canceled | r.Expired


def _known(turn: Turn, link_id: str, report: object) -> Order | None:
    order = turn.state.order_by_link(link_id)
    if order is None:
        turn.anomalies.append(f"{type(report).__name__} for an order nobody here placed: {link_id}")
    return order


def _move(turn: Turn, report: _OfOrder, wanted: OrderState, event: Callable[[Order], e.Event]) -> None:
    """Record a move of the order if the table allows it; drop it when the order is past it."""
    order = _known(turn, report.link_id, report)
    if order is None or wanted is order.state:
        return
    if wanted in TRANSITIONS[order.state]:
        turn.emit(event(order), order.correlation_id, order.last_sequence)
    elif order.is_open and wanted not in (OrderState.ACKED, OrderState.OPEN):
        turn.anomalies.append(f"order {order.order_id} is {order.state} and was reported {wanted}")


def _acked(turn: Turn, report: r.Acked) -> None:
    _move(turn, report, OrderState.ACKED, lambda o: e.OrderAcked(o.order_id, report.exchange_order_id))


def _opened(turn: Turn, report: r.Opened) -> None:
    _move(turn, report, OrderState.OPEN, lambda o: e.OrderOpened(o.order_id, report.exchange_order_id))


def _rejected(turn: Turn, report: r.Rejected) -> None:
    _move(turn, report, OrderState.REJECTED, lambda o: e.OrderRejected(o.order_id, report.reason))


def _unknown(turn: Turn, report: r.Unknown) -> None:
    _move(turn, report, OrderState.UNKNOWN, lambda o: e.OrderUnknown(o.order_id, report.detail))


def _not_sent(turn: Turn, report: r.NotSent) -> None:
    _move(turn, report, OrderState.NOT_SENT, lambda o: e.OrderNotSent(o.order_id, report.detail))


def _absent(turn: Turn, report: r.Absent) -> None:
    _move(turn, report, OrderState.ABSENT, lambda o: e.OrderAbsent(o.order_id, report.detail))


def _canceled(turn: Turn, report: r.Canceled) -> None:
    _move(turn, report, OrderState.CANCELED, lambda o: e.OrderCanceled(o.order_id, o.filled_quantity, report.reason))


def _expired(turn: Turn, report: r.Expired) -> None:
    _move(turn, report, OrderState.EXPIRED, lambda o: e.OrderExpired(o.order_id, o.filled_quantity, report.reason))


def _triggered(turn: Turn, report: r.Triggered) -> None:
    order = _known(turn, report.link_id, report)
    if order is not None and order.is_open and not order.triggered:
        turn.emit(e.OrderTriggered(order.order_id), order.correlation_id, order.last_sequence)


def _cancel_rejected(turn: Turn, report: r.CancelRejected) -> None:
    order = _known(turn, report.link_id, report)
    if order is not None and order.cancel_requested and order.is_open:
        turn.emit(e.OrderCancelRejected(order.order_id, report.reason), order.correlation_id, order.last_sequence)


def _amended(turn: Turn, report: r.Amended) -> None:
    order = _known(turn, report.link_id, report)
    if order is not None and order.is_open:
        event = e.OrderAmended(order.order_id, report.quantity, report.limit_price, report.trigger_price)
        turn.emit(event, order.correlation_id, order.last_sequence)


def _amend_rejected(turn: Turn, report: r.AmendRejected) -> None:
    order = _known(turn, report.link_id, report)
    if order is not None:
        turn.emit(e.OrderAmendRejected(order.order_id, report.reason), order.correlation_id, order.last_sequence)


def _filled(turn: Turn, report: r.Filled) -> None:
    order = _known(turn, report.link_id, report)
    state = turn.state
    if order is None or report.trade_id in state.trades.get(order.order_id, ()):
        return
    instrument = turn.instruments.get(report.symbol)
    if instrument is None:
        turn.anomalies.append(f"trade {report.trade_id} is in {report.symbol}, which the venue does not list")
        return
    if order.filled_quantity + report.quantity > order.terms.quantity:
        turn.anomalies.append(f"order {order.order_id} was filled beyond its quantity by trade {report.trade_id}")
    share = state.share(report.symbol, order.bot_id)
    realized = position_after(share.quantity, share.cost, report.side, report.quantity, report.price).realized_pnl
    held = state.positions.get(report.symbol) or Position(report.symbol)
    after = position_after(held.quantity, held.cost, report.side, report.quantity, report.price)
    turn.emit(
        e.OrderFilled(
            order.order_id,
            report.trade_id,
            report.symbol,
            report.side,
            report.quantity,
            report.price,
            report.fee,
            report.fee_currency,
            report.liquidity,
            report.cause,
            realized,
            report.time,
            state_after_fill(order, report.quantity),
            order.filled_quantity + report.quantity,
            after.quantity,
            after.cost / after.quantity if after.quantity else None,
            fill_postings(
                instrument,
                report.side,
                report.quantity,
                report.price,
                report.fee,
                report.fee_currency,
                realized,
            ),
        ),
        order.correlation_id,
        order.last_sequence,
    )
    if order.role is not OrderRole.ENTRY:
        _retire_protection(turn, report.symbol, order.bot_id)


def _retire_protection(turn: Turn, symbol: str, bot_id: str) -> None:
    """Cancel the protection of a share that is flat while others still hold the instrument.

    When the whole position is flat the venue cancels its protection itself.
    """
    state = turn.state
    if state.share(symbol, bot_id).quantity or not state.positions.get(symbol, Position(symbol)).quantity:
        return
    for order in list(state.orders_of(symbol, bot_id)):
        if order.role in (OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT):
            request_cancel(turn, order)


def _child_opened(turn: Turn, report: r.ChildOpened) -> None:
    state = turn.state
    parent = state.order_by_link(report.parent_link_id) if report.parent_link_id else None
    known = state.order_by_link(report.link_id)
    if known is not None and (not known.is_open or known.terms == report.terms):
        return
    if parent is None and report.role is not OrderRole.LIQUIDATION:
        turn.anomalies.append(f"the venue opened an order for one nobody here placed: {report.link_id}")
        return
    suffix = "sl" if report.role is OrderRole.STOP_LOSS else "tp"
    order_id = report.link_id.lower() if parent is None else f"{parent.order_id}-{suffix}"
    turn.emit(
        e.OrderAdopted(
            order_id,
            report.link_id,
            report.terms,
            report.role,
            parent.bot_id if parent else BY_HAND,
            parent.order_id if parent else "",
            report.exchange_order_id,
        ),
        parent.correlation_id if parent else order_id,
        parent.last_sequence if parent else 0,
    )


def _funding(turn: Turn, report: r.FundingSettled) -> None:
    if report.funding_id not in turn.state.funding_ids:
        turn.emit(
            e.FundingPaid(
                report.funding_id,
                report.symbol,
                report.amount,
                report.rate,
                report.position_quantity,
                report.time,
            ),
            report.funding_id,
        )


def _balance(turn: Turn, report: r.BalanceChanged) -> None:
    wallet = turn.state.ledger.wallet(report.currency) + report.amount
    turn.emit(e.BalanceAdjusted(report.currency, report.amount, wallet, report.reason))


_APPLY: dict[type[Any], Callable[[Turn, Any], None]] = {
    r.Acked: _acked,
    r.Opened: _opened,
    r.Rejected: _rejected,
    r.Unknown: _unknown,
    r.NotSent: _not_sent,
    r.Absent: _absent,
    r.Triggered: _triggered,
    r.Filled: _filled,
    r.Canceled: _canceled,
    r.Expired: _expired,
    r.CancelRejected: _cancel_rejected,
    r.Amended: _amended,
    r.AmendRejected: _amend_rejected,
    r.ChildOpened: _child_opened,
    r.FundingSettled: _funding,
    r.BalanceChanged: _balance,
}
