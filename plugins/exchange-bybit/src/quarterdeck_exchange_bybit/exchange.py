"""Owns Bybit behind the exchange interface: one account's orders, and what Bybit says of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND
from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import Filled, Outcome, Report, StreamDown, StreamUp
from quarterdeck.domain.venue import Activity
from quarterdeck.plugin import (
    AmendOrder,
    CancelOrder,
    Capabilities,
    Deliver,
    KeepFrame,
    PlaceOrder,
    VenueOrder,
    VenuePosition,
)
from quarterdeck_exchange_bybit import dcp
from quarterdeck_exchange_bybit.account import Account
from quarterdeck_exchange_bybit.budget import Budget, address_at
from quarterdeck_exchange_bybit.codec.listing import Listing
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed
from quarterdeck_exchange_bybit.credentials import load_credentials
from quarterdeck_exchange_bybit.ear import Ear, activity_id
from quarterdeck_exchange_bybit.line import Line
from quarterdeck_exchange_bybit.links import Links
from quarterdeck_exchange_bybit.orders import Orders
from quarterdeck_exchange_bybit.questions import Questions
from quarterdeck_exchange_bybit.rest import Rest, Unreachable
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import MODES, BybitSettings, Way
from quarterdeck_exchange_bybit.trade import TradeSocket
from quarterdeck_exchange_bybit.ways import Ways

log = structlog.get_logger(__name__)

_TOPICS = ("order", "execution", "position", "wallet")

#: How long an order that Bybit has taken may be out of sight of its own queries.
VISIBILITY = 20 * SECOND

#: The stream has to tell of what a REST answer told within this many seconds, or it is mute.
MUTE_SECONDS = 5.0

#: How long the streams may take to come up.
OPEN_SECONDS = 20.0

#: How often what the stream has told is compared with the latest execution Bybit knows.
CANARY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Desk:
    """What can be worked with once the instruments are known."""

    listing: Listing
    ear: Ear
    links: Links
    orders: Orders
    questions: Questions


class BybitExchange:
    """One unified account. Implements `quarterdeck.plugin.Exchange`."""

    def __init__(self, settings: BybitSettings) -> None:
        self._settings = settings
        self._credentials = load_credentials(settings.credentials)
        self._clock = ServerClock()
        budget = Budget(address_at(settings.site.rest))
        self._can_order = asyncio.Event()
        if settings.orders is Way.REST:
            self._can_order.set()
        self._rest = Rest(settings, self._credentials, self._clock, budget)
        self._trade: TradeSocket | None = None
        if settings.has_trade_socket:
            self._trade = TradeSocket(settings, self._credentials, self._clock, budget, up=self._can_order.set)
        self._ways = Ways(self._rest, self._trade, settings.orders)
        self._account = Account(settings, self._rest, self._clock)
        self._known: _Desk | None = None
        self._deliver: Deliver = _nobody
        self._keep: KeepFrame = _no_frame
        self._line: Line | None = None
        self._protection: dcp.Protection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._was_up = False
        self._is_off = False
        """This machine's clock is too far from Bybit's."""
        self._up_since = 0
        """Bybit's time from which on the stream has to have told everything."""
        self._up = asyncio.Event()

    @property
    def capabilities(self) -> Capabilities:
        """What Bybit can do, and how long it may keep us waiting for proof."""
        return Capabilities(
            reducing_types=frozenset({OrderType.TRAILING_STOP}),
            immediate=True,  # one sync less for each order; what is over the budget is told as not sent
            admission_window=self._settings.receive_window * MILLISECOND,
            visibility=VISIBILITY,
            mode=MODES[self._settings.environment],
        )

    @property
    def identities(self) -> Collection[str]:
        """The key, without showing it, and the account it turned out to belong to. Implements `plugin.Identified`."""
        where = self._settings.site.rest
        known = [f"key {self._credentials.fingerprint} at {where}"]
        if self._account.key is not None:
            known.append(f"account {self._account.key.user_id} at {where}")
        return known

    @property
    def is_live(self) -> bool:
        """Whether the account can be heard."""
        return self._line is not None and self._line.is_up

    @property
    def frames_heard(self) -> int:
        """Frames of the private stream so far."""
        return self._line.frames if self._line else 0

    def remarks(self) -> Sequence[str]:
        """What is down, and how disconnection protection is. Implements `quarterdeck.plugin.Remarking`."""
        found: list[str] = []
        if self._rest.banned_for:
            found.append(f"Bybit turns this address away for another {self._rest.banned_for:.0f} s")
        if self._trade is not None and self._tasks and not self._trade.is_up:
            found.append("the trade socket is down")
        if self._protection is not None:
            found.append(f"disconnection protection: {self._protection.state}")
        return found

    # ------------------------------------------------------------ life

    async def instruments(self) -> Sequence[Instrument]:
        """What the settings name, with Bybit's filters and the account's fees; later on, as they are by then.

        Raises:
            ConfigError: the key, the account or a symbol is not as it has to be.
            Unreachable: Bybit did not say.
        """
        if self._known is not None:
            self._known.listing.update(await self._account.relisted(self._known.listing))
            return tuple(self._known.listing)
        await self._account.check()
        listing = Listing(await self._account.instruments())
        await self._account.set_modes(listing)
        links = Links()
        ear = Ear(listing, links, self._suspect)
        orders = Orders(self._ways, self._clock, listing, ear, links)
        questions = Questions(self._rest, self._clock, listing, ear, links, self._settings.settle)
        self._known = _Desk(listing, ear, links, orders, questions)
        return tuple(listing)

    def record_frames(self, keep: KeepFrame) -> None:
        """Hand on what the private stream says. Implements `quarterdeck.plugin.FrameSource`."""
        self._keep = keep

    def remind(self, known: Mapping[str, str]) -> None:
        """Know protection of ours again by Bybit's ids. Implements `quarterdeck.plugin.Reminded`."""
        self._desk.links.remind(known)

    async def open(self, deliver: Deliver) -> None:
        """Listen to the account; returns once it is heard, and orders can leave by the way they are to take.

        Raises:
            Unreachable: they did not come up.
        """
        ear, categories = self._desk.ear, self._desk.listing.categories
        self._deliver = ear.deliver = deliver
        if self._line is None:
            self._line = Line(
                "private",
                self._settings.site.private,
                "private",
                _TOPICS,
                self._clock,
                ear.hear,
                welcome=dcp.topics(categories) if self._settings.dcp_seconds else (),
                credentials=self._credentials,
                up=self._came_up,
                down=self._went_down,
                keep=self._keep,
            )
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._line.run()), loop.create_task(self._watch())]
            if self._trade is not None:
                self._tasks.append(loop.create_task(self._trade.line.run()))
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._up.wait()
                await self._can_order.wait()
        except TimeoutError as error:
            which = "trade socket" if self._up.is_set() else "private stream"
            raise Unreachable(f"the {which} did not come up within {OPEN_SECONDS:g} s") from error
        if self._settings.dcp_seconds and self._protection is None:
            line = self._line
            self._protection = dcp.Protection(self._rest, self._settings.dcp_seconds, categories, lambda: line.refused)
            self._tasks.append(asyncio.get_running_loop().create_task(self._protection.run()))

    async def close(self) -> None:
        """Let go of everything. Orders and stops stay at Bybit, and nothing is told any more."""
        self._deliver = _nobody
        if self._known is not None:
            self._known.ear.deliver = _nobody
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._rest.close()

    # ------------------------------------------------------------ requests

    async def place(self, order: PlaceOrder) -> Outcome:
        """Send one order, once."""
        return await self._desk.orders.place(order)

    async def cancel(self, order: CancelOrder) -> None:
        """Ask for an order to end. Raises Unreachable."""
        await self._desk.orders.cancel(order)

    async def cancel_many(self, orders: Sequence[CancelOrder], emptied: Collection[str]) -> Sequence[CancelOrder]:
        """Ask for all of these to end. Implements `quarterdeck.plugin.BulkCancel`."""
        return await self._desk.orders.cancel_many(orders, emptied)

    async def amend(self, order: AmendOrder) -> None:
        """Ask for a change; the stream tells what came of it."""
        await self._desk.orders.amend(order)

    # ------------------------------------------------------------ questions

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        """What became of an order. Raises Unreachable."""
        return await self._desk.questions.find_order(link_id, symbol)

    async def open_orders(self) -> Sequence[VenueOrder]:
        """All that work or wait for a trigger. Raises Unreachable."""
        return await self._desk.questions.open_orders()

    async def positions(self) -> Sequence[VenuePosition]:
        """All contracts' positions that are not flat. Raises Unreachable."""
        return await self._desk.questions.positions()

    async def balances(self) -> Mapping[str, Decimal]:
        """Wallet balance per coin. Raises Unreachable."""
        return await self._desk.questions.balances()

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        """All fills of one order. Raises Unreachable."""
        return await self._desk.questions.fills(link_id, symbol)

    async def history(self, since: int) -> Sequence[Activity]:
        """All that moved the account since a time. Raises Unreachable."""
        return await self._desk.questions.history(since)

    # ------------------------------------------------------------ whether the stream tells everything

    def _suspect(self, reason: str) -> None:
        if self._line is not None:
            self._line.suspect(reason)

    def _came_up(self) -> None:
        self._desk.ear.forget_expectations()
        self._up_since = self._clock.now()
        self._up.set()
        if self._was_up and not self._is_off:
            self._deliver(StreamUp(self._clock.now()))
        self._was_up = True

    def _compare_clocks(self) -> None:
        """What can't be asked for by its time is as good as not heard."""
        problem, was_off = self._clock.problem, self._is_off
        self._is_off = bool(problem)
        if problem and not was_off:
            self._deliver(StreamDown(problem, self._clock.now()))
        elif was_off and not problem and self.is_live:
            self._deliver(StreamUp(self._clock.now()))

    def _went_down(self, reason: str) -> None:
        self._up.clear()
        self._deliver(StreamDown(reason, self._clock.now()))

    async def _watch(self) -> None:
        """Keep the clock, and see that the stream is not mute: pings prove nothing."""
        while True:
            await asyncio.sleep(CANARY_SECONDS)
            try:
                await self._account.sample_clock()
                self._compare_clocks()
                if self._line is not None and self._line.is_up:
                    await self._listen_for_silence()
            except (Unreachable, Malformed) as error:
                log.warning("bybit_watch_failed", reason=str(error))
            except Exception:
                log.exception("bybit_watch_raised")

    async def _listen_for_silence(self) -> None:
        desk = self._desk
        late = desk.ear.overdue(time.monotonic() - MUTE_SECONDS)
        if late:
            desk.ear.forget_expectations()
            self._suspect(f"nothing was heard of {late} for {MUTE_SECONDS:g} s")
            return
        since = (self._clock.now() - 60 * SECOND) // MILLISECOND
        until = self._clock.now() - int(MUTE_SECONDS * SECOND)
        for category in desk.listing.categories:
            result = await self._rest.read("get_executions", category=category, startTime=since, limit=20)
            for row in result.rows("list"):
                if not desk.ear.is_ours(row, category):
                    continue
                report = desk.ear.execution(row, category).report
                if self._up_since < report.time < until and desk.ear.remember(activity_id(report)):
                    self._suspect(f"the stream has not told of {activity_id(report)}")
                    return

    @property
    def _desk(self) -> _Desk:
        if self._known is None:
            raise Unreachable("the instruments have not been asked for yet")
        return self._known


def _nobody(report: Report) -> None:
    """Nobody listens yet."""


def _no_frame(source: str, body: bytes) -> None:
    """Nobody keeps any."""
