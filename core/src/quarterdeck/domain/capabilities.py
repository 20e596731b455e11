"""Owns what a venue can do with orders."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.domain.order import OrderType, TimeInForce


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do. An order that needs more is refused by name, before anything is recorded."""

    order_types: frozenset[OrderType] = frozenset(OrderType)
    times_in_force: frozenset[TimeInForce] = frozenset(TimeInForce)
    reducing_types: frozenset[OrderType] = frozenset()
    """Of these, the types that can only take a position back: such an order has to be reduce-only."""
    attached_protection: bool = True
    """Stop-loss and take-profit can ride on an entry and are live from its fill on."""
    amend: bool = True
    """A working order can be changed in place."""
    immediate: bool = False
    """Approved is as good as sent: both are recorded together, and what does not leave after all is told as not sent.

    After a crash in between such an order is asked about at the venue, where else it would be known not to have left.
    """
    admission_window: int = 0
    """Nanoseconds after its sending during which a request may still be taken in; later it is turned away."""
    visibility: int = 0
    """Nanoseconds for which an order that was taken in may be missing from what the venue says when asked."""
    mode: str = ""
    """The daemon's mode it has to be traded in, such as `live` where money is real; empty where any will do."""
