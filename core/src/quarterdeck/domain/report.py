"""Owns what an exchange can tell us: the outcome of a request, and news of orders, fills and balances.

A report is a claim by the venue, keyed by our link id. The engine turns claims into events; nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderTerms


class Liquidity(StrEnum):
    """Whether a fill added to the book or took from it; the fee depends on it."""

    MAKER = "MAKER"
    TAKER = "TAKER"


class FillCause(StrEnum):
    """Why a trade happened."""

    ORDER = "ORDER"
    """An order did what it was placed for."""
    LIQUIDATION = "LIQUIDATION"
    """The venue closed the position because its margin no longer covered it."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The exchange has taken the order in."""

    link_id: str
    exchange_order_id: str
    time: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The order is working at the exchange."""

    link_id: str
    exchange_order_id: str
    time: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The exchange refused the order, for certain."""

    link_id: str
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may or may not have been taken: a timeout, a broken connection, an ambiguous code."""

    link_id: str
    detail: str
    time: int


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request is certain not to have left this host."""

    link_id: str
    detail: str
    time: int


@dataclass(frozen=True, slots=True)
class Absent:
    """The exchange was asked, and it is proved that the order does not exist there."""

    link_id: str
    detail: str
    time: int


@dataclass(frozen=True, slots=True)
class Triggered:
    """A conditional order has started to work."""

    link_id: str
    time: int


@dataclass(frozen=True, slots=True)
class Filled:
    """One trade of one order. `trade_id` is the exchange's: the same id reported twice is one fill.

    `fee` is positive when paid and negative when earned, in `fee_currency`. `link_id` is empty when whoever placed the
    order gave it none; `exchange_order_id` then tells its trades from those of others.
    """

    link_id: str
    trade_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    time: int
    cause: FillCause = FillCause.ORDER
    exchange_order_id: str = ""


@dataclass(frozen=True, slots=True)
class Canceled:
    """The order ended before being filled completely."""

    link_id: str
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The order's time in force ended it: what an IOC left over, or an FOK that could not be filled whole."""

    link_id: str
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class CancelRejected:
    """The order could not be cancelled; usually it had ended already."""

    link_id: str
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class Amended:
    """The exchange has changed the order; a field that is None is unchanged."""

    link_id: str
    time: int
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class AmendRejected:
    """The order stays as it was."""

    link_id: str
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class ChildOpened:
    """The venue opened an order itself: protection attached to `parent_link_id`, or a liquidation (no parent).

    An order that somebody else placed on the account is told in the same way, with the role EXTERNAL. Protection is
    reported again with the larger quantity when the parent fills further.
    """

    link_id: str
    parent_link_id: str
    exchange_order_id: str
    role: OrderRole
    terms: OrderTerms
    time: int


@dataclass(frozen=True, slots=True)
class FundingSettled:
    """Funding of a perpetual. `amount` is what the wallet gains: negative when paid. `funding_id` makes it one."""

    funding_id: str
    symbol: str
    amount: Decimal
    rate: Decimal
    position_quantity: Decimal
    time: int


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    """Money moved for a reason that is not a trade, a fee or funding: a deposit, a withdrawal, a transfer.

    `change_id` is the exchange's: the same id reported twice is one change.
    """

    change_id: str
    currency: str
    amount: Decimal
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class StreamDown:
    """The venue's own reports can't be heard from now on, or not all of them."""

    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class StreamUp:
    """Reports are heard again; what happened meanwhile has not been told."""

    time: int


#: What a place request can end in. A venue that works an order at once may say so instead of only having taken it.
Outcome = Acked | Opened | Rejected | Unknown | NotSent

#: What an exchange may report at any time.
Report = (
    Acked
    | Opened
    | Rejected
    | Unknown
    | NotSent
    | Absent
    | Triggered
    | Filled
    | Canceled
    | Expired
    | CancelRejected
    | Amended
    | AmendRejected
    | ChildOpened
    | FundingSettled
    | BalanceChanged
    | StreamDown
    | StreamUp
)
