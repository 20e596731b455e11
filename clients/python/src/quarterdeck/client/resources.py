"""Owns the things a daemon has, as frozen dataclasses with the contract's field names.

Amounts are `Decimal`, times `datetime` in UTC (to the microsecond), enums the words of `words.py`, repeated fields
tuples. A field that may be absent in the contract is `None` here; `None` never means zero. Names are full resource
names, such as `accounts/main/orders/7`; `id` is the last part, and every method takes either.

Money is in the account's settle currency, quantities are in base, prices in quote, unless a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from quarterdeck.client.words import (
    CLOSED_STATES,
    BotState,
    DaemonState,
    FillCause,
    FindingVerdict,
    InstrumentKind,
    Liquidity,
    Mode,
    OrderRole,
    OrderState,
    OrderType,
    PluginKind,
    Side,
    TimeInForce,
    TradingState,
)


def short_id(name: str) -> str:
    """The last part of a resource name: `accounts/main/orders/7` is `7`."""
    return name.rpartition("/")[2]


class Named:
    """What has a resource name."""

    __slots__ = ()
    name: str

    @property
    def id(self) -> str:
        """The last part of the name."""
        return short_id(self.name)


# ---------------------------------------------------------------- accounts


@dataclass(frozen=True, slots=True)
class Account(Named):
    """One account at one exchange, how real it is, and the currency its profits, fees and limits are counted in."""

    name: str
    mode: Mode
    settle: str


@dataclass(frozen=True, slots=True)
class Balance:
    """How much an account has of one currency, without unrealized profit.

    `confirm_time` is when the exchange last said the same; `None` before the first time, and in events.
    """

    currency: str
    wallet: Decimal
    confirm_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountOverview:
    """Everything one looks at first.

    `drawdown` and `risk_ratio` are parts of one (`0.02` is 2 %); `tier` is the sizer's name for an account of this
    size; `max_risk_amount` is what one new trade may lose between entry and stop. `max_position_notional` is `None` if
    no rule limits it.
    """

    account: Account
    balances: tuple[Balance, ...]
    equity: Decimal
    wallet_balance: Decimal
    unrealized_pnl: Decimal
    realized_pnl_today: Decimal
    drawdown: Decimal
    peak_equity: Decimal
    tier: str
    risk_ratio: Decimal
    max_risk_amount: Decimal
    max_position_notional: Decimal | None
    open_positions: int
    open_orders: int
    trading_state: TradingState


# ---------------------------------------------------------------- the market


@dataclass(frozen=True, slots=True)
class Instrument(Named):
    """What can be traded, and by which rules. Fee rates are parts of the notional; what is `reduce_only` is ending."""

    name: str
    venue_symbol: str
    kind: InstrumentKind
    base: str
    quote: str
    settle: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal | None
    min_notional: Decimal | None
    max_leverage: Decimal
    maintenance_margin_rate: Decimal
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    reduce_only: bool


@dataclass(frozen=True, slots=True)
class Candle:
    """What the market did in `[open_time, open_time + interval)`. An observation, so in floats.

    It may change until it is `closed`.
    """

    instrument: str
    interval: timedelta
    open_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool


@dataclass(frozen=True, slots=True)
class Quote:
    """The best prices at one moment. An observation, so in floats."""

    instrument: str
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    quote_time: datetime


@dataclass(frozen=True, slots=True)
class BookLevel:
    """One price of an order book and how much stands there."""

    price: float
    size: float


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The order book at one moment, the best price of each side first. An observation, so in floats.

    While it is not `usable` it has no levels, and those told before are worth nothing.
    """

    instrument: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    book_time: datetime
    update_id: int
    usable: bool


@dataclass(frozen=True, slots=True)
class Ticker:
    """What the venue says about an instrument besides its trades; `None` is what it does not say. In floats."""

    instrument: str
    last_price: float | None
    mark_price: float | None
    index_price: float | None
    funding_rate: float | None
    next_funding_time: datetime | None
    open_interest: float | None
    ticker_time: datetime


# ---------------------------------------------------------------- orders and positions


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What is asked of the exchange.

    `quantity` is `None` where the sizer was to decide, `time_in_force` where nothing was said, which means `"GTC"`.
    """

    instrument: str
    side: Side
    type: OrderType
    quantity: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None
    trailing_distance: Decimal | None
    time_in_force: TimeInForce | None
    reduce_only: bool
    stop_loss: Decimal | None
    take_profit: Decimal | None
    bot: str


@dataclass(frozen=True, slots=True)
class NewOrder(OrderTerms, Named):
    """An order as it begins.

    `parent_order` is set on protection the venue opened for another order. `link_id` is the client order id the
    exchange knows it by, `exchange_order_id` the exchange's own, once known.
    """

    quantity: Decimal
    name: str
    role: OrderRole
    state: OrderState
    parent_order: str
    link_id: str
    exchange_order_id: str


@dataclass(frozen=True, slots=True)
class Order(NewOrder):
    """An order and what became of it.

    `average_price` is `None` while nothing is filled; negative `fees` are a rebate.
    """

    filled_quantity: Decimal
    average_price: Decimal | None
    fees: Decimal
    reason: str
    create_time: datetime
    update_time: datetime

    @property
    def is_open(self) -> bool:
        """Whether any of it may still trade."""
        return self.state not in CLOSED_STATES


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade the exchange made for an order. A negative `fee` is a rebate; `realized_pnl` is before fees.

    `bot` is whose share it moved; empty for no bot's.
    """

    order: str
    bot: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    cause: FillCause
    realized_pnl: Decimal
    exchange_trade_id: str
    exchange_time: datetime


@dataclass(frozen=True, slots=True)
class Fill(Trade, Named):
    """A trade as the daemon keeps it: with a name, and when it was written down."""

    name: str
    record_time: datetime


@dataclass(frozen=True, slots=True)
class PositionShare:
    """One bot's part of a position, kept as if it were alone. `bot` is empty for orders of no bot."""

    bot: str
    quantity: Decimal
    average_price: Decimal | None
    realized_pnl: Decimal


@dataclass(frozen=True, slots=True)
class Position(Named):
    """What an account holds of one instrument. A positive `quantity` is long, a negative one short.

    `average_price` is `None` when flat, `mark_price` and `unrealized_pnl` before the market was seen, the others if
    there is no such price. `realized_pnl` is before fees and funding; `funding` is what was received.
    """

    name: str
    instrument: str
    quantity: Decimal
    average_price: Decimal | None
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    liquidation_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    shares: tuple[PositionShare, ...]
    update_time: datetime


# ---------------------------------------------------------------- sizing


@dataclass(frozen=True, slots=True)
class SizingInput:
    """A number a sizing step worked with."""

    name: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class SizingStep:
    """One step from basis to quantity: what was done, and the number before and after."""

    rule: str
    before: Decimal
    after: Decimal
    inputs: tuple[SizingInput, ...]


@dataclass(frozen=True, slots=True)
class Sizing:
    """How the size of an order was found.

    `basis` is the money `risk_ratio` is taken of: the lesser of wallet balance and equity. `risk_amount` is what
    `quantity` loses between entry and stop, before fees.
    """

    quantity: Decimal
    risk_amount: Decimal
    risk_ratio: Decimal
    tier: str
    notional: Decimal
    basis: Decimal
    entry_price: Decimal
    stop_price: Decimal | None
    steps: tuple[SizingStep, ...]


# ---------------------------------------------------------------- bots


@dataclass(frozen=True, slots=True)
class NewBot(Named):
    """A strategy to be put to work on one instrument, as it begins. `settings` are the strategy's own."""

    name: str
    account: str
    strategy: str
    settings: Mapping[str, Any]
    instrument: str
    interval: timedelta
    state: BotState


@dataclass(frozen=True, slots=True)
class Bot(NewBot):
    """A bot and its own books. `quantity` is its share of the position; `trades` counts those made for its orders."""

    failure: str
    quantity: Decimal
    average_price: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    trades: int
    create_time: datetime
    update_time: datetime


# ---------------------------------------------------------------- risk


@dataclass(frozen=True, slots=True)
class RiskLimit:
    """One limit of one rule, in its own unit. The numbers are `None` where they depend on the order."""

    rule: str
    name: str
    limit: Decimal | None
    observed: Decimal | None
    headroom: Decimal | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule said no: `reason` is a stable word of the rule's own. The numbers are `None` if it is no number."""

    rule: str
    reason: str
    limit: Decimal | None
    observed: Decimal | None


@dataclass(frozen=True, slots=True)
class RiskState:
    """What an account may do, and how near its limits are. `drawdown` and `daily_loss` are parts of one.

    `since_time` is `None`, and `reason` empty, if trading was never anything but ACTIVE.
    """

    trading_state: TradingState
    since_time: datetime | None
    reason: str
    limits: tuple[RiskLimit, ...]
    day_start_equity: Decimal
    peak_equity: Decimal
    drawdown: Decimal
    daily_loss: Decimal


# ---------------------------------------------------------------- the daemon


@dataclass(frozen=True, slots=True)
class Status:
    """How the daemon is with one of its accounts.

    `market_data_age` is `None` before the first market observation, `exchange_age` before the exchange's first answer,
    `reconcile_age` before journal and exchange were first found to agree, `lease_remaining` without a lease that runs
    out, and `kept_age` while the newest kept state is an earlier daemon's. `balances_age` is how long ago the exchange
    last said of every balance what the journal says; `None` before the first time. `unknown_orders` are the first few
    of `unknown_order_count`; these, `unprotected_positions` and `account` are names.
    """

    mode: Mode
    state: DaemonState
    reasons: tuple[str, ...]
    version: str
    journal_id: str
    head_sequence: int
    start_time: datetime
    current_time: datetime
    exchange: str
    feed: str
    market_data_age: timedelta | None
    exchange_age: timedelta | None
    reconcile_age: timedelta | None
    unknown_order_count: int
    unknown_orders: tuple[str, ...]
    unprotected_positions: tuple[str, ...]
    loop_lag: timedelta | None
    queue_depth: int
    journal_bytes: int
    wal_bytes: int
    lease_remaining: timedelta | None
    head_hash: str
    kept_sequence: int
    kept_age: timedelta | None
    unclean_start: bool
    stale_instruments: tuple[str, ...]
    quarantined_count: int
    account: str
    balances_age: timedelta | None
    exchange_remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check of the daemon found. `invariants` are the promises it is about, such as `I04`."""

    check: str
    invariants: tuple[str, ...]
    verdict: FindingVerdict
    detail: str
    data: Mapping[str, Any]
    age: timedelta


@dataclass(frozen=True, slots=True)
class Plugin:
    """One thing a plugin offers. `name` is what it is called in settings, unique in its kind."""

    kind: PluginKind
    name: str
    distribution: str
    version: str
    summary: str
    enabled: bool
