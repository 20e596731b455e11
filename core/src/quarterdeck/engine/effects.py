"""Owns what the engine wants done at the venue, once the events that say so are durable."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from quarterdeck.domain.order import OrderTerms


@dataclass(frozen=True, slots=True)
class QueueOrder:
    """Take an approved order to the venue. The order link announces it with `Sending` when its turn comes."""

    link_id: str


@dataclass(frozen=True, slots=True)
class SendOrder:
    """Send it now, once."""

    link_id: str
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class CancelAtVenue:
    """Ask for an order to end. One of somebody else may have no link id, only the venue's."""

    link_id: str
    symbol: str
    exchange_order_id: str = ""


@dataclass(frozen=True, slots=True)
class AmendAtVenue:
    """Ask for a change; a field that is None stays."""

    link_id: str
    symbol: str
    quantity: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None


Effect = QueueOrder | SendOrder | CancelAtVenue | AmendAtVenue
