"""Owns what a venue's reports establish. A report is a claim; what it changes is an event, and each claim counts once.

Reports may come twice, late or out of order. News that the order's state already implies is dropped; a fill is a fact
whatever the order's state; what contradicts our records is an anomaly, named so that a person looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from quarterdeck.domain import report as r
from quarterdeck.domain.amounts import ZERO, plain
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.ledger import fill_postings
from quarterdeck.domain.market import MINUTE, Side
from quarterdeck.domain.order import (
    CLOSED_STATES,
    TRANSITIONS,
    Order,
    OrderRole,
    OrderState,
    OrderTerms,
    OrderType,
    state_after_fill,
)
from quarterdeck.domain.position import Position, changes_by_fill, position_adjusted
from quarterdeck.domain.venue import unnamed_link
from quarterdeck.engine import events as e
from quarterdeck.engine.orders import STEM_LENGTH, WITHOUT_LINK, request_cancel
from quarterdeck.engine.state import BY_HAND, State
from quarterdeck.engine.turn import Turn

#: What orders are called that are one trade each.
_OF_TRADES = f"{WITHOUT_LINK}trade-"


def apply_report(turn: Turn, report: r.Report) -> None:
    """Turn one report into events."""
    _APPLY[type(report)](turn, report)


_OfOrder = r.Acked | r.Opened | r.Rejected | r.Unknown | r.NotSent | r.Absent | r.Canceled | r.Expired


#: News that may come after better news: an answer overtaken by a fill, a timeout of a request that was taken after all.
_SURPASSED = frozenset({OrderState.ACKED, OrderState.OPEN, OrderState.UNKNOWN})

#: States that say there can be no fill. One that comes is booked all the same, and somebody has to look.
_NEVER_FILLS = frozenset({OrderState.PREPARED, OrderState.REJECTED, OrderState.NOT_SENT, OrderState.ABSENT})

#: How long after an order's end a trade of it may have been made: reports overtake one another, and clocks differ.
LATE = MINUTE


def _known(turn: Turn, link_id: str, report: object) -> Order | None:
    """Our order that a report is about. Of an order of somebody else's that we don't know it tells nothing."""
    order = turn.state.order_by_link(link_id)
    if order is None and turn.ids.read(link_id) is not None:
        turn.anomalies.append(f"{type(report).__name__} for an order of ours that the journal does not know: {link_id}")
    return order


def _move(turn: Turn, report: _OfOrder, wanted: OrderState, event: Callable[[Order], e.Event]) -> None:
    """Record a move of the order if the table allows it; drop it when the order is past it."""
    order = _known(turn, report.link_id, report)
    if order is None or wanted is order.state:
        return
    if wanted in TRANSITIONS[order.state]:
        turn.emit(event(order), order.correlation_id, order.last_sequence)
    elif order.state is OrderState.PREPARED or (order.is_open and wanted not in _SURPASSED):
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
    if order is None or not order.is_open:
        return
    if report.quantity is not None and report.quantity < order.filled_quantity:
        return  # it has grown since: no venue makes an order smaller than what was filled
    event = e.OrderAmended(order.order_id, report.quantity, report.limit_price, report.trigger_price)
    if order.terms.amended(event.quantity, event.limit_price, event.trigger_price) == order.terms:
        return
    turn.emit(event, order.correlation_id, order.last_sequence)
    if order.filled_quantity == order.terms.quantity:  # fills won the race: nothing more of it will come
        ended = e.OrderCanceled(order.order_id, order.filled_quantity, "changed to no more than was filled")
        turn.emit(ended, order.correlation_id, order.last_sequence)


def _amend_rejected(turn: Turn, report: r.AmendRejected) -> None:
    order = _known(turn, report.link_id, report)
    if order is not None:
        turn.emit(e.OrderAmendRejected(order.order_id, report.reason), order.correlation_id, order.last_sequence)


def _filled(turn: Turn, report: r.Filled) -> None:
    state = turn.state
    if trade_link(report) in state.links:  # booked when its order was not known yet
        return
    order = state.order_by_link(report.link_id) or _by_venue_id(state, report)
    if order is not None and report.trade_id in state.trades.get(order.order_id, ()):
        return
    instrument = turn.instruments.get(report.symbol)
    if instrument is None or not (report.quantity > 0 and report.price > 0):
        turn.anomalies.append(f"trade {report.trade_id} is none that can be booked: {_described(report)}")
        return
    if order is None:
        order = _adopt_trade(turn, report)
    elif (report.symbol, report.side) != (order.terms.symbol, order.terms.side):
        what = _described(report)
        turn.anomalies.append(f"trade {report.trade_id} is none that order {order.order_id} can make: {what}")
        return
    turn.anomalies += _contradicted(turn, order, report)
    if order.state is OrderState.PREPARED:  # then it did leave, and must not leave again
        turn.emit(e.OrderSent(order.order_id, order.attempts + 1), order.correlation_id, order.last_sequence)
    share = state.share(report.symbol, order.bot_id)
    held = state.positions.get(report.symbol) or Position(report.symbol)
    in_kind = report.fee if instrument.takes_in_kind(report.fee_currency) else ZERO
    change = report.quantity - report.side.sign * in_kind
    own, after = changes_by_fill(share, held, report.side, change, report.price)
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
            own.realized_pnl,
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
                after.realized_pnl,
            ),
            order.bot_id,
            in_kind,
        ),
        order.correlation_id,
        order.last_sequence,
    )
    if report.side is Side.SELL:
        _write_off_crumbs(turn, instrument, order.bot_id)
    if order.role is not OrderRole.ENTRY:
        _retire_reducers(turn, report.symbol, order.bot_id)


def _write_off_crumbs(turn: Turn, instrument: Instrument, owner: str) -> None:
    """What a sale leaves of a pair is no position any more if it can't be sold: money it stays."""
    share = turn.state.share(instrument.symbol, owner)
    if not instrument.is_crumbs(share.quantity):
        return
    whole = turn.state.positions[instrument.symbol]
    after = position_adjusted(whole.quantity, whole.cost, -share.quantity, ZERO)
    average = after.cost / after.quantity if after.quantity else None
    sequence = turn.state.sequence
    turn.emit(
        e.PositionAdjusted(
            f"crumbs-{sequence}",
            instrument.symbol,
            owner,
            -share.quantity,
            ZERO,
            after.quantity,
            average,
            f"{plain(share.quantity)} {instrument.base} is too little to be sold",
        ),
        cause=sequence,
    )


def _contradicted(turn: Turn, order: Order, report: r.Filled) -> Iterator[str]:
    """What we were told of an order that a trade of it contradicts. It is booked all the same."""
    name, trade = order.order_id, report.trade_id
    is_ours = order.role is not OrderRole.EXTERNAL
    if is_ours and order.filled_quantity + report.quantity > order.terms.quantity:
        yield f"order {name} was filled beyond its quantity by trade {trade}"
    if order.state in _NEVER_FILLS:
        yield f"order {name} is {order.state} and was filled by trade {trade}"
    elif is_ours and order.state in CLOSED_STATES and min(turn.time, report.time) > order.update_time + LATE:
        yield f"order {name} had long ended, {order.state}, when trade {trade} of it was made"


def _described(report: r.Filled) -> str:
    return f"{report.side} {report.quantity} {report.symbol} at {report.price}"


# ---------------------------------------------------------------- what others did on the account


def order_link(link_id: str, exchange_order_id: str) -> str:
    """What we call an order of somebody else's: by its own link id if it has one."""
    return link_id or unnamed_link(exchange_order_id)


def trade_link(report: r.Filled) -> str:
    """What we call the order of a trade that came before any word of its order."""
    return f"{_OF_TRADES}{report.symbol}-{report.trade_id}"


def _is_of_trade(order: Order) -> bool:
    """Whether an order is one trade, which came before any word of its order."""
    return order.link_id.startswith(_OF_TRADES)


def _by_venue_id(state: State, report: r.Filled) -> Order | None:
    """The order of a trade that does not come under our id of it: somebody else's, or what the venue opened for us.

    An order that was made of one trade of it has no room for another.
    """
    venue_id = report.exchange_order_id
    if not venue_id:
        return None
    whole = (each for each in state.orders_at_venue(venue_id) if not _is_of_trade(each))
    return state.order_by_link(order_link("", venue_id)) or next(whole, None)


def _adopt_trade(turn: Turn, report: r.Filled) -> Order:
    """Book a trade of an order that nobody told us of, as an order of its own that is all filled.

    How large its order is, nobody knows yet; if it goes on working, what is left of it is taken up once we hear of it.
    """
    ours = turn.ids.read(report.link_id)
    parent = turn.state.order_by_link(ours.parent_link_id) if ours else None
    role = OrderRole.LIQUIDATION if report.cause is r.FillCause.LIQUIDATION else OrderRole.EXTERNAL
    if ours is not None and parent is not None:  # protection that opened and traded while nobody heard
        role = ours.role
    elif ours is not None:
        turn.anomalies.append(f"trade {report.trade_id} is of an order of ours that is not known: {report.link_id}")
    terms = OrderTerms(report.symbol, report.side, OrderType.MARKET, report.quantity)
    return adopt(turn, trade_link(report), report.exchange_order_id, terms, role, parent)


def adopt(
    turn: Turn, link: str, exchange_order_id: str, terms: OrderTerms, role: OrderRole, parent: Order | None = None
) -> Order:
    """Take up an order that is not from here.

    It is its parent's owner's; without one its owner's whose share it closes, else nobody's in particular.
    """
    state = turn.state
    order_id = state.free_order_id(f"{role.lower().replace('_', '-')}-{state.sequence + 1}")
    owner, of = (parent.bot_id, parent.order_id) if parent else (_closes_share_of(state, terms), "")
    turn.emit(e.OrderAdopted(order_id, link, terms, role, owner, of, exchange_order_id), order_id)
    return state.open_orders[order_id]


def _closes_share_of(state: State, terms: OrderTerms) -> str:
    """Whose position an order closes that came from nobody here; BY_HAND if it is not one owner's alone."""
    owners = [
        owner
        for owner, share in state.shares.get(terms.symbol, {}).items()
        if share.quantity and (share.quantity > 0) != (terms.side is Side.BUY)
    ]
    return owners[0] if len(owners) == 1 else BY_HAND


def _retire_reducers(turn: Turn, symbol: str, bot_id: str) -> None:
    """Cancel what would close a share that is flat, while others still hold the instrument: it would close theirs.

    When the whole position is flat the venue cancels what only reduces by itself.
    """
    state = turn.state
    if state.share(symbol, bot_id).quantity or not state.positions[symbol].quantity:
        return
    for order in list(state.orders_of(symbol, bot_id)):
        if order.role is not OrderRole.ENTRY:
            request_cancel(turn, order)


def _child_opened(turn: Turn, report: r.ChildOpened) -> None:
    state = turn.state
    parent = state.order_by_link(report.parent_link_id) if report.parent_link_id else None
    known = state.order_by_link(report.link_id)
    terms = _left_of(turn, report)
    if terms is None or (known is not None and (not known.is_open or known.terms == terms)):
        return
    if parent is None and report.role is not OrderRole.LIQUIDATION:
        is_ours = turn.ids.read(report.link_id) is not None
        if is_ours:
            turn.anomalies.append(f"an order of ours works that the journal does not know: {report.link_id}")
        link = order_link(report.link_id, report.exchange_order_id)
        if turn.state.order_by_link(link) is None:
            role = report.role if is_ours else OrderRole.EXTERNAL
            adopt(turn, link, report.exchange_order_id, terms, role)
        return
    order_id = _child_id(state, report, parent) if known is None else known.order_id
    turn.emit(
        e.OrderAdopted(
            order_id,
            report.link_id,
            terms,
            report.role,
            parent.bot_id if parent else _closes_share_of(state, terms),
            parent.order_id if parent else "",
            report.exchange_order_id,
        ),
        parent.correlation_id if parent else order_id,
        parent.last_sequence if parent else 0,
    )


def _left_of(turn: Turn, report: r.ChildOpened) -> OrderTerms | None:
    """An order's terms without its trades that came first and were booked by themselves; None if that was all of it."""
    venue_id = report.exchange_order_id
    recent = turn.state.ended_since(turn.time - LATE) if venue_id else ()
    traded = sum(
        (each.filled_quantity for each in recent if each.exchange_order_id == venue_id and _is_of_trade(each)), ZERO
    )
    left = report.terms.quantity - traded
    return replace(report.terms, quantity=left) if left > 0 else None


def _child_id(state: State, report: r.ChildOpened, parent: Order | None) -> str:
    if parent is None:
        return state.free_order_id(report.link_id.lower())
    suffix = "sl" if report.role is OrderRole.STOP_LOSS else "tp"
    return state.free_order_id(f"{parent.order_id[:STEM_LENGTH]}-{suffix}")


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
    if report.change_id not in turn.state.change_ids:
        wallet = turn.state.ledger.wallet(report.currency) + report.amount
        turn.emit(e.BalanceAdjusted(report.currency, report.amount, wallet, report.reason, report.change_id))


def _no_fact(_turn: Turn, _report: r.Report) -> None:
    """Whether the venue can be heard is for the shell to see to; it is no fact of the account."""


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
    r.StreamDown: _no_fact,
    r.StreamUp: _no_fact,
}
