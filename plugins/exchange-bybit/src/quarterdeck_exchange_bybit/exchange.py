"""Owns Bybit behind the exchange interface: one account's orders, and what Bybit says of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import structlog

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import DAY, SECOND
from quarterdeck.domain.order import CLOSED_STATES, OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.report import (
    Acked,
    Amended,
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
    PlaceOrder,
    VenueOrder,
    VenuePosition,
)
from quarterdeck_exchange_bybit.account import Account
from quarterdeck_exchange_bybit.budget import Budget
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.account import read_balances, read_position
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.executions import Execution, read_execution
from quarterdeck_exchange_bybit.codec.frames import Topic
from quarterdeck_exchange_bybit.codec.listing import LINEAR, SPOT, Listing, category_of
from quarterdeck_exchange_bybit.codec.orders import (
    OrderRow,
    amend_params,
    cancel_params,
    create_params,
    opened_by_venue,
    order_reports,
    read_order,
    trailing_params,
)
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed, Row
from quarterdeck_exchange_bybit.credentials import load_credentials
from quarterdeck_exchange_bybit.line import Line
from quarterdeck_exchange_bybit.links import Links
from quarterdeck_exchange_bybit.rest import Rest, Unreachable, Written
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings

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
        self._deliver: Deliver = _nobody
        self._line: Line | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._was_up = False
        self._up = asyncio.Event()
        self._awaited: dict[str, float] = {}
        self._told: dict[str, None] = {}
        self._introduced: dict[str, OrderTerms] = {}
        self._quantities: dict[str, Decimal] = {}

    @property
    def capabilities(self) -> Capabilities:
        """What Bybit can do, and how long it may keep us waiting for proof."""
        return Capabilities(
            reducing_types=frozenset({OrderType.TRAILING_STOP}),
            admission_window=self._settings.receive_window * MILLISECOND,
            visibility=VISIBILITY,
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
        return tuple(listing)

    async def open(self, deliver: Deliver) -> None:
        """Listen to the account; returns once the streams are up.

        Raises:
            Unreachable: they did not come up.
        """
        self._deliver = deliver
        if self._line is None:
            self._line = Line(
                "private",
                self._settings.site.private,
                "private",
                _TOPICS,
                self._clock,
                self._hear,
                credentials=self._credentials,
                up=self._came_up,
                down=self._went_down,
            )
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._line.run()), loop.create_task(self._watch())]
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._up.wait()
        except TimeoutError as error:
            raise Unreachable(f"the private stream did not come up within {OPEN_SECONDS:g} s") from error

    async def close(self) -> None:
        """Let go of everything. Orders and stops stay at Bybit."""
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
        self._quantities[link] = terms.quantity
        params = create_params(instrument, terms, link)
        written = await self._rest.write("place_order", params, reduces=terms.reduce_only)
        outcome = self._outcome(link, written)
        if isinstance(outcome, Acked):
            self._await(link)
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
        params = cancel_params(instrument, order.link_id, target)
        written = await self._rest.write("cancel_order", params, reduces=True)
        if written.verdict is not Verdict.TAKEN:
            self._deliver(CancelRejected(order.link_id, _reason(written), self._clock.now()))
        else:
            self._await(order.link_id)

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
            found += [self._order(row, where["category"]) for row in rows]
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
                    if self._is_ours(row, category):
                        read = self._order(row, category)
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
        read = [read_position(row, self._listed, LINEAR) for row in rows if self._is_ours(row, LINEAR)]
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
        read = [self._execution(row, category).report for row in rows]
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
                    if self._is_ours(row, category):
                        report = self._execution(row, category).report
                        found[_activity_id(report)] = report
            for row in await self._rest.pages("get_transaction_log", accountType="UNIFIED", limit=50, **window):
                change = _transfer(row)
                if change is not None:
                    found[change.change_id] = change
            start += _WEEK
        return sorted(found.values(), key=lambda each: each.time)

    # ------------------------------------------------------------ the stream

    def _hear(self, topic: Topic) -> None:
        """One message of a private topic; what Bybit says of instruments that are not traded here is not ours."""
        kind = topic.kind
        if kind not in ("order", "execution"):
            return  # positions and wallets follow from fills; what does not is found by agreeing with Bybit
        for row in topic.message.rows("data"):
            category = row.text_or("category") or LINEAR
            if not self._is_ours(row, category):
                continue
            if kind == "order":
                self._hear_order(self._order(row, category))
            else:
                self._hear_execution(self._execution(row, category))

    def _hear_order(self, news: OrderRow) -> None:
        self._awaited.pop(news.order.link_id, None)
        if news.state is None:
            log.error("bybit_unknown_status", status=news.status, order=news.order.link_id)
            self._suspect(f"order status {news.status!r} is not known")
            return
        self._introduce(news)
        if (
            self._links.is_external(news.order.link_id)
            and news.role is None
            and news.order.link_id not in self._introduced
        ):
            return  # somebody else's, over before it was heard of: its executions tell all there is to tell
        self._note_cut(news)
        for report in order_reports(news):
            self._deliver(report)

    def _note_cut(self, news: OrderRow) -> None:
        """Bybit cuts a reduce-only order down to the position, and fills it whole without another word."""
        order = news.order
        known = self._quantities.get(order.link_id)
        if known is not None and order.terms.quantity != known and news.state is not OrderState.CANCELED:
            self._deliver(Amended(order.link_id, order.update_time, order.terms.quantity))
        if news.state in CLOSED_STATES:
            self._quantities.pop(order.link_id, None)
        elif order.link_id in self._quantities:
            self._quantities[order.link_id] = order.terms.quantity

    def _introduce(self, news: OrderRow) -> None:
        """Tell of an order that nobody here placed: once, and again when more of it is covered."""
        link = news.order.link_id
        role = news.role or (OrderRole.EXTERNAL if self._links.is_external(link) else None)
        if role is None or link in self._links.trailing:
            return
        known = self._introduced.get(link)
        is_open = news.state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED)
        if (is_open and known != news.order.terms) or (known is None and role is not OrderRole.EXTERNAL):
            self._introduced[link] = news.order.terms
            self._deliver(opened_by_venue(news, role))

    def _hear_execution(self, execution: Execution) -> None:
        self._remember(_activity_id(execution.report))
        for report in execution.reports:
            self._deliver(report)

    def _order(self, row: Row, category: str) -> OrderRow:
        """A row, under the name its order has here."""
        read = read_order(row, self._listed, category)
        link = self._links.learn(read)
        return read if link == read.order.link_id else replace(read, order=replace(read.order, link_id=link))

    def _execution(self, row: Row, category: str) -> Execution:
        read = read_execution(row, self._listed, category)
        if not isinstance(read.report, Filled) or read.takeover is not None:
            return read
        link = self._links.of_order(read.order_id, read.link_id, read.stop_type, read.report.symbol)
        return read if link == read.link_id else replace(read, link_id=link, report=replace(read.report, link_id=link))

    # ------------------------------------------------------------ whether the stream tells everything

    def _await(self, link: str) -> None:
        self._awaited.setdefault(link, time.monotonic())

    def _remember(self, activity: str) -> None:
        self._told[activity] = None
        while len(self._told) > 10_000:
            del self._told[next(iter(self._told))]

    def _suspect(self, reason: str) -> None:
        if self._line is not None:
            self._line.suspect(reason)

    def _came_up(self) -> None:
        self._awaited.clear()
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
        now = time.monotonic()
        late = [link for link, since in self._awaited.items() if now - since > MUTE_SECONDS]
        if late:
            self._awaited.clear()
            self._suspect(f"nothing was heard of {late[0]} for {MUTE_SECONDS:g} s")
            return
        since = (self._clock.now() - 60 * SECOND) // MILLISECOND
        until = self._clock.now() - int(MUTE_SECONDS * SECOND)
        for category in self._categories:
            result = await self._rest.read("get_executions", category=category, startTime=since, limit=20)
            for row in result.rows("list"):
                if not self._is_ours(row, category):
                    continue
                report = self._execution(row, category).report
                if report.time < until and _activity_id(report) not in self._told:
                    self._remember(_activity_id(report))
                    if self._was_up:
                        self._suspect(f"the stream has not told of {_activity_id(report)}")
                    return

    # ------------------------------------------------------------ what is traded

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

    def _is_ours(self, row: Row, category: str) -> bool:
        return self._listed.find(category, row.text_or("symbol")) is not None


def _reason(written: Written) -> str:
    if not written.left:
        return f"not sent: {written.text}"[:200]
    known = "the outcome is not known: " if written.verdict is Verdict.UNKNOWN else ""
    return f"{known}{written.code} {written.text}"[:200]


def _activity_id(activity: Activity) -> str:
    if isinstance(activity, Filled):
        return activity.trade_id
    return activity.change_id if isinstance(activity, BalanceChanged) else activity.funding_id


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
