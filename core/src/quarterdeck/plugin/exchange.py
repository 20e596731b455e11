"""Owns the exchange interface: what the daemon asks of a venue, and what a venue may tell it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MarketEvent
from quarterdeck.domain.order import OrderTerms
from quarterdeck.domain.report import Filled, Outcome, Report
from quarterdeck.domain.venue import Activity, VenueAccount, VenueOrder, VenuePosition


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A new order for the venue. `time` is when it leaves, by the daemon's clock; 0 is not known."""

    link_id: str
    terms: OrderTerms
    time: int = 0


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A wish to take an order off the venue. The answer comes as a report, since a fill may win the race.

    An order that somebody else placed may have no link id; it is then named by the venue's own id.
    """

    link_id: str
    symbol: str
    time: int = 0
    exchange_order_id: str = ""


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """A wish to change a working order; a field that is None stays as it is."""

    link_id: str
    symbol: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    time: int = 0


Deliver = Callable[[Report], None]

#: Keeps a frame: the name of the stream it came on, and its bytes. Cheap, never fails, tells nobody anything.
KeepFrame = Callable[[str, bytes], None]


class Exchange(Protocol):
    """A venue. Methods may be awaited concurrently; none retries an order by itself, and none blocks the loop."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    async def open(self, deliver: Deliver) -> None:
        """Connect, and from now on hand every report to `deliver`, from the event loop's thread.

        Up when this returns. When the venue can't be heard any more it says `StreamDown`, and `StreamUp` when it can:
        the daemon then agrees with it anew, as nobody has told what happened meanwhile.
        """

    async def close(self) -> None:
        """Let go of everything. Working orders stay at the venue."""

    async def instruments(self) -> Sequence[Instrument]:
        """Everything that can be traded here, with current filters."""

    async def place(self, order: PlaceOrder) -> Outcome:
        """Send one order, once. A timeout or a broken connection is `Unknown`, never an exception or a rejection."""

    async def cancel(self, order: CancelOrder) -> None:
        """Ask for an order to end; a `Canceled` or `CancelRejected` report follows.

        Raises when nobody knows whether it was asked: it is wanted still.
        """

    async def amend(self, order: AmendOrder) -> None:
        """Ask for a change; an `Amended` or `AmendRejected` report follows."""

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        """What became of an order.

        None says that every list the venue keeps was asked, and none has it now. That alone is no proof that it does
        not exist: it may be on its way, or not visible yet; see `Capabilities`. Raises when it can't tell.
        """

    async def open_orders(self) -> Sequence[VenueOrder]:
        """All working and untriggered orders, whoever placed them, completely paged. Raises when it can't tell."""

    async def positions(self) -> Sequence[VenuePosition]:
        """All positions that are not flat, completely paged. Raises when it can't tell.

        Pairs may be left out where the venue has no positions of them: what is held of those is money.
        """

    async def balances(self) -> Mapping[str, Decimal]:
        """Wallet balance per currency. Raises when it can't tell."""

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        """All fills of one order, completely paged, oldest first. Raises when it can't tell."""

    async def history(self, since: int) -> Sequence[Activity]:
        """All that moved the account at or after `since`, the venue's time, completely paged, oldest first.

        What others did on the account belongs to it. An embedded venue knows what has happened since it was restored.
        Raises when it can't tell, or does not remember that far.
        """


@runtime_checkable
class BulkCancel(Protocol):
    """An exchange that ends many orders with few requests. Optional: without it each is asked for by itself."""

    async def cancel_many(self, orders: Sequence[CancelOrder], emptied: Collection[str]) -> Sequence[CancelOrder]:
        """Ask for all of these to end; of each the same reports follow as after `cancel`.

        `emptied` names the instruments in whose books nothing else of the account's rests, as far as is known: there
        the venue may be told to take off whatever rests. What waits for a trigger, such as a stop, never goes unnamed.
        Returns those of which nobody knows whether they were asked: they are wanted still.
        """


@runtime_checkable
class FrameSource(Protocol):
    """An exchange that also hands on what its venue said, as it came; or a feed, what it holds back. Optional."""

    def record_frames(self, keep: KeepFrame) -> None:
        """Hand every message about the account to `keep`, before it is read, from the event loop's thread.

        A feed hands on what it does not believe.

        Messages that can't be understood too: they are what is kept for. Called before `open`, maybe several times.
        Without it nothing is kept.
        """


@runtime_checkable
class Reminded(Protocol):
    """An exchange whose venue opens orders that carry no id of ours, only its own. Optional."""

    def remind(self, known: Mapping[str, str]) -> None:
        """What the orders the journal remembers go by: our id of each, and the venue's. Called before `open`.

        Later trades and ends of such orders have to come under our id, also those of before this process began.
        """


@runtime_checkable
class Identified(Protocol):
    """An exchange whose account could be traded by others as well. Optional, for a venue behind a wire."""

    @property
    def identities(self) -> Collection[str]:
        """What no two accounts of a daemon may have in common, for people too; nothing secret.

        The key's from the beginning, the account's own once the instruments were read.
        """


@runtime_checkable
class Remarking(Protocol):
    """An exchange that says how its parts are, beyond whether it can be heard. Optional."""

    def remarks(self) -> Sequence[str]:
        """A sentence for each part that people should know of, such as one that is down; shown with the status."""


@runtime_checkable
class EmbeddedExchange(Exchange, Protocol):
    """A venue inside this process. It lives on the market events it is shown and starts from the journal's account."""

    def restore(self, account: VenueAccount) -> None:
        """Take over balances, positions and working orders. Called once, before `open`."""

    def on_market(self, event: MarketEvent) -> None:
        """See the market move; fills and other reports are delivered before this returns.

        Called before the engine sees the same event, so what rests at the venue trades before anything new arrives.
        """
