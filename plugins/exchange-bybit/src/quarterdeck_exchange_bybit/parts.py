"""Owns orders that Bybit has made several of.

One that only reduces and is larger than an order may be becomes parts, each with an id of Bybit's own. Here they are
the one order that was sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.order import CLOSED_STATES, OrderState
from quarterdeck.plugin import VenueOrder
from quarterdeck_exchange_bybit.codec.orders import OrderRow

_REMEMBERED = 1_000


class Parts:
    """The parts that have been heard of, by the link id they share."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, OrderRow]] = {}

    def whole(self, row: OrderRow, wanted: Decimal, most: Decimal) -> OrderRow:
        """The order a row is about, which was placed for `wanted` where Bybit takes `most` at once.

        It is at work until as much has been heard of and has ended. Where Bybit has left some of it out, or does not
        say what belongs to it, nothing more is heard; then asking finds it.
        """
        if not row.order.terms.reduce_only or not most or wanted <= most:
            return row
        link = row.order.link_id
        parts = self._rows.setdefault(link, {})
        parts[row.order.exchange_order_id] = row
        while len(self._rows) > _REMEMBERED:
            del self._rows[next(iter(self._rows))]
        whole = merged([part.order for part in parts.values()])
        missing = wanted - whole.terms.quantity
        if missing > 0:
            terms = replace(whole.terms, quantity=wanted)
            state = OrderState.PARTIALLY_FILLED if whole.filled_quantity else OrderState.OPEN
            whole = replace(whole, terms=terms, state=state)
        if whole.state in CLOSED_STATES:
            del self._rows[link]
        return replace(row, order=whole, state=whole.state)


def gathered(orders: Iterable[VenueOrder]) -> list[VenueOrder]:
    """Orders, each link id once."""
    named: dict[str, list[VenueOrder]] = {}
    for order in orders:
        named.setdefault(order.link_id or order.exchange_order_id, []).append(order)
    return [merged(parts) for parts in named.values()]


def merged(parts: Collection[VenueOrder]) -> VenueOrder:
    """One order of its parts."""
    latest = max(parts, key=lambda part: part.update_time)
    if len(parts) == 1:
        return latest
    terms = replace(latest.terms, quantity=sum((part.terms.quantity for part in parts), ZERO))
    filled = sum((part.filled_quantity for part in parts), ZERO)
    return replace(latest, terms=terms, filled_quantity=filled, state=_state({part.state for part in parts}, filled))


def _state(states: set[OrderState], filled: Decimal) -> OrderState:
    if states - CLOSED_STATES:
        return OrderState.PARTIALLY_FILLED if filled else OrderState.OPEN
    if len(states) == 1:
        return next(iter(states))
    return OrderState.CANCELED
