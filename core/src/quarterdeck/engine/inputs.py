"""Owns everything the engine can be told: commands of people and programs, news of the venue and the daemon.

Market events (`domain.market`) and venue reports (`domain.report`) are inputs too, as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from quarterdeck.domain.bot import BotSpec
from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, FundingRate, Quote, Side, Ticker, Trade
from quarterdeck.domain.order import OrderType, TimeInForce
from quarterdeck.domain.report import Report
from quarterdeck.domain.venue import VenueSnapshot
from quarterdeck.engine.obstacles import Obstacle


@dataclass(slots=True)  # made for every signal; see events.py on why it is not frozen
class SubmitOrder:
    """An order that wants to be placed. Without `quantity` its stop sizes it; without `order_id` one is minted."""

    order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    trailing_distance: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    bot_id: str = ""


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Take an order off the venue."""

    order_id: str


@dataclass(frozen=True, slots=True)
class ResolveOrder:
    """A person who knows says that an order whose outcome is unknown never arrived. `reason` says who, and how."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """Change a working order; a field that is None stays."""

    order_id: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CancelAllOrders:
    """Cancel working entries and exits, of one instrument and/or bot if named. Protection stays."""

    symbol: str | None = None
    bot_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClosePosition:
    """Close a position at the market; of one bot if named, else of every owner."""

    symbol: str
    bot_id: str | None = None


@dataclass(frozen=True, slots=True)
class CreateBot:
    """Make a bot, stopped; with its strategy, built and warmed up, it runs at once."""

    spec: BotSpec
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True)
class StartBot:
    """Run a bot, with its strategy built and warmed up; also resumes a paused one, whose `strategy` is None."""

    bot_id: str
    strategy: Strategy | None


@dataclass(frozen=True, slots=True)
class PauseBot:
    """Take no new entries."""

    bot_id: str


@dataclass(frozen=True, slots=True)
class StopBot:
    """Stop feeding a bot; its working entries are cancelled. `flatten` also closes what it holds."""

    bot_id: str
    flatten: bool = False


@dataclass(frozen=True, slots=True)
class FailBot:
    """A bot's strategy can't be built or has failed outside the engine."""

    bot_id: str
    failure: str


@dataclass(frozen=True, slots=True)
class EngageKillSwitch:
    """Halt trading: cancel every working entry, and with `flatten` close every position. Stops stay until flat."""

    reason: str
    flatten: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseKillSwitch:
    """Trade again."""

    reason: str


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """The first fact of a new account."""

    mode: str
    settle: str
    balances: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class StartDaemon:
    """A daemon takes up the account."""

    version: str
    mode: str
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopDaemon:
    """The daemon ends in order."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sending:
    """The order link is about to send an order: the last moment at which it is certain not to have left."""

    link_id: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The venue, when asked, says otherwise than the journal."""

    detail: str


@dataclass(frozen=True, slots=True)
class SetObstacle:
    """From now on nothing that adds risk may leave. One with the same name is replaced."""

    obstacle: Obstacle


@dataclass(frozen=True, slots=True)
class ClearObstacle:
    """What stood in the way by this name is over."""

    name: str


@dataclass(frozen=True, slots=True)
class Reconcile:
    """One look at all the venue holds. `moves` is the state's at that moment, so that an old look is not believed.

    `adjust` says that the venue has said the same before: what its history does not explain is booked now.
    """

    snapshot: VenueSnapshot
    moves: int
    adjust: bool = False


@dataclass(frozen=True, slots=True)
class ListInstruments:
    """What the venue lists now, and by which rules. What it lists no more can only be reduced."""

    instruments: tuple[Instrument, ...]


class Timer(StrEnum):
    """The daemon's clock moved on; nothing else happened."""

    TICK = "TICK"


Command = (
    SubmitOrder
    | CancelOrder
    | AmendOrder
    | ResolveOrder
    | CancelAllOrders
    | ClosePosition
    | CreateBot
    | StartBot
    | PauseBot
    | StopBot
    | EngageKillSwitch
    | ReleaseKillSwitch
)

Notice = (
    OpenAccount
    | StartDaemon
    | StopDaemon
    | FailBot
    | Sending
    | Disagreement
    | SetObstacle
    | ClearObstacle
    | Reconcile
    | ListInstruments
    | Timer
)

Input = Candle | Quote | Trade | FundingRate | Ticker | Report | Command | Notice


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, for retries: the caller's id of the wish and a digest of its content. Empty for the engine's own."""

    request_id: str = ""
    digest: str = ""


NO_REQUEST = Request()


@dataclass(frozen=True, slots=True)
class Agreement:
    """What came of a look at the venue.

    `differences` are left, in words; `asked` are link ids of orders that work here and that the venue did not list;
    `booked` and `adjusted` count what moved the account; `confirmed` are the currencies of which both now say the same.
    When the look was overtaken, nothing was done.
    """

    differences: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    booked: int = 0
    adjusted: int = 0
    confirmed: tuple[str, ...] = ()
    is_overtaken: bool = False
