"""Owns Bybit behind the exchange interface: one account's orders, and what Bybit says of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import structlog

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import DAY, SECOND
from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import (
    Acked,
    AmendRejected,
    BalanceChanged,
    CancelRejected,
    Filled,
    NotSent,
    Opened,
    Outcome,
    Rejected,
    Report,
    StreamDown,
    StreamUp,
    Unknown,
)
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
from quarterdeck_exchange_bybit.account import Account
from quarterdeck_exchange_bybit.budget import Budget
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.account import read_balances, read_position
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.listing import LINEAR, SPOT, Listing, category_of
from quarterdeck_exchange_bybit.codec.orders import (
    OrderRow,
    amend_params,
    cancel_params,
    create_params,
    trailing_params,
)
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed, Row
from quarterdeck_exchange_bybit.credentials import load_credentials
from quarterdeck_exchange_bybit.ear import Ear, activity_id
from quarterdeck_exchange_bybit.line import Line
from quarterdeck_exchange_bybit.links import Links
from quarterdeck_exchange_bybit.rest import Rest, Unreachable, Written
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import MODES, BybitSettings

log = structlog.get_logger(__name__)

_TOPICS = ("order", "execution", "position", "wallet")

#: Conditional orders come under other filters than plain ones.
_FILTERS = {LINEAR: ("Order", "StopOrder"), SPOT: ("Order", "StopOrder", "tpslOrder")}

#: One query of executions spans at most this much.
_WEEK = 7 * DAY

#: How long an order that Bybit has taken may be out of sight of its own queries.
VISIBILITY = 20 * SECOND

#: The stream has to tell of what a REST answer told within this many seconds, or it is mute.
MUTE_SECONDS = 5.0

#: How long the streams may take to come up.
OPEN_SECONDS = 20.0

#: How often what the stream has told is compared with the latest execution Bybit knows.
CANARY_SECONDS = 5.0


class BybitExchange:
    """One unified account. Implements `quarterdeck.plugin.Exchange`."""

    def __init__(self, settings: BybitSettings) -> None:
        self._settings = settings
        self._credentials = load_credentials(settings.credentials)
        self._clock = ServerClock()
        self._rest = Rest(settings, self._credentials, self._clock, Budget())
        self._account = Account(settings, self._rest, self._clock)
        self._listing: Listing | None = None
        self._links = Links()
        self._heard_by: Ear | None = None
        self._deliver: Deliver = _nobody
        self._keep: KeepFrame = _no_frame
        self._line: Line | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._was_up = False
        self._up_since = 0
        """Bybit's time from which on the stream has to have told everything."""
        self._up = asyncio.Event()

    @property
    def capabilities(self) -> Capabilities:
        """What Bybit can do, and how long it may keep us waiting for proof."""
        return Capabilities(
            reducing_types=frozenset({OrderType.TRAILING_STOP}),
            admission_window=self._settings.receive_window * MILLISECOND,
            visibility=VISIBILITY,
            mode=MODES[self._settings.environment],
        )

    @property
    def is_live(self) -> bool:
        """Whether the account can be heard."""
        return self._line is not None and self._line.is_up

    @property
    def frames_heard(self) -> int:
        """Frames of the private stream so far."""
        return self._line.frames if self._line else 0

    # ------------------------------------------------------------ life

    async def instruments(self) -> Sequence[Instrument]:
        """What the settings name, with Bybit's filters and the account's fees.

        Raises:
            ConfigError: the key, the account or a symbol is not as it has to be.
            Unreachable: Bybit did not say.
        """
        await self._account.check()
        listing = Listing(await self._account.instruments())
        await self._account.set_modes(listing)
        self._listing = listing
        self._heard_by = Ear(listing, self._links, self._suspect)
        return tuple(listing)

    def record_frames(self, keep: KeepFrame) -> None:
        """Hand on what the private stream says. Implements `quarterdeck.plugin.FrameSource`."""
        self._keep = keep

    async def open(self, deliver: Deliver) -> None:
        """Listen to the account; returns once the streams are up.

        Raises:
            Unreachable: they did not come up.
        """
        self._deliver = self._ear.deliver = deliver
        if self._line is None:
            self._line = Line(
                "private",
                self._settings.site.private,
                "private",
                _TOPICS,
                self._clock,
                self._ear.hear,
                credentials=self._credentials,
                up=self._came_up,
                down=self._went_down,
                keep=self._keep,
            )
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._line.run()), loop.create_task(self._watch())]
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._up.wait()
        except TimeoutError as error:
            raise Unreachable(f"the private stream did not come up within {OPEN_SECONDS:g} s") from error

    async def close(self) -> None:
        """Let go of everything. Orders and stops stay at Bybit, and nothing is told any more."""
        self._deliver = _nobody
        if self._heard_by is not None:
            self._heard_by.deliver = _nobody
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._rest.close()

    # ------------------------------------------------------------ requests

    async def place(self, order: PlaceOrder) -> Outcome:
        """Send one order, once."""
        instrument = self._instrument(order.terms.symbol)
        terms, link = order.terms, order.link_id
        if terms.type is OrderType.TRAILING_STOP:
            return await self._place_trailing(order, instrument)
        if (
            instrument.kind is InstrumentKind.SPOT
            and terms.limit_price is None
            and (terms.stop_loss or terms.take_profit)
        ):
            return NotSent(
                link, "Bybit attaches protection to spot orders only if they have a limit", self._clock.now()
            )
        self._ear.note_quantity(link, terms.quantity)
        params, sent = create_params(instrument, terms, link), time.monotonic()
        written = await self._rest.write("place_order", params, reduces=terms.reduce_only)
        outcome = self._outcome(link, written)
        if isinstance(outcome, Acked):
            self._ear.expect(link, sent)
        return outcome

    async def _place_trailing(self, order: PlaceOrder, instrument: Instrument) -> Outcome:
        """A trailing stop lives on the position: there is one, and it has no id of ours."""
        distance = order.terms.trailing_distance
        if distance is None or not order.terms.reduce_only or instrument.kind is not InstrumentKind.LINEAR:
            return NotSent(
                order.link_id, "Bybit has trailing stops only to reduce a perpetual's position", self._clock.now()
            )
        self._links.expect_trailing(instrument.symbol, order.link_id)
        written = await self._rest.write("set_trading_stop", trailing_params(instrument, distance), reduces=True)
        outcome = self._outcome(order.link_id, written)
        if isinstance(outcome, Acked):
            return Opened(order.link_id, outcome.exchange_order_id, outcome.time)
        return outcome

    def _outcome(self, link: str, written: Written) -> Outcome:
        now = self._clock.now()
        if not written.left:
            return NotSent(link, written.text, now)
        match written.verdict:
            case Verdict.TAKEN:
                return Acked(link, written.result.text_or("orderId"), now)
            case Verdict.REFUSED:
                return Rejected(link, f"{written.code} {written.text}"[:200], now)
            case Verdict.UNKNOWN:
                return Unknown(link, f"{written.code} {written.text}"[:200], now)

    async def cancel(self, order: CancelOrder) -> None:
        """Ask for an order to end; the stream tells what came of it."""
        instrument = self._instrument(order.symbol)
        target = order.exchange_order_id or self._links.order_id(order.link_id)
        params, sent = cancel_params(instrument, order.link_id, target), time.monotonic()
        written = await self._rest.write("cancel_order", params, reduces=True)
        if written.verdict is not Verdict.TAKEN:
            self._deliver(CancelRejected(order.link_id, _reason(written), self._clock.now()))
        else:
            self._ear.expect(order.link_id, sent)

    async def amend(self, order: AmendOrder) -> None:
        """Ask for a change; the stream tells what came of it."""
        params = amend_params(
            self._instrument(order.symbol),
            order.link_id,
            self._links.order_id(order.link_id),
            quantity=order.quantity,
            limit_price=order.limit_price,
            trigger_price=order.trigger_price,
        )
        written = await self._rest.write("amend_order", params)
        if written.verdict is not Verdict.TAKEN and written.code not in codes.UNCHANGED:
            self._deliver(AmendRejected(order.link_id, _reason(written), self._clock.now()))

    # ------------------------------------------------------------ questions

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        """What became of an order, by its link id or, for what Bybit opened, by Bybit's.

        Raises:
            Unreachable: one of the lists could not be read.
        """
        instrument = self._instrument(symbol)
        where = {"category": category_of(instrument.kind), "symbol": instrument.venue_symbol}
        order_id = self._links.order_id(link_id)
        target = {"orderId": order_id} if order_id else {"orderLinkId": link_id}
        found: list[OrderRow] = []
        for method in ("get_open_orders", "get_order_history"):
            rows = await self._rest.pages(method, **where, **target, limit=50)
            found += [self._ear.order(row, where["category"]) for row in rows]
        known = [each.order for each in found if each.state is not None and each.order.link_id == link_id]
        return max(known, key=lambda each: each.update_time, default=None)

    async def open_orders(self) -> Sequence[VenueOrder]:
        """All that work or wait for a trigger.

        Raises:
            Unreachable: a page could not be read.
        """
        rows: dict[str, OrderRow] = {}
        for category in self._categories:
            scope = {"settleCoin": self._settings.settle} if category == LINEAR else {}
            for wanted in _FILTERS[category]:
                for row in await self._rest.pages(
                    "get_open_orders", category=category, orderFilter=wanted, openOnly=0, limit=50, **scope
                ):
                    if self._ear.is_ours(row, category):
                        read = self._ear.order(row, category)
                        rows[read.order.exchange_order_id] = read
        return [
            row.order
            for row in rows.values()
            if row.state is not None and row.state.name in ("OPEN", "PARTIALLY_FILLED")
        ]

    async def positions(self) -> Sequence[VenuePosition]:
        """All contracts' positions that are not flat, of the instruments that are traded.

        Raises:
            Unreachable: a page could not be read.
        """
        if LINEAR not in self._categories:
            return []
        rows = await self._rest.pages("get_positions", category=LINEAR, settleCoin=self._settings.settle, limit=200)
        read = [read_position(row, self._listed, LINEAR) for row in rows if self._ear.is_ours(row, LINEAR)]
        hedged = [each.position.symbol for each in read if each.side_index]
        if hedged:
            raise Unreachable(f"{', '.join(hedged)} is in hedge mode, which is not traded in here")
        return [each.position for each in read if each.position.quantity]

    async def balances(self) -> Mapping[str, Decimal]:
        """Wallet balance per coin, debts below zero."""
        result = await self._rest.read("get_wallet_balance", accountType="UNIFIED")
        return {coin: amount for row in result.rows("list") for coin, amount in read_balances(row) if amount}

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        """All fills of one order, oldest first."""
        instrument = self._instrument(symbol)
        order_id = self._links.order_id(link_id)
        target = {"orderId": order_id} if order_id else {"orderLinkId": link_id}
        category = category_of(instrument.kind)
        rows = await self._rest.pages(
            "get_executions", category=category, symbol=instrument.venue_symbol, **target, limit=100
        )
        read = [self._ear.execution(row, category).report for row in rows]
        return _in_order(each for each in read if isinstance(each, Filled) and each.link_id == link_id)

    async def history(self, since: int) -> Sequence[Activity]:
        """All fills, funding and transfers since a time, week by week, oldest first."""
        now = self._clock.now()
        found: dict[str, Activity] = {}
        start = max(since, now - 700 * DAY)
        while start <= now:
            window = {"startTime": start // MILLISECOND, "endTime": min(start + _WEEK, now + SECOND) // MILLISECOND}
            for category in self._categories:
                for row in await self._rest.pages("get_executions", category=category, limit=100, **window):
                    if self._ear.is_ours(row, category):
                        report = self._ear.execution(row, category).report
                        found[activity_id(report)] = report
            for row in await self._rest.pages("get_transaction_log", accountType="UNIFIED", limit=50, **window):
                change = _transfer(row)
                if change is not None:
                    found[change.change_id] = change
            start += _WEEK
        return sorted(found.values(), key=lambda each: each.time)

    # ------------------------------------------------------------ whether the stream tells everything

    def _suspect(self, reason: str) -> None:
        if self._line is not None:
            self._line.suspect(reason)

    def _came_up(self) -> None:
        self._ear.forget_expectations()
        self._up_since = self._clock.now()
        self._up.set()
        if self._was_up:
            self._deliver(StreamUp(self._clock.now()))
        self._was_up = True

    def _went_down(self, reason: str) -> None:
        self._up.clear()
        self._deliver(StreamDown(reason, self._clock.now()))

    async def _watch(self) -> None:
        """Keep the clock, and see that the stream is not mute: pings prove nothing."""
        while True:
            await asyncio.sleep(CANARY_SECONDS)
            try:
                await self._account.sample_clock()
                if self._line is not None and self._line.is_up:
                    await self._listen_for_silence()
            except (Unreachable, Malformed) as error:
                log.warning("bybit_watch_failed", reason=str(error))
            except Exception:
                log.exception("bybit_watch_raised")

    async def _listen_for_silence(self) -> None:
        late = self._ear.overdue(time.monotonic() - MUTE_SECONDS)
        if late:
            self._ear.forget_expectations()
            self._suspect(f"nothing was heard of {late} for {MUTE_SECONDS:g} s")
            return
        since = (self._clock.now() - 60 * SECOND) // MILLISECOND
        until = self._clock.now() - int(MUTE_SECONDS * SECOND)
        for category in self._categories:
            result = await self._rest.read("get_executions", category=category, startTime=since, limit=20)
            for row in result.rows("list"):
                if not self._ear.is_ours(row, category):
                    continue
                report = self._ear.execution(row, category).report
                if self._up_since < report.time < until and self._ear.remember(activity_id(report)):
                    self._suspect(f"the stream has not told of {activity_id(report)}")
                    return

    # ------------------------------------------------------------ what is traded

    @property
    def _ear(self) -> Ear:
        if self._heard_by is None:
            raise Unreachable("the instruments have not been asked for yet")
        return self._heard_by

    @property
    def _listed(self) -> Listing:
        if self._listing is None:
            raise Unreachable("the instruments have not been asked for yet")
        return self._listing

    @property
    def _categories(self) -> tuple[str, ...]:
        return tuple(sorted({category_of(one.kind) for one in self._listed}))

    def _instrument(self, symbol: str) -> Instrument:
        return self._listed[symbol]


def _reason(written: Written) -> str:
    if not written.left:
        return f"not sent: {written.text}"[:200]
    known = "the outcome is not known: " if written.verdict is Verdict.UNKNOWN else ""
    return f"{known}{written.code} {written.text}"[:200]


def _in_order(fills: Iterable[Filled]) -> list[Filled]:
    return sorted(fills, key=lambda fill: (fill.time, fill.trade_id))


def _transfer(row: Row) -> BalanceChanged | None:
    """A row of the transaction log, if it moved money for another reason than trading here."""
    kind = row.text("type")
    if kind in ("TRADE", "SETTLEMENT", "DELIVERY", "LIQUIDATION", "ADL"):
        return None
    change = row.number_or("change") or ZERO
    if not change:
        return None
    return BalanceChanged(row.text("id"), row.text("currency"), change, kind, row.time("transactionTime"))


def _nobody(report: Report) -> None:
    """Nobody listens yet."""


def _no_frame(source: str, body: bytes) -> None:
    """Nobody keeps any."""
