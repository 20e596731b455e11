"""Owns what a venue says of an account when it is asked, as opposed to what it reports by itself (`report.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from quarterdeck.domain.order import OrderState, OrderTerms
from quarterdeck.domain.report import BalanceChanged, Filled, FundingSettled


def unnamed_link(exchange_order_id: str) -> str:
    """What stands for the link id of an order whose owner gave it none, in reports and everywhere else here."""
    return f"x-order-{exchange_order_id}"


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue describes it when asked.

    `link_id` is empty when whoever placed it gave it none. `update_time` is the venue's, in nanoseconds; of two
    descriptions the later one counts. 0 is not known.
    """

    link_id: str
    exchange_order_id: str
    terms: OrderTerms
    state: OrderState
    filled_quantity: Decimal
    parent_link_id: str = ""
    triggered: bool = False
    update_time: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A position as the venue describes it. `quantity` is signed."""

    symbol: str
    quantity: Decimal
    average_price: Decimal


#: What moved an account, and has an id that makes it one.
Activity = Filled | FundingSettled | BalanceChanged


@dataclass(frozen=True, slots=True)
class VenueSnapshot:
    """Everything a venue holds of an account at one moment: what the journal is compared with.

    `orders` work there. `activity` is all that happened since some time before the newest activity the journal knew,
    oldest first. It is a consistent cut: nothing happened while the rest was read, from `time` on by our clock.
    """

    orders: tuple[VenueOrder, ...]
    positions: tuple[VenuePosition, ...]
    balances: Mapping[str, Decimal]
    activity: tuple[Activity, ...]
    time: int


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """What an embedded venue is given back at start: it has no memory of its own, the journal is its memory."""

    balances: Mapping[str, Decimal]
    positions: Sequence[VenuePosition] = ()
    orders: Sequence[VenueOrder] = ()
    next_trade_number: int = field(default=1)
