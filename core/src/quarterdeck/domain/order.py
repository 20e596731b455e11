"""Owns orders: their terms, their record, and the one table of moves an order may make in its life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.market import Side


class OrderType(StrEnum):
    """How an order's price is decided and when it starts to work."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    """A market order that starts when the price moves against its side: up through the trigger to buy, down to sell."""
    STOP_LIMIT = "STOP_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    """A market order that starts when the price moves in favour: down to the trigger to buy, up to sell."""
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"
    """A stop whose trigger follows the best price seen at `trailing_distance`."""


LIMIT_TYPES = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
TRIGGER_TYPES = frozenset(
    {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT},
)
CONDITIONAL_TYPES = TRIGGER_TYPES | {OrderType.TRAILING_STOP}


class TimeInForce(StrEnum):
    """How long an order may work once it is active."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "POST_ONLY"


class OrderRole(StrEnum):
    """What an order is for."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    LIQUIDATION = "LIQUIDATION"
    EXTERNAL = "EXTERNAL"
    """Placed by somebody else on the same account; its quantity is what was left of it when it was first seen."""


class OrderState(StrEnum):
    """Where an order is in its life."""

    PREPARED = "PREPARED"
    """Approved and durable here; nothing has been sent."""
    SENT = "SENT"
    """It may have left; the exchange has not answered."""
    UNKNOWN = "UNKNOWN"
    """It was sent and the answer was lost. It counts fully against risk until evidence settles it."""
    ACKED = "ACKED"
    """The exchange has taken it in; it has not said that it works."""
    OPEN = "OPEN"
    """It works at the exchange, or waits there for its trigger."""
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    """Some of it has traded; the rest works."""
    FILLED = "FILLED"
    """All of it has traded."""
    CANCELED = "CANCELED"
    """It ended before all of it had traded."""
    REJECTED = "REJECTED"
    """The exchange refused it."""
    EXPIRED = "EXPIRED"
    """Its time in force ended it."""
    NOT_SENT = "NOT_SENT"
    """Certain never to have left this host."""
    ABSENT = "ABSENT"
    """Proved not to exist at the exchange."""


_S = OrderState
_ENDS = frozenset({_S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})

#: Every legal move. Anything else is a bug or an exchange that contradicts itself, and is refused loudly. A fill after
#: CANCELED or EXPIRED is legal: at a real exchange the fill can win the race and be reported last.
TRANSITIONS: Mapping[OrderState, frozenset[OrderState]] = {
    _S.PREPARED: frozenset({_S.SENT, _S.NOT_SENT, _S.ABSENT}),
    _S.SENT: frozenset({_S.ACKED, _S.UNKNOWN, _S.NOT_SENT, _S.ABSENT, _S.OPEN, _S.PARTIALLY_FILLED}) | _ENDS,
    _S.UNKNOWN: frozenset({_S.ACKED, _S.ABSENT, _S.OPEN, _S.PARTIALLY_FILLED}) | _ENDS,
    _S.ACKED: frozenset({_S.OPEN, _S.PARTIALLY_FILLED}) | _ENDS,
    _S.OPEN: frozenset({_S.OPEN, _S.PARTIALLY_FILLED}) | _ENDS,
    _S.PARTIALLY_FILLED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED}),
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset({_S.CANCELED, _S.FILLED}),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset({_S.EXPIRED, _S.FILLED}),
    _S.NOT_SENT: frozenset(),
    _S.ABSENT: frozenset(),
}

#: States in which nothing of the order can trade any more, as far as is known.
CLOSED_STATES = _ENDS | {_S.NOT_SENT, _S.ABSENT}

#: States whose outcome has to be asked for after a crash.
UNRESOLVED_STATES = frozenset({_S.PREPARED, _S.SENT, _S.UNKNOWN})


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What is asked of the exchange. Prices and quantities are on the instrument's tick and lot.

    `stop_loss` and `take_profit` are attached protection: the venue opens them as reduce-only child orders at the
    moment the order fills, so a position is never without its stop.
    """

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    trailing_distance: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None

    def unit_risk(self, entry: Decimal) -> Decimal:
        """What one unit entered at `entry` loses at the attached stop; all of it when there is none."""
        return entry if self.stop_loss is None else abs(entry - self.stop_loss)

    def amended(
        self, quantity: Decimal | None, limit_price: Decimal | None, trigger_price: Decimal | None
    ) -> OrderTerms:
        """The terms after a change; a field that is None stays."""
        return OrderTerms(
            self.symbol,
            self.side,
            self.type,
            self.quantity if quantity is None else quantity,
            self.limit_price if limit_price is None else limit_price,
            self.trigger_price if trigger_price is None else trigger_price,
            self.trailing_distance,
            self.time_in_force,
            self.reduce_only,
            self.stop_loss,
            self.take_profit,
        )


@dataclass(slots=True)
class Order:
    """The record of one order, from the moment it is approved. Written only by the engine's fold.

    `order_id` names it for people and clients; `link_id` (at most 36 characters) is the client order id the exchange
    sees. `reference_price` is what it was expected to trade at when it was approved; `cost` is the sum of quantity
    times price over its fills. `parent_id` is set on protection opened by the venue.
    """

    order_id: str
    link_id: str
    terms: OrderTerms
    role: OrderRole
    create_time: int
    bot_id: str = ""
    parent_id: str = ""
    reference_price: Decimal = ZERO
    correlation_id: str = ""
    state: OrderState = OrderState.PREPARED
    exchange_order_id: str = ""
    filled_quantity: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO
    reason: str = ""
    update_time: int = 0
    last_sequence: int = 0
    attempts: int = 0
    cancel_requested: bool = False
    triggered: bool = False

    @property
    def is_open(self) -> bool:
        """Whether any of it may still trade."""
        return self.state not in CLOSED_STATES

    @property
    def leaves_quantity(self) -> Decimal:
        """What may still be filled; zero once the order is closed."""
        return self.terms.quantity - self.filled_quantity if self.is_open else ZERO

    @property
    def average_price(self) -> Decimal | None:
        """Mean price of its fills, or None when there are none."""
        return self.cost / self.filled_quantity if self.filled_quantity else None


def state_after_fill(order: Order, quantity: Decimal) -> OrderState:
    """The state an order is in once `quantity` more of it has filled.

    A closed order stays closed, except that a fill which won the race against a cancel and completes it fills it.
    """
    is_complete = order.filled_quantity + quantity >= order.terms.quantity
    if order.is_open:
        return OrderState.FILLED if is_complete else OrderState.PARTIALLY_FILLED
    return OrderState.FILLED if is_complete and OrderState.FILLED in TRANSITIONS[order.state] else order.state


class IllegalTransition(Exception):
    """An order was asked to make a move that is not in the table."""

    def __init__(self, order_id: str, current: OrderState, wanted: OrderState) -> None:
        super().__init__(f"order {order_id}: {current} may not become {wanted}")
        self.order_id = order_id
        self.current = current
        self.wanted = wanted


def check_transition(order: Order, wanted: OrderState) -> None:
    """Refuse a move the table does not list.

    Raises:
        IllegalTransition: the move is not legal.
    """
    if wanted not in TRANSITIONS[order.state]:
        raise IllegalTransition(order.order_id, order.state, wanted)
