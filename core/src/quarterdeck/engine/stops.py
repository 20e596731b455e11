"""Owns which stops positions should have: the part of the fold that says so.

What an entry with an attached stop has filled is to be closed at that price for as long as its owner holds it,
whatever becomes of the order at the venue that does so. `protection.py` sees to it. Who moves a stop moves what is
wanted, and who cancels it here wants none; that it ends at the venue changes nothing. What was entered without a stop
wants none either.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.order import Order, OrderRole
from quarterdeck.engine.state import State

_ENTRY = OrderRole.ENTRY
_STOP_LOSS = OrderRole.STOP_LOSS

#: At which price how much of a share is to be closed.
Wanted = dict[Decimal, Decimal]


def wanted_of(state: State, symbol: str, owner: str) -> Wanted:
    """What an owner's share of an instrument should be closed at; empty if it need not be."""
    return state.stops.get(symbol, {}).get(owner, {})


def after_fill(state: State, order: Order, change: Decimal) -> None:
    """A share has changed by a trade of this order: `change` is signed."""
    stop = order.terms.stop_loss if order.role is _ENTRY else None
    if stop is None and not state.stops:
        return
    symbol, owner = order.terms.symbol, order.bot_id
    if stop is None:
        wanted = wanted_of(state, symbol, owner)
        if wanted:
            _lower(wanted, _closes_at(state, order), abs(change))
            after_change(state, symbol, owner, change)
        return
    after_change(state, symbol, owner, change)
    wanted = state.stops.setdefault(symbol, {}).setdefault(owner, {})
    wanted[stop] = wanted.get(stop, ZERO) + abs(change)
    _trim(state, symbol, owner)


def after_change(state: State, symbol: str, owner: str, change: Decimal) -> None:
    """A share has changed by this much: nothing is wanted beyond what it holds."""
    wanted = state.stops.get(symbol, {}).get(owner)
    if wanted is None:
        return
    held = state.share(symbol, owner).quantity
    if held and (held > 0) == (change > 0) and abs(held) < abs(change):  # through zero: what there was is gone
        wanted.clear()
    _trim(state, symbol, owner)


def after_move(state: State, order: Order, before: Decimal | None) -> None:
    """A working order's trigger was changed from `before`."""
    now = order.terms.trigger_price
    wanted = wanted_of(state, order.terms.symbol, order.bot_id)
    if order.role is _STOP_LOSS and before is not None and now is not None and now != before and before in wanted:
        moved = min(wanted[before], order.leaves_quantity)
        _lower(wanted, before, moved)
        wanted[now] = wanted.get(now, ZERO) + moved


def after_wish_to_shrink(state: State, order: Order, quantity: Decimal | None) -> None:
    """Somebody here wants a working order to be of this quantity."""
    if order.role is _STOP_LOSS and quantity is not None and quantity < order.terms.quantity:
        wanted = wanted_of(state, order.terms.symbol, order.bot_id)
        _lower(wanted, order.terms.trigger_price, order.terms.quantity - quantity)
        _trim(state, order.terms.symbol, order.bot_id)


def before_cancel(state: State, order: Order) -> None:
    """An order is about to end by a cancel. If it was wanted here, no more is wanted than other orders see to."""
    price = order.terms.trigger_price
    if order.role is not _STOP_LOSS or not order.cancel_requested or price is None:
        return
    symbol, owner = order.terms.symbol, order.bot_id
    wanted = wanted_of(state, symbol, owner)
    if price in wanted:
        others = (each for each in state.orders_of(symbol, owner) if each is not order and each.role is _STOP_LOSS)
        rest = sum((each.leaves_quantity for each in others if each.terms.trigger_price == price), ZERO)
        _lower(wanted, price, wanted[price] - rest)
        _trim(state, symbol, owner)


def nearest_first(wanted: Wanted, held: Decimal) -> Iterator[Decimal]:
    """The prices, those that are reached first ahead."""
    return iter(sorted(wanted, reverse=held > 0))


def _closes_at(state: State, order: Order) -> Decimal | None:
    """The stop whose part of the share an order closes; None if nobody can tell."""
    if order.role is _STOP_LOSS:
        return order.terms.trigger_price
    parent = state.order(order.parent_id) if order.parent_id else None
    return parent.terms.stop_loss if parent else None


def _lower(wanted: Wanted, price: Decimal | None, quantity: Decimal) -> None:
    if price in wanted and quantity > 0:
        left = wanted[price] - quantity
        if left > 0:
            wanted[price] = left
        else:
            del wanted[price]


def _trim(state: State, symbol: str, owner: str) -> None:
    """Want no more than is held: what is reached last goes first, since it closes what the others have left."""
    owners = state.stops.get(symbol, {})
    wanted = owners.get(owner)
    if wanted is None:
        return
    held = state.share(symbol, owner).quantity
    excess = sum(wanted.values(), ZERO) - abs(held)
    for price in reversed(list(nearest_first(wanted, held))):
        if excess <= 0:
            break
        part = min(excess, wanted[price])
        _lower(wanted, price, part)
        excess -= part
    if not wanted:
        del owners[owner]
        if not owners:
            del state.stops[symbol]
