"""Owns events: every fact the engine can establish. The journal is a sequence of these, and state is their fold.

Each mirrors the message of the same name in `quarterdeck/v1/event.proto`; `rpc/convert` is the one place that knows
both. An event says what is so, never what to do, and nobody changes one: those that are made for every order and have
many fields are not frozen only because a frozen dataclass takes five times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.bot import BotSpec, BotState
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.ledger import Posting
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms
from quarterdeck.domain.report import FillCause, Liquidity
from quarterdeck.domain.risk import Refused, TradingState
from quarterdeck.domain.signal import Action
from quarterdeck.domain.sizing import Sizing


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The account's first fact: its mode, what it settles in and what it holds."""

    mode: str
    settle: str
    balances: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """A daemon took up the account. `plugins` are `kind/name version`; `epoch` is what its link ids carry."""

    version: str
    mode: str
    plugins: tuple[str, ...]
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """The daemon ended in order; its absence before a DaemonStarted means a crash."""

    reason: str


@dataclass(frozen=True, slots=True)
class BalanceAdjusted:
    """Money moved for a reason that is not a trade, a fee or funding. `wallet` is what the account holds after it.

    `adjustment_id` makes it one: the exchange's id of the change. Journals of before 0.2 have none. `unexplained` says
    that the exchange was found to hold another amount and its history does not tell why; it counts as profit or loss.
    """

    currency: str
    amount: Decimal
    wallet: Decimal
    reason: str
    adjustment_id: str = ""
    unexplained: bool = False


@dataclass(frozen=True, slots=True)
class PositionAdjusted:
    """The exchange was found to hold another quantity than its trades explain; an owner's share took the difference.

    `quantity` is the signed change, and what it added is valued at `price`; nothing is realised. The two after `price`
    are the account's position after it. `adjustment_id` is made of what was found: the same finding has the same id.
    """

    adjustment_id: str
    symbol: str
    bot_id: str
    quantity: Decimal
    price: Decimal
    position_quantity: Decimal
    position_average_price: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class BotCreated:
    """A bot exists, stopped."""

    spec: BotSpec


@dataclass(frozen=True, slots=True)
class BotStateChanged:
    """A bot changed state. `failure` is set when it FAILED."""

    bot_id: str
    state: BotState
    failure: str = ""


@dataclass(slots=True)
class SignalRaised:
    """A bot's strategy wants something. Prices are on the instrument's tick."""

    bot_id: str
    symbol: str
    action: Action
    stop_price: Decimal | None
    take_profit: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class SignalDropped:
    """A signal came to nothing before it became an order: the bot is paused, holds already, or there is no size."""

    bot_id: str
    symbol: str
    action: Action
    reason: str


@dataclass(slots=True)
class OrderPrepared:
    """An order was approved. Once this is durable the order is sent, once."""

    order_id: str
    link_id: str
    terms: OrderTerms
    role: OrderRole
    bot_id: str
    reference_price: Decimal
    sizing: Sizing | None
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """An order was not approved, by which rule and against which limit."""

    order_id: str
    terms: OrderTerms
    role: OrderRole
    bot_id: str
    refusal: Refused


@dataclass(frozen=True, slots=True)
class OrderSent:
    """An attempt to send the order began: from here on it may exist at the exchange."""

    order_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class OrderAcked:
    """The exchange has taken the order in."""

    order_id: str
    exchange_order_id: str


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """The order is working at the exchange."""

    order_id: str
    exchange_order_id: str


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """The answer was lost. The order counts fully until evidence settles it."""

    order_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class OrderNotSent:
    """The order is certain not to have left."""

    order_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class OrderAbsent:
    """The order is proved not to exist at the exchange."""

    order_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """The exchange refused the order."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderTriggered:
    """A conditional order started to work."""

    order_id: str


@dataclass(slots=True)
class OrderFilled:
    """A trade of an order. `realized_pnl` is what it realised for the order's owner, before fees.

    `postings` is the money it moved, double entry. The four before say how order and account position stand after it,
    for readers who keep no state of their own. `bot_id` is whose order it was; empty for no bot's, and in journals of
    version 0.1. `fee_quantity` is the fee again where the venue took it in kind, as of what is bought of a pair; below
    zero for a rebate.
    """

    order_id: str
    trade_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    cause: FillCause
    realized_pnl: Decimal
    exchange_time: int
    order_state: OrderState
    filled_quantity: Decimal
    position_quantity: Decimal
    position_average_price: Decimal | None
    postings: tuple[Posting, ...]
    bot_id: str = ""
    fee_quantity: Decimal = ZERO

    @property
    def held_quantity(self) -> Decimal:
        """By how much the trade changed what is held: a fee in kind is never held, a rebate in kind is."""
        return self.quantity - self.fee_quantity if self.side is Side.BUY else self.quantity + self.fee_quantity

    @property
    def fee_value(self) -> Decimal:
        """The fee in the currency of the price."""
        return self.fee_quantity * self.price if self.fee_quantity else self.fee


@dataclass(frozen=True, slots=True)
class OrderCanceled:
    """The order ended before it was filled completely."""

    order_id: str
    filled_quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class OrderExpired:
    """The order's time in force ended it."""

    order_id: str
    filled_quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class OrderCancelRequested:
    """Somebody wants the order off the exchange."""

    order_id: str


@dataclass(frozen=True, slots=True)
class OrderCancelRejected:
    """The exchange could not cancel the order."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderAmendRequested:
    """Somebody wants the order changed; a field that is None stays."""

    order_id: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderAmended:
    """The exchange changed the order."""

    order_id: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderAmendRejected:
    """The exchange left the order as it was."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderAdopted:
    """An order works at the venue that is not from here: protection attached to `parent_id`, or somebody else's."""

    order_id: str
    link_id: str
    terms: OrderTerms
    role: OrderRole
    bot_id: str
    parent_id: str
    exchange_order_id: str


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """Funding of a perpetual. `amount` is what the wallet gained: negative when paid."""

    funding_id: str
    symbol: str
    amount: Decimal
    rate: Decimal
    position_quantity: Decimal
    exchange_time: int


@dataclass(frozen=True, slots=True)
class InstrumentChanged:
    """The exchange trades an instrument by other rules than before: these, from now on."""

    instrument: Instrument


@dataclass(frozen=True, slots=True)
class TradingStateChanged:
    """What the account may do has changed, by a person or by a limit.

    With `flatten` every position is to be closed, whatever still fills, for as long as this state lasts.
    """

    state: TradingState
    reason: str
    automatic: bool
    flatten: bool = False


@dataclass(frozen=True, slots=True)
class PortfolioSnapshotTaken:
    """The account valued at the marks of this moment. The day's first one starts the day's loss count."""

    equity: Decimal
    wallet: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    peak_equity: Decimal
    drawdown: Decimal
    open_positions: int
    risk_ratio: Decimal


Event = (
    AccountOpened
    | DaemonStarted
    | DaemonStopped
    | BalanceAdjusted
    | PositionAdjusted
    | BotCreated
    | BotStateChanged
    | SignalRaised
    | SignalDropped
    | OrderPrepared
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
    | OrderCancelRequested
    | OrderCancelRejected
    | OrderAmendRequested
    | OrderAmended
    | OrderAmendRejected
    | OrderAdopted
    | FundingPaid
    | InstrumentChanged
    | TradingStateChanged
    | PortfolioSnapshotTaken
)


@dataclass(slots=True)
class Recorded:
    """An event with its place and its reason.

    `sequence` is dense from 1; `time` is when the engine decided it; `correlation_id` is the same for everything that
    follows from one wish; `cause` is the sequence of the event that led here, or 0. `request_id` and `digest` identify
    the caller's request when this event is its outcome: the same id with the same digest gets this answer again.
    """

    sequence: int
    time: int
    event: Event
    correlation_id: str = ""
    cause: int = 0
    request_id: str = ""
    digest: str = ""
