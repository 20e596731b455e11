"""Owns agreeing with the venue at start: what it holds, what became of orders whose answer we never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quarterdeck.daemon.clock import Clock
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain.order import UNRESOLVED_STATES, Order, OrderState
from quarterdeck.domain.report import Absent, NotSent, Opened
from quarterdeck.domain.venue import VenueAccount, VenueOrder, VenuePosition
from quarterdeck.engine.effects import CancelAtVenue
from quarterdeck.engine.orders import cancel_at_venue
from quarterdeck.engine.state import State
from quarterdeck.plugin.exchange import Exchange


def venue_account(state: State) -> VenueAccount:
    """The account as an embedded venue takes it over: the journal is its memory.

    Orders whose sending was never answered are left out: they went with the process that held the venue.
    """
    return VenueAccount(
        balances={currency: state.ledger.wallet(currency) for currency in state.ledger.totals},
        positions=[
            VenuePosition(symbol, position.quantity, position.cost / position.quantity)
            for symbol, position in state.positions.items()
            if position.quantity
        ],
        orders=[
            VenueOrder(
                order.link_id,
                order.exchange_order_id,
                order.terms,
                order.state,
                order.filled_quantity,
                _parent_link(state, order),
                order.triggered,
            )
            for order in state.open_orders.values()
            if order.state not in UNRESOLVED_STATES
        ],
        next_trade_number=state.fill_count + 1,
    )


async def resolve_unanswered(state: State, exchange: Exchange, loop: Loop, clock: Clock) -> None:
    """Ask the venue about every order whose outcome is not known, and record what it says.

    An order that was only prepared is certain not to have left. One that was sent is asked about, never sent again; if
    the venue can't tell, it stays unknown and blocks its instrument.
    """
    for order in list(state.open_orders.values()):
        if order.state is OrderState.PREPARED:
            loop.post(NotSent(order.link_id, "the daemon ended before it was sent", clock.now()))
        elif order.state in UNRESOLVED_STATES:
            failpoint("resolve.ask")
            found = await exchange.find_order(order.link_id, order.terms.symbol)
            failpoint("resolve.answer")
            if found is None:
                loop.post(Absent(order.link_id, "the venue does not know it", clock.now()))
                continue
            loop.post(Opened(order.link_id, found.exchange_order_id, clock.now()))
            for fill in await exchange.fills(order.link_id, order.terms.symbol):
                loop.post(fill)
    await loop.idle()


def unheard_cancels(state: State) -> list[CancelAtVenue]:
    """Cancels that were recorded and not answered: the process that was to ask may have ended before it did."""
    return [
        cancel_at_venue(order)
        for order in state.open_orders.values()
        if order.cancel_requested and order.state not in UNRESOLVED_STATES
    ]


async def differences(state: State, exchange: Exchange) -> list[str]:
    """What the venue says otherwise than the journal, in words; empty when they agree."""
    failpoint("reconcile.ask")
    positions, orders = await exchange.positions(), await exchange.open_orders()
    failpoint("reconcile.answer")
    return [*_position_differences(state, positions), *_order_differences(state, orders)]


def _position_differences(state: State, reported: Sequence[VenuePosition]) -> Iterator[str]:
    positions = {p.symbol: p.quantity for p in reported}
    for symbol in sorted(positions.keys() | state.positions.keys()):
        held = state.positions[symbol].quantity if symbol in state.positions else 0
        venue = positions.get(symbol, 0)
        if held != venue:
            yield f"position {symbol}: {held} here, {venue} at the venue"


def _order_differences(state: State, reported: Sequence[VenueOrder]) -> Iterator[str]:
    venue = {o.link_id for o in reported}
    ours = {o.link_id for o in state.open_orders.values() if o.state not in UNRESOLVED_STATES}
    for link in sorted(ours - venue):
        yield f"order {link}: working here, unknown at the venue"
    for link in sorted(venue - ours):
        yield f"order {link}: working at the venue, unknown here"


def _parent_link(state: State, order: Order) -> str:
    parent = state.order(order.parent_id) if order.parent_id else None
    return parent.link_id if parent else ""
