"""Owns agreeing with the venue: one look at all it holds goes in, and what the journal lacks comes out as events.

The venue is right about what happened, and its word is taken as it comes: trades and money first, each once; then its
orders, whose state only ever moves forward; then what is left over. What its history explains is booked at once. What
it does not explain may only be late, so it is booked when the venue has said the same twice (`adjust`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b

from quarterdeck.domain import report as r
from quarterdeck.domain.amounts import ZERO, settle
from quarterdeck.domain.instrument import InstrumentKind
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderType
from quarterdeck.domain.position import position_adjusted
from quarterdeck.domain.venue import VenueOrder, VenuePosition
from quarterdeck.engine import events as e
from quarterdeck.engine.inputs import Agreement, Reconcile
from quarterdeck.engine.orders import cancel_at_venue, request_cancel
from quarterdeck.engine.reports import adopt, apply_report, order_link
from quarterdeck.engine.state import BY_HAND
from quarterdeck.engine.turn import Turn

#: Orders that nobody at the venue can know of yet.
_HERE_ONLY = frozenset({OrderState.PREPARED, OrderState.SENT})

#: How an order ends that never worked at the venue.
_NEVER_WORKED = frozenset({OrderState.NOT_SENT, OrderState.ABSENT, OrderState.REJECTED})


def reconcile(turn: Turn, item: Reconcile) -> Agreement:
    """Take in one look at the venue, and say what still differs and which orders it has to be asked about."""
    state, snapshot = turn.state, item.snapshot
    if state.moves != item.moves:  # something happened since that the snapshot does not show
        return Agreement(is_overtaken=True)
    is_new = not state.moves
    for activity in snapshot.activity:
        apply_report(turn, activity)
    booked = state.moves - item.moves
    differences: list[str] = []
    for shown in snapshot.orders:
        differences += _take_order(turn, shown, item)
    asked: list[str] = []
    for order in _missing(turn, item):
        if order.role is not OrderRole.EXTERNAL:
            asked.append(order.link_id)  # being missing is no end: the venue is asked about it
        elif item.adjust:
            apply_report(turn, r.Canceled(order.link_id, "it works no more at the venue", snapshot.time))
        else:
            differences.append(f"order {order.order_id}: {order.state} here, not at the venue")
    for symbol, venue in _positions(turn, snapshot.positions):
        differences += _take_position(turn, symbol, venue, item, is_new=is_new)
    confirmed: list[str] = []
    for currency in sorted(snapshot.balances.keys() | state.ledger.totals.keys()):
        found = list(_take_balance(turn, currency, snapshot.balances.get(currency, ZERO), item))
        differences += found
        confirmed += [] if found else [currency]
    return Agreement(tuple(differences), tuple(asked), booked, state.moves - item.moves - booked, tuple(confirmed))


# ---------------------------------------------------------------- orders


def _take_order(turn: Turn, shown: VenueOrder, item: Reconcile) -> Iterator[str]:
    """Take in an order that works at the venue; yields what differs."""
    link = order_link(shown.link_id, shown.exchange_order_id)
    order = turn.state.order_by_link(link)
    if order is None:
        _take_up(turn, shown, link, item)
    elif order.is_open:
        yield from _advance(turn, order, shown, item)
    elif order.update_time < item.snapshot.time:  # else it has ended since
        yield f"order {order.order_id}: {order.state} here, working at the venue"
        if order.state in _NEVER_WORKED:
            turn.effects.append(cancel_at_venue(order))


def _take_up(turn: Turn, shown: VenueOrder, link: str, item: Reconcile) -> None:
    """An order that is not from here: somebody else's, or our own of a journal that was lost.

    Of its quantity only what is left counts here: its trades so far are booked apart.
    """
    terms = replace(shown.terms, quantity=shown.terms.quantity - shown.filled_quantity)
    if terms.quantity <= 0:
        return
    ours = turn.ids.read(shown.link_id)
    if ours is None:
        adopt(turn, link, shown.exchange_order_id, terms, OrderRole.EXTERNAL)
        return
    if turn.state.order_by_link(ours.parent_link_id) is not None:  # the venue opened it while nobody heard
        opened = r.ChildOpened(link, ours.parent_link_id, shown.exchange_order_id, ours.role, terms, item.snapshot.time)
        apply_report(turn, opened)
        return
    turn.anomalies.append(f"an order of ours works at the venue that the journal does not know: {link}")
    order = adopt(turn, link, shown.exchange_order_id, terms, ours.role)
    if order.role is OrderRole.ENTRY:
        request_cancel(turn, order)


def _advance(turn: Turn, order: Order, shown: VenueOrder, item: Reconcile) -> Iterator[str]:
    """Bring an open order to where the venue has it."""
    time = item.snapshot.time
    if order.state is OrderState.PREPARED:
        yield f"order {order.order_id}: not sent here, working at the venue"
        return
    if shown.state is OrderState.ACKED:
        apply_report(turn, r.Acked(order.link_id, shown.exchange_order_id, time))
    elif order.state not in (OrderState.OPEN, OrderState.PARTIALLY_FILLED):
        apply_report(turn, r.Opened(order.link_id, shown.exchange_order_id, time))
    if shown.triggered:
        apply_report(turn, r.Triggered(order.link_id, time))
    if order.cancel_requested:  # asked before, and it works: the wish was lost
        turn.effects.append(cancel_at_venue(order))
    if order.update_time < time:
        yield from _take_terms(turn, order, shown, item)


def _take_terms(turn: Turn, order: Order, shown: VenueOrder, item: Reconcile) -> Iterator[str]:
    """What the venue changed, or was asked to change and did."""
    ours, theirs = order.terms, shown.terms
    left = theirs.quantity - shown.filled_quantity
    changes: dict[str, Decimal] = {}
    if left != order.leaves_quantity:
        changes["quantity"] = order.filled_quantity + left
    if theirs.limit_price is not None and theirs.limit_price != ours.limit_price:
        changes["limit_price"] = theirs.limit_price
    if theirs.trigger_price is not None and theirs.trigger_price != ours.trigger_price:
        changes["trigger_price"] = theirs.trigger_price
    if not changes:
        return
    if not item.adjust and ours.type is not OrderType.TRAILING_STOP:
        told = ", ".join(f"{name} {value}" for name, value in changes.items())
        yield f"order {order.order_id}: has {told} at the venue"
        return
    apply_report(turn, r.Amended(order.link_id, item.snapshot.time, **changes))


def _missing(turn: Turn, item: Reconcile) -> Iterator[Order]:
    """Orders that work here and are not among the venue's, whose end nobody has told us."""
    working = {order_link(shown.link_id, shown.exchange_order_id) for shown in item.snapshot.orders}
    for order in list(turn.state.open_orders.values()):
        if order.link_id in working or order.state in _HERE_ONLY or order.update_time >= item.snapshot.time:
            continue
        yield order


# ---------------------------------------------------------------- positions and money


def _positions(turn: Turn, shown: tuple[VenuePosition, ...]) -> Iterator[tuple[str, VenuePosition]]:
    """Every instrument that is held here or at the venue, and what the venue holds of it.

    A pair that the venue does not list is left out: what is held of it is money, and compared as such.
    """
    venue = {position.symbol: position for position in shown}
    for symbol in sorted(venue.keys() | turn.state.positions.keys()):
        instrument = turn.instruments.get(symbol)
        if symbol not in venue and instrument is not None and instrument.kind is InstrumentKind.SPOT:
            continue
        yield symbol, venue.get(symbol) or VenuePosition(symbol, ZERO, ZERO)


def _take_position(turn: Turn, symbol: str, venue: VenuePosition, item: Reconcile, *, is_new: bool) -> Iterator[str]:
    """Where the venue holds another quantity than its trades add up to: say so, or believe it."""
    position = turn.state.positions.get(symbol)
    held = position.quantity if position else ZERO
    if held == venue.quantity:
        return
    found = f"position {symbol}: {held} here, {venue.quantity} at the venue"
    if symbol not in turn.instruments:
        yield f"{found}, and the instrument is not listed"
        return
    if not item.adjust:
        yield found
        return
    since = position.update_time if position else 0
    number = _id("position", symbol, held, venue.quantity, since)
    if not is_new:  # what an account held when it was opened is no surprise
        turn.anomalies.append(found)
    for owner, change in _owners_of(turn, symbol, venue.quantity - held):
        share, whole = turn.state.share(symbol, owner), turn.state.positions.get(symbol)
        price = settle(venue.average_price or share.average_price or ZERO)
        before = (whole.quantity, whole.cost) if whole else (ZERO, ZERO)
        after = position_adjusted(*before, change, price)
        average = after.cost / after.quantity if after.quantity else None
        turn.emit(
            e.PositionAdjusted(f"{number}-{owner}", symbol, owner, change, price, after.quantity, average, found),
            number,
        )


def _owners_of(turn: Turn, symbol: str, change: Decimal) -> Iterator[tuple[str, Decimal]]:
    """Whose shares a change takes: what is traded by hand first, then bots' in order; what is new is by hand."""
    left = change
    shares = turn.state.shares.get(symbol, {})
    for owner in sorted(shares, key=lambda each: (each != BY_HAND, each)):
        held = shares[owner].quantity
        if held and (held > 0) != (left > 0):
            part = -held if abs(held) < abs(left) else left
            left -= part
            yield owner, part
            if not left:
                return
    yield BY_HAND, left


def _take_balance(turn: Turn, currency: str, venue: Decimal, item: Reconcile) -> Iterator[str]:
    wallet = turn.state.ledger.wallet(currency)
    if wallet == venue:
        return
    found = f"balance {currency}: {wallet} here, {venue} at the venue"
    if not item.adjust:
        yield found
        return
    number = _id("balance", currency, wallet, venue, turn.state.moves)
    turn.emit(e.BalanceAdjusted(currency, venue - wallet, venue, found, number, unexplained=True), number)


def _id(*facts: object) -> str:
    """An id made of what was found."""
    return blake2b("|".join(map(str, facts)).encode(), digest_size=8).hexdigest()
