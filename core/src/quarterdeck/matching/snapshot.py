"""Owns what a venue shows of itself and can be restored from: all that decides what it does next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.order import CONDITIONAL_TYPES, OrderState, OrderTerms
from quarterdeck.matching.book import Request
from quarterdeck.matching.order import BookOrder


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order as it stands. `terms` are the current ones; the trigger of a trailing stop is where it stands now.

    `is_fresh` says that the order has not met a price since it arrived, so it still takes liquidity if it can.
    """

    link_id: str
    terms: OrderTerms
    state: OrderState
    filled_quantity: Decimal = ZERO
    parent_link_id: str = ""
    triggered: bool = False
    has_arrived: bool = True
    is_fresh: bool = False
    number: int = 0
    """Place in time priority; zero means after all that came before it."""
    reserved: Decimal | None = None
    """What it holds of the account's means; None to work it out at the current price."""


@dataclass(frozen=True, slots=True)
class PositionSnapshot:
    """A position: signed quantity and what is tied up in it, quantity times average price, with the same sign."""

    symbol: str
    quantity: Decimal
    cost: Decimal

    @property
    def average_price(self) -> Decimal:
        """Mean entry price."""
        return self.cost / self.quantity


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """What an instrument has shown. `requests` are on their way to the venue."""

    symbol: str
    bid: float | None = None
    ask: float | None = None
    seen_until: int = 0
    funded_until: int = 0
    next_funding: int = 0
    requests: tuple[Request, ...] = ()


@dataclass(frozen=True, slots=True)
class VenueSnapshot:
    """A venue's memory. `orders` are the open ones, oldest first within each instrument."""

    balances: Mapping[str, Decimal]
    positions: tuple[PositionSnapshot, ...] = ()
    orders: tuple[OrderSnapshot, ...] = ()
    next_trade_number: int = 1
    next_number: int = 1
    markets: tuple[MarketSnapshot, ...] = field(default=())


def show(order: BookOrder, *, is_fresh: bool = False) -> OrderSnapshot:
    """An order as others may see it."""
    return OrderSnapshot(
        order.link_id,
        order.current_terms(),
        order.state,
        order.filled,
        order.parent_link_id,
        order.terms.type in CONDITIONAL_TYPES and not order.awaits_trigger,
        order.has_arrived,
        is_fresh,
        order.number,
        order.reserved,
    )


def cost_of(instrument: Instrument, quantity: Decimal, average_price: Decimal) -> Decimal:
    """The exact cost of a position whose average price was rounded to the context's digits.

    A cost is a sum of lots times ticks and of amounts settled to eight places, so it has no more places than that.
    """
    places = max(8, _places(instrument.lot_size) + _places(instrument.tick_size))
    return (quantity * average_price).quantize(Decimal(1).scaleb(-places))


def _places(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int), f"{step} is not finite"
    return max(0, -exponent)
