"""Owns the venue's record of one order."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import (
    CONDITIONAL_TYPES,
    LIMIT_TYPES,
    OrderRole,
    OrderState,
    OrderTerms,
    OrderType,
    TimeInForce,
)

_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_WITH_FAVOUR = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})


@dataclass(slots=True, eq=False)
class BookOrder:
    """An order as the venue holds it.

    `terms` are those it came with; quantity and prices may since have been amended. `number` gives time priority: lower
    is earlier. `trigger_price` of a trailing stop is where its trigger stands now, None before it has seen a price.
    """

    link_id: str
    terms: OrderTerms
    number: int
    quantity: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    role: OrderRole | None = None
    parent_link_id: str = ""
    filled: Decimal = ZERO
    state: OrderState = OrderState.ACKED
    is_open: bool = True
    """Whether any of it may still trade."""
    has_arrived: bool = False
    """Whether prices can find it; until then it is on its way."""
    reserved: Decimal = ZERO
    """Notional (or, for a sale on spot, quantity) it holds against the account's means."""
    rung: tuple[Decimal, int, int, BookOrder] | None = None
    """Its place on a ladder of the book, if it rests on one."""
    told_trigger: Decimal | None = None
    """The trailing trigger that was reported last."""
    is_buy: bool = field(init=False)
    is_limit: bool = field(init=False)
    """Whether it has a worst price, once triggered."""
    is_trailing: bool = field(init=False)
    is_post_only: bool = field(init=False)
    is_immediate: bool = field(init=False)
    """Whether it ends with the first price it meets."""
    awaits_trigger: bool = field(init=False)
    """Whether it is conditional and has not started to work."""

    def __post_init__(self) -> None:
        terms = self.terms
        self.is_buy = terms.side is Side.BUY
        self.is_limit = terms.type in LIMIT_TYPES
        self.is_trailing = terms.type is OrderType.TRAILING_STOP
        self.is_post_only = terms.time_in_force is TimeInForce.POST_ONLY
        self.is_immediate = terms.time_in_force in _AT_ONCE
        self.awaits_trigger = terms.type in CONDITIONAL_TYPES

    @property
    def leaves(self) -> Decimal:
        """What may still be filled."""
        return self.quantity - self.filled

    @property
    def can_wait(self) -> bool:
        """Whether it can work at the venue, so that it is reported open; others trade or end at the next price."""
        return self.awaits_trigger or (self.is_limit and not self.is_immediate)

    @property
    def waits_for_fall(self) -> bool:
        """Whether the price has to fall to reach it: limit buys, sell stops, buys to take profit."""
        if self.awaits_trigger:
            return self.is_buy == (self.terms.type in _WITH_FAVOUR)
        return self.is_buy

    @property
    def level(self) -> Decimal:
        """The price it waits for."""
        price = self.trigger_price if self.awaits_trigger else self.limit_price
        assert price is not None, f"{self.link_id} waits for no price"
        return price

    def crosses(self, price: Decimal) -> bool:
        """Whether its limit lets it trade at `price`; without a limit, always."""
        limit = self.limit_price
        if limit is None:
            return True
        return price <= limit if self.is_buy else price >= limit

    def current_terms(self) -> OrderTerms:
        """Its terms with what was amended since."""
        terms = self.terms
        return OrderTerms(
            terms.symbol,
            terms.side,
            terms.type,
            self.quantity,
            self.limit_price,
            self.trigger_price,
            terms.trailing_distance,
            terms.time_in_force,
            terms.reduce_only,
            terms.stop_loss,
            terms.take_profit,
        )


def exchange_order_id(link_id: str) -> str:
    """The venue's own name of an order: a function of ours, so that it is the same after a restart."""
    return f"x-{link_id}"
