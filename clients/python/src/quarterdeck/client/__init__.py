"""The Python client of the daemon; it knows the contract and nothing else of Quarterdeck.

    from quarterdeck.client import SyncClient

    with SyncClient.connect("127.0.0.1:50551") as client:
        print(client.system.status().state)

Reading order: `resources.py`, `events.py` and `answers.py` say what comes back, `groups/` what can be asked, `client.py`
puts it together. Below that, `calls.py` says what a call is, `rpc.py` lets one description serve both clients, `aio.py`
and `sync.py` make calls, `cursor.py` keeps a reader's place in the event stream; `book.py` and `replica.py` follow an
account.
"""

from quarterdeck.client import events
from quarterdeck.client.aio import AsyncListing, AsyncStream
from quarterdeck.client.answers import (
    BotChanged,
    ComputedSize,
    OrderChanged,
    OrderCreated,
    OrdersChanged,
    RiskRatio,
    RiskStateChanged,
)
from quarterdeck.client.book import Book, Holding, Valuation
from quarterdeck.client.calls import Unary, new_request_id
from quarterdeck.client.client import DEFAULT_TARGET, Client, SyncClient
from quarterdeck.client.convert import Amount, Interval, Moment, to_dict
from quarterdeck.client.errors import (
    AlreadyExists,
    Conflict,
    ContractBroken,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InternalError,
    InvalidRequest,
    JournalMismatch,
    NotFound,
    OutOfRange,
    PositionAhead,
    PositionCompacted,
    QuarterdeckError,
    ResourceExhausted,
    RiskRefused,
    SizingRefused,
    SlowReader,
    StreamError,
    StreamGap,
    TradingHalted,
    Unavailable,
    UnknownEvent,
)
from quarterdeck.client.events import Event, EventBody
from quarterdeck.client.options import Backoff, Options
from quarterdeck.client.replica import Replica
from quarterdeck.client.resources import (
    Account,
    AccountOverview,
    Balance,
    Bot,
    Candle,
    Fill,
    Instrument,
    Order,
    OrderTerms,
    Plugin,
    Position,
    PositionShare,
    Quote,
    Refusal,
    RiskLimit,
    RiskState,
    Sizing,
    SizingInput,
    SizingStep,
    Status,
    short_id,
)
from quarterdeck.client.sync import SyncListing, SyncStream

__all__ = [
    "DEFAULT_TARGET",
    "Account",
    "AccountOverview",
    "AlreadyExists",
    "Amount",
    "AsyncListing",
    "AsyncStream",
    "Backoff",
    "Balance",
    "Book",
    "Bot",
    "BotChanged",
    "Candle",
    "Client",
    "ComputedSize",
    "Conflict",
    "ContractBroken",
    "DeadlineExceeded",
    "Event",
    "EventBody",
    "FailedPrecondition",
    "FieldViolation",
    "Fill",
    "Holding",
    "Instrument",
    "InternalError",
    "Interval",
    "InvalidRequest",
    "JournalMismatch",
    "Moment",
    "NotFound",
    "Options",
    "Order",
    "OrderChanged",
    "OrderCreated",
    "OrderTerms",
    "OrdersChanged",
    "OutOfRange",
    "Plugin",
    "Position",
    "PositionAhead",
    "PositionCompacted",
    "PositionShare",
    "QuarterdeckError",
    "Quote",
    "Refusal",
    "Replica",
    "ResourceExhausted",
    "RiskLimit",
    "RiskRatio",
    "RiskRefused",
    "RiskState",
    "RiskStateChanged",
    "Sizing",
    "SizingInput",
    "SizingRefused",
    "SizingStep",
    "SlowReader",
    "Status",
    "StreamError",
    "StreamGap",
    "SyncClient",
    "SyncListing",
    "SyncStream",
    "TradingHalted",
    "Unary",
    "Unavailable",
    "UnknownEvent",
    "Valuation",
    "events",
    "new_request_id",
    "short_id",
    "to_dict",
]
