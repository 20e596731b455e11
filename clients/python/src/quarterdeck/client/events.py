"""Owns events: what is recorded in the journal and streamed, as frozen dataclasses named like the contract's messages.

    async for event in client.events.stream(after=0):
        match event.body:
            case OrderFilled(fill=fill):
                print(fill.price)

Orders, bots and instruments are given by their full names. Amounts and times are as in `resources.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import get_args

from quarterdeck.client.convert import decode
from quarterdeck.client.errors import UnknownEvent
from quarterdeck.client.resources import Balance, Instrument, NewBot, NewOrder, OrderTerms, Sizing, Trade
from quarterdeck.client.words import BotState, LedgerBook, Mode, OrderState, SignalAction, TradingState
from quarterdeck.v1 import event_pb2

# ---------------------------------------------------------------- orders


@dataclass(frozen=True, slots=True)
class OrderPrepared:
    """An order was approved, by these risk rules, and recorded.

    `sizing` is `None` if its size was given; `reference_price` is what it was expected to trade at.
    """

    order: NewOrder
    sizing: Sizing | None
    rules: tuple[str, ...]
    reference_price: Decimal


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """An order was refused here; it never existed. The numbers are `None` if the reason is no number."""

    order: OrderTerms
    rule: str
    reason: str
    limit: Decimal | None
    observed: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderSent:
    """An order was handed to the exchange. Recorded before the first byte leaves."""

    order: str
    attempt: int


@dataclass(frozen=True, slots=True)
class OrderAcked:
    """The exchange has the order; it is not yet known to be working."""

    order: str
    exchange_order_id: str


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """The order is working at the exchange."""

    order: str
    exchange_order_id: str


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """It is not known whether the order is at the exchange; it will be asked."""

    order: str
    detail: str


@dataclass(frozen=True, slots=True)
class OrderNotSent:
    """The order was proved never to have left the daemon."""

    order: str
    detail: str


@dataclass(frozen=True, slots=True)
class OrderAbsent:
    """The order was proved never to have arrived at the exchange."""

    order: str
    detail: str


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """The exchange refused the order."""

    order: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderTriggered:
    """The order's trigger price was reached."""

    order: str


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount of money that entered a book; a negative one left it."""

    book: LedgerBook
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class OrderFilled:
    """The exchange made a trade for the order.

    `postings` are the money it moved, double entry: they add up to zero in each currency. `fee_quantity` is the fee
    again where it was taken in kind, of what was bought of a pair. The other fields tell how the order and the position
    stand after it.
    """

    fill: Trade
    order_state: OrderState
    filled_quantity: Decimal
    position_quantity: Decimal
    position_average_price: Decimal | None
    postings: tuple[Posting, ...]
    fee_quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderCanceled:
    """The order was taken off the exchange. `reason` is empty if that was asked for."""

    order: str
    filled_quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class OrderExpired:
    """The order ended by its time in force."""

    order: str
    filled_quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class OrderAmendRequested:
    """A change of the order was asked for. What is `None` stays."""

    order: str
    quantity: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderAmended:
    """The exchange changed the order. What is `None` stayed."""

    order: str
    quantity: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderAmendRejected:
    """The exchange refused to change the order."""

    order: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderCancelRequested:
    """The order's cancellation was asked for."""

    order: str


@dataclass(frozen=True, slots=True)
class OrderCancelRejected:
    """The exchange refused to cancel the order."""

    order: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderAdopted:
    """The venue opened an order that was not prepared here, or enlarged one: attached protection, a liquidation."""

    order: NewOrder


# ---------------------------------------------------------------- the account


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """Funding was received, or paid if `amount` is negative, on that position."""

    instrument: str
    amount: Decimal
    rate: Decimal
    position_quantity: Decimal
    exchange_time: datetime
    funding_id: str


@dataclass(frozen=True, slots=True)
class BalanceAdjusted:
    """A wallet changed by `amount`, to `wallet`, for another reason than trading."""

    currency: str
    amount: Decimal
    wallet: Decimal
    reason: str
    adjustment_id: str
    unexplained: bool


@dataclass(frozen=True, slots=True)
class InstrumentChanged:
    """The exchange trades an instrument by other rules than before: these, from now on."""

    instrument: Instrument


@dataclass(frozen=True, slots=True)
class PositionAdjusted:
    """The exchange was found to hold another quantity than its trades explain; `quantity` is the change."""

    adjustment_id: str
    instrument: str
    bot: str
    quantity: Decimal
    price: Decimal
    position_quantity: Decimal
    position_average_price: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class PortfolioSnapshotTaken:
    """The account's books at one moment. `drawdown` and `risk_ratio` are parts of one."""

    equity: Decimal
    wallet_balance: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    drawdown: Decimal
    peak_equity: Decimal
    open_positions: int
    risk_ratio: Decimal


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The account appeared in this journal, with these balances."""

    account: str
    mode: Mode
    balances: tuple[Balance, ...]
    settle: str


@dataclass(frozen=True, slots=True)
class TradingStateChanged:
    """What trading is allowed changed; by a rule, not a person, if `automatic`; to close everything, if `flatten`."""

    state: TradingState
    reason: str
    automatic: bool
    flatten: bool


# ---------------------------------------------------------------- bots


@dataclass(frozen=True, slots=True)
class SignalRaised:
    """A strategy wants something."""

    bot: str
    instrument: str
    action: SignalAction
    stop_price: Decimal | None
    take_profit: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class SignalDropped:
    """What a strategy wanted was not carried out."""

    bot: str
    action: SignalAction
    reason: str
    instrument: str


@dataclass(frozen=True, slots=True)
class BotCreated:
    """A bot was recorded, stopped."""

    bot: NewBot


@dataclass(frozen=True, slots=True)
class BotStateChanged:
    """A bot's state changed. `failure` says what went wrong when it FAILED."""

    bot: str
    state: BotState
    failure: str


# ---------------------------------------------------------------- the daemon


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """A daemon opened the journal. `plugins` are `kind/name version`; `epoch` is what its link ids carry."""

    version: str
    mode: Mode
    plugins: tuple[str, ...]
    epoch: int


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """The daemon closed the journal. A journal that goes on without this tells of a crash."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unrecognized:
    """Something this client does not know, and may skip: the daemon is newer. Not a message of the contract."""


EventBody = (
    OrderPrepared
    | OrderRefused
    | OrderSent
    | OrderAcked
    | OrderOpened
    | OrderUnknown
    | OrderNotSent
    | OrderAbsent
    | OrderRejected
    | OrderTriggered
    | OrderFilled
    | OrderCanceled
    | OrderExpired
    | OrderAmendRequested
    | OrderAmended
    | OrderAmendRejected
    | OrderCancelRequested
    | OrderCancelRejected
    | OrderAdopted
    | FundingPaid
    | BalanceAdjusted
    | PositionAdjusted
    | InstrumentChanged
    | PortfolioSnapshotTaken
    | AccountOpened
    | TradingStateChanged
    | SignalRaised
    | SignalDropped
    | BotCreated
    | BotStateChanged
    | DaemonStarted
    | DaemonStopped
    | Unrecognized
)

BODIES: Mapping[str, type[EventBody]] = MappingProxyType({kind.__name__: kind for kind in get_args(EventBody)})
"""Every kind of event by its name, which is that of its message."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact, with its place and its reason.

    `sequence` is dense, from 1; `account` is empty for what concerns the daemon as a whole; `correlation_id` is the
    same from intent to fill; `cause_sequence` is the event that led directly to this one, or 0; `request_id` is that of
    the call that did, if one did. `resume_token` continues a stream after it, and is empty on events that were listed.
    """

    sequence: int
    record_time: datetime
    account: str
    correlation_id: str
    cause_sequence: int
    ignorable: bool
    request_id: str
    request_digest: str
    body: EventBody
    resume_token: bytes

    @property
    def type(self) -> str:
        """What happened, as the contract names it: `"OrderFilled"`."""
        return type(self.body).__name__


def read_event(envelope: event_pb2.Envelope, resume_token: bytes = b"") -> Event:
    """The event in an envelope.

    Raises:
        UnknownEvent: it is of a kind this client does not know, and must not be skipped.
        ContractBroken: it lacks what it must have.
    """
    return decode(Event, envelope, body=_read_body(envelope), resume_token=resume_token)


def _read_body(envelope: event_pb2.Envelope) -> EventBody:
    which = envelope.WhichOneof("event")
    if which is not None:
        message = getattr(envelope, which)
        return decode(BODIES[message.DESCRIPTOR.name], message)
    if envelope.ignorable:
        return Unrecognized()
    raise UnknownEvent(f"event {envelope.sequence} is of a kind this client does not know: update the client")
