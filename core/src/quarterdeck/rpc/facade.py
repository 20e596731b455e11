"""Owns what the servicers need of the daemon: the `Deck`, which the daemon implements and hands to the server.

Everything here is called on the event loop's thread. What is read from `state` and `view` may be shown to a caller only
while `is_settled` is true: then all of it is durable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, TypeVar

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, OrderBook, Quote, Ticker
from quarterdeck.domain.order import Order
from quarterdeck.domain.risk import LimitStatus
from quarterdeck.domain.sizing import RiskRatio
from quarterdeck.engine.checks import Finding
from quarterdeck.engine.events import OrderFilled, Recorded
from quarterdeck.engine.inputs import Command, Request, SubmitOrder
from quarterdeck.engine.pipeline import Evaluation
from quarterdeck.engine.state import State
from quarterdeck.engine.view import View


class DaemonState(StrEnum):
    """Whether an account can be traded; the contract tells what each means."""

    READY = "READY"
    SYNCING = "SYNCING"
    SAFE = "SAFE"
    KILLED = "KILLED"
    FENCED = "FENCED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """How the daemon is with an account. Times and ages in nanoseconds; an age is None before the first of its kind.

    Orders are named by their ids, positions and instruments by symbols; `unknown_orders` are the first few. `head`
    is the last event recorded.
    """

    mode: str
    state: DaemonState
    reasons: Sequence[str]
    version: str
    start_time: int
    current_time: int
    exchange: str
    feed: str
    market_data_age: int | None
    exchange_age: int | None
    reconcile_age: int | None = None
    unknown_order_count: int = 0
    unknown_orders: Sequence[str] = ()
    unprotected_positions: Sequence[str] = ()
    loop_lag: int = 0
    queue_depth: int = 0
    journal_bytes: int = 0
    wal_bytes: int = 0
    lease_remaining: int | None = None
    head_hash: str = ""
    kept_sequence: int = 0
    kept_age: int | None = None
    unclean_start: bool = False
    stale_instruments: Sequence[str] = ()
    quarantined_count: int = 0
    settle: str = ""
    journal_id: str = ""
    head: int = 0
    balances_age: int | None = None
    exchange_remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One thing a plugin offers. `kind` is a name of the contract's Plugin.Kind, in lower case, such as `strategy`."""

    kind: str
    name: str
    distribution: str
    version: str
    summary: str
    enabled: bool


class LoggedEvent(Protocol):
    """One line of the journal: `body` is what `convert.envelope.encode` made of the event, `type` its name."""

    @property
    def sequence(self) -> int:
        """Its place, dense from 1."""

    @property
    def type(self) -> str:
        """Its name, as in the contract."""

    @property
    def body(self) -> bytes:
        """The serialized envelope."""


class EventLog(Protocol):
    """The durable events, in order."""

    @property
    def head(self) -> int:
        """The last durable sequence."""

    @property
    def oldest(self) -> int:
        """The first sequence that is still kept; the one after the head if none is."""

    def hash_at(self, sequence: int) -> bytes:
        """The hash that stands for all up to a sequence, if that is the journal's last; else empty."""

    def recent(self, after: int) -> Sequence[LoggedEvent] | None:
        """Everything after a sequence, if all of it is in memory; None if it has to be read from the disk."""

    async def read(self, after: int, limit: int) -> Sequence[LoggedEvent]:
        """At most `limit` events after a sequence."""

    async def wait_beyond(self, sequence: int) -> None:
        """Wait until there is an event after `sequence`."""


class MarketData(Protocol):
    """The recent market, for watching: the latest of everything, and word of changes. What a watcher misses is gone."""

    @property
    def version(self) -> int:
        """Rises with every change."""

    async def changed(self, since: int) -> int:
        """Wait until the version is past `since`; returns the new one."""

    def series(self) -> Collection[tuple[str, int]]:
        """The instruments and intervals (in nanoseconds) there are candles of."""

    def candles(self, symbol: str, interval: int) -> Sequence[Candle]:
        """The closed candles still remembered, oldest first."""

    def latest_candle(self, symbol: str, interval: int) -> Candle | None:
        """The last closed candle."""

    def quote(self, symbol: str) -> Quote | None:
        """The latest quote."""

    def order_book(self, symbol: str) -> OrderBook | None:
        """The latest order book."""

    def ticker(self, symbol: str) -> Ticker | None:
        """The latest ticker."""


T_co = TypeVar("T_co", covariant=True)


class Page(Protocol[T_co]):
    """A part of a listing."""

    @property
    def rows(self) -> Sequence[T_co]:
        """Its rows, newest first."""

    @property
    def sequence(self) -> int:
        """Everything up to this sequence is in it; what happened after may be."""


class FillRow(Protocol):
    """One trade in the account's history."""

    @property
    def sequence(self) -> int:
        """Where it is recorded."""

    @property
    def time(self) -> int:
        """When it was recorded."""

    @property
    def event(self) -> OrderFilled:
        """What was recorded."""


class History(Protocol):
    """Everything the account ever did, from the tables beside the journal: as new as the journal's head when asked."""

    async def order(self, order_id: str) -> Order | None:
        """One order, however old."""

    async def orders(
        self, limit: int, before: tuple[int, str] | None, *, symbol: str | None, bot_id: str | None
    ) -> Page[Order]:
        """Orders, newest first, before the one of that create time and id."""

    async def fills(
        self, limit: int, before: int | None, *, order_id: str | None, symbol: str | None, bot_id: str | None
    ) -> Page[FillRow]:
        """Fills, newest first, recorded before a sequence."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What came of comparing the journal with the venue. `differences` are left, in words.

    `orders` and `positions` are the venue's; `booked` and `adjusted` count what moved the account, `asked` orders that
    the venue did not list and is asked about, `looks` how often it was looked at. Times are nanoseconds.
    """

    differences: tuple[str, ...]
    orders: int
    positions: int
    booked: int
    adjusted: int
    asked: int
    looks: int
    time: int
    duration: int


class Shown(Protocol):
    """What can always be asked of an account, whether it is taken up or not."""

    @property
    def account_id(self) -> str:
        """The account's id."""

    def status(self) -> DaemonStatus:
        """How it is. Waits for nothing."""

    def plugins(self) -> Sequence[PluginInfo]:
        """What the loaded plugins offer."""


class Deck(Shown, Protocol):
    """One account and its journal, as the servicers see them."""

    @property
    def journal_id(self) -> str:
        """Names the journal among all: positions of one mean nothing in another."""

    @property
    def state(self) -> State:
        """The account. Read it when settled."""

    @property
    def view(self) -> View:
        """The account valued at the latest marks. Read it when settled."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """What can be traded, by id."""

    @property
    def confirmed(self) -> Mapping[str, int]:
        """When the venue last said of a currency's balance what the journal says, by the daemon's clock."""

    @property
    def events(self) -> EventLog:
        """The durable events."""

    @property
    def market_data(self) -> MarketData:
        """The recent market."""

    @property
    def history(self) -> History:
        """What is not in memory any more."""

    @property
    def is_settled(self) -> bool:
        """Whether everything in memory is durable: asked before every read, so it has to be cheap."""

    async def settled(self) -> int:
        """Wait until everything in memory is durable, and return its sequence.

        When this returns `is_settled` is true, and stays so until the caller waits for something.
        """

    async def submit(self, command: Command, request: Request) -> Recorded | None:
        """Have a command carried out; returns the first event it led to once that is durable, None if there was none.

        A request that was handled before gets the event it got then, and nothing is recorded. That an order is refused
        is an event too. For CreateBot the strategy and its settings are checked.

        Raises:
            QuarterdeckError: the command is wrong or not allowed now, or can't be taken; nothing was recorded.
        """

    async def start_bot(self, bot_id: str, request: Request) -> Recorded | None:
        """Build and warm up a bot's strategy if it has none, and run it; otherwise as `submit`."""

    def evaluate(self, order: SubmitOrder, basis: Decimal | None = None) -> Evaluation:
        """What would become of an order, without making it. `basis` replaces the money that sizing starts from.

        Raises:
            QuarterdeckError: what `submit` would raise for it.
        """

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        """The part of `basis` one new trade may lose.

        Raises:
            RefusedByState: the sizer fails (SIZING_REFUSED).
        """

    def limits(self) -> Sequence[LimitStatus]:
        """Every limit of every rule, the core's own included."""

    async def diagnose(self, *, full: bool) -> Sequence[Finding]:
        """What its checks find, now; `full` folds the journal from its first event instead of the newest kept state."""

    async def reconcile(self) -> Reconciled:
        """Compare the journal with the venue now, and bring it to where the venue is.

        Raises:
            Unavailable: the venue can't be asked; nothing changed.
        """
