"""Owns agreeing with the venue: when it is looked at, how a consistent look is had, and what follows from it.

    history ─ positions ─ orders ─ balances ─ history again: nothing happened meanwhile? ──► engine/reconcile.py
       ▲                                                                                        │ what differs
       └──────────── once more, when nothing can be out of sight any more ◄─────────────────────┘

What differs twice in the same way is believed. What then still differs keeps new risk away, by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import structlog

from quarterdeck.daemon.answers import answer_of
from quarterdeck.daemon.clock import Clock
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.resolver import Resolver
from quarterdeck.domain.market import HOUR, MINUTE, SECOND
from quarterdeck.domain.order import UNRESOLVED_STATES, Order, OrderRole
from quarterdeck.domain.report import Filled, FundingSettled, StreamDown, StreamUp
from quarterdeck.domain.venue import VenueAccount, VenueOrder, VenuePosition, VenueSnapshot
from quarterdeck.engine.events import (
    BalanceAdjusted,
    FundingPaid,
    OrderAdopted,
    OrderFilled,
    PositionAdjusted,
    Recorded,
    TradingStateChanged,
)
from quarterdeck.engine.inputs import Agreement, ClearObstacle, Reconcile, SetObstacle
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.obstacles import UNHEARD, UNRECONCILED, Obstacle
from quarterdeck.engine.state import State
from quarterdeck.plugin.exchange import EmbeddedExchange, Exchange
from quarterdeck.rpc.facade import Reconciled

log = structlog.get_logger(__name__)

#: Looks at the venue until they agree, or it is given up for this time.
LOOKS = 6

#: Failures in a row before new risk is kept away; the venue may be away for a moment.
FAILURES = 3

#: How far before what is known the history is read: after a start, and after an agreement in this run.
START_MARGIN, MARGIN = HOUR, 10 * MINUTE

#: By how much our clock and the venue's may differ.
SKEW = 10 * SECOND

#: Seconds a reconciliation waits that something unusual has asked for, so that one does for all of it.
SOON = 1.0

_MOVES = (OrderFilled, FundingPaid, BalanceAdjusted, PositionAdjusted)


class NoCut(Exception):
    """Whenever the venue was looked at, something happened meanwhile."""


class Reconciler:
    """Has the engine agree with the venue: at start, every so often, when something is odd, and when asked."""

    def __init__(
        self,
        machine: Machine,
        exchange: Exchange,
        loop: Loop,
        clock: Clock,
        resolver: Resolver,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._machine = machine
        self._exchange = exchange
        self._is_embedded = isinstance(exchange, EmbeddedExchange)
        self._loop = loop
        self._clock = clock
        self._resolver = resolver
        self._sleep = sleep
        self._running: asyncio.Task[Reconciled] | None = None
        self._wanted = asyncio.Event()
        self._heard: list[str] | None = None
        """Ids of what moved the account since a look began."""
        self._is_deaf = False
        self._breaks = 0
        """How often the venue's stream went down or came up."""
        self._agreed_at = 0
        self.agreed_at: float | None = None
        """Event loop's time at which journal and venue were last found to agree."""
        self.confirmed: dict[str, int] = {}
        """When the venue last said of a currency's balance what the journal says, by our clock."""

    async def run(self) -> Reconciled:
        """Agree with the venue now. One at a time: who asks while it is under way gets what comes of that.

        Raises:
            NoCut: the venue never stood still.
            Exception: whatever the venue raises when it can't tell. Then nothing has changed.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(answer_of(self._run()), name="reconcile")
        return await asyncio.shield(self._running)

    async def keep(self, every: float) -> None:
        """Agree every so many seconds, and soon after something unusual. Ends when cancelled."""
        failures = 0
        while True:
            try:
                await asyncio.wait_for(self._wanted.wait(), min(every, 2.0**failures) if failures else every)
                await self._sleep(SOON)
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self.run()
            except Exception as error:  # noqa: BLE001 - a venue that can't tell is asked again
                failures += 1
                log.warning("reconcile_failed", error=repr(error)[:500])
                if failures >= FAILURES:
                    self._hinder(f"the venue can't be asked: {type(error).__name__}: {error}")
            else:
                failures = 0

    def hear(self, events: Sequence[Recorded]) -> None:
        """Note what moved the account while a look is under way, and what calls for one."""
        heard = self._heard
        for recorded in events:
            event = recorded.event
            kind = type(event)
            if heard is not None and kind in _MOVES:
                heard.append(_id_of(event))
            if kind is OrderAdopted:
                if event.role is OrderRole.EXTERNAL:  # type: ignore[union-attr]  # its type was just looked at
                    self._wanted.set()
            elif kind is TradingStateChanged and event.automatic:  # type: ignore[union-attr]  # the same
                self._wanted.set()

    def hear_stream(self, news: StreamDown | StreamUp) -> None:
        """The venue can't be heard, which keeps new risk away until both have agreed after it can be again."""
        self._breaks += 1
        self._is_deaf = isinstance(news, StreamDown)
        if isinstance(news, StreamDown):
            self._loop.post(SetObstacle(Obstacle(UNHEARD, f"the venue can't be heard: {news.reason}"[:500])))
        else:
            self._wanted.set()

    async def quiet(self) -> None:
        """Ask no more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    # ------------------------------------------------------------ one reconciliation

    async def _run(self) -> Reconciled:
        now = asyncio.get_running_loop().time
        begin, breaks = now(), self._breaks
        try:
            booked = adjusted = looks = 0
            before: tuple[str, ...] = ()
            while True:
                looks += 1
                snapshot, agreement = await self._look()
                booked += agreement.booked
                if agreement.differences and agreement.differences == before:
                    agreement = await self._show(snapshot, adjust=True)
                    adjusted += agreement.adjusted
                    if not agreement.is_overtaken:
                        break
                    agreement = replace(agreement, differences=before)
                if not agreement.differences or looks == LOOKS:
                    break
                before = agreement.differences
                await self._sleep(self._out_of_sight)
        finally:
            self._heard = None
        for link_id in agreement.asked:
            self._resolver.ask(link_id)
        self._conclude(agreement, snapshot.time, was_heard=not self._is_deaf and breaks == self._breaks)
        return Reconciled(
            agreement.differences,
            len(snapshot.orders),
            len(snapshot.positions),
            booked,
            adjusted,
            len(agreement.asked),
            looks,
            snapshot.time,
            int((now() - begin) * SECOND),
        )

    def _conclude(self, agreement: Agreement, time: int, *, was_heard: bool) -> None:
        if agreement.differences:
            log.warning("unreconciled", differences=agreement.differences)
            self._hinder("; ".join(agreement.differences))
            return
        self._agreed_at = time
        self.agreed_at = asyncio.get_running_loop().time()
        if UNRECONCILED in self._machine.obstacles:
            self._loop.post(ClearObstacle(UNRECONCILED))
        if was_heard and UNHEARD in self._machine.obstacles:
            self._loop.post(ClearObstacle(UNHEARD))

    def _hinder(self, why: str) -> None:
        self._loop.post(SetObstacle(Obstacle(UNRECONCILED, why[:500])))

    @property
    def _out_of_sight(self) -> float:
        """Seconds until what was there and could not be seen can be."""
        if self._is_embedded:
            return 0.0
        return self._exchange.capabilities.visibility / SECOND + SOON

    async def _look(self) -> tuple[VenueSnapshot, Agreement]:
        """Look at the venue until the look holds when it is shown to the engine."""
        for _ in range(LOOKS):
            snapshot = await self._cut()
            if not await self._has_all(snapshot):
                continue
            agreement = await self._show(snapshot)
            if not agreement.is_overtaken:
                return snapshot, agreement
        raise NoCut(f"{LOOKS} looks at the venue were all overtaken by what happened")

    async def _cut(self) -> VenueSnapshot:
        """Everything the venue holds, at one moment."""
        exchange = self._exchange
        for _ in range(LOOKS):
            self._heard = []
            time, since = self._clock.now(), self._since()
            failpoint("reconcile.ask")
            before = await exchange.history(since)
            positions = await exchange.positions()
            orders = await exchange.open_orders()
            balances: Mapping[str, Decimal] = await exchange.balances()
            after = await exchange.history(since)
            failpoint("reconcile.answer")
            if list(before) == list(after):
                return VenueSnapshot(_latest(orders), tuple(positions), balances, tuple(after), time)
        raise NoCut(f"something happened during each of {LOOKS} looks at the venue")

    def _since(self) -> int:
        """From when on the history is read. What is older is known, and what is forgotten can't be told from new."""
        state = self._machine.state
        if self._is_embedded:
            return state.activity_time
        known = self._agreed_at - MARGIN if self._agreed_at else state.activity_time - START_MARGIN
        forgotten = state.forgotten_time + SKEW if state.forgotten_time else 0
        return max(known, forgotten, state.opened_time)

    async def _has_all(self, snapshot: VenueSnapshot) -> bool:
        """Whether the look shows everything that was booked while it was taken; what came later overtook it."""
        await self._loop.settled()
        shown = {_id_of(activity) for activity in snapshot.activity}
        return all(each in shown for each in self._heard or ())

    async def _show(self, snapshot: VenueSnapshot, *, adjust: bool = False) -> Agreement:
        await self._loop.ask(Reconcile(snapshot, self._machine.state.moves, adjust))
        agreement = self._machine.agreement
        self.confirmed.update(dict.fromkeys(agreement.confirmed, snapshot.time))
        return agreement


def _id_of(moved: object) -> str:
    """What makes a move of the account one, whether the venue tells it or the journal."""
    match moved:
        case Filled() | OrderFilled():
            return f"trade {moved.symbol} {moved.trade_id}"
        case FundingSettled() | FundingPaid():
            return f"funding {moved.funding_id}"
        case BalanceAdjusted() | PositionAdjusted():
            return f"change {moved.adjustment_id}"
        case _:
            return f"change {getattr(moved, 'change_id', '')}"


def _latest(orders: Sequence[VenueOrder]) -> tuple[VenueOrder, ...]:
    """Each order once, as it was described last."""
    found: dict[tuple[str, str], VenueOrder] = {}
    for order in orders:
        key = (order.link_id, "" if order.link_id else order.exchange_order_id)
        if key not in found or order.update_time >= found[key].update_time:
            found[key] = order
    return tuple(found.values())


def venue_account(state: State) -> VenueAccount:
    """The account as an embedded venue takes it over: the journal is its memory.

    Orders whose sending was never answered are left out: they went with the process that held the venue.
    """
    return VenueAccount(
        balances={currency: state.ledger.wallet(currency) for currency in state.ledger.totals},
        positions=[
            VenuePosition(symbol, position.quantity, position.cost / position.quantity)
            for symbol, position in state.positions.items()
            if position.quantity
        ],
        orders=[
            VenueOrder(
                order.link_id,
                order.exchange_order_id,
                order.terms,
                order.state,
                order.filled_quantity,
                _parent_link(state, order),
                order.triggered,
            )
            for order in state.open_orders.values()
            if order.state not in UNRESOLVED_STATES
        ],
        next_trade_number=state.fill_count + 1,
    )


def _parent_link(state: State, order: Order) -> str:
    parent = state.order(order.parent_id) if order.parent_id else None
    return parent.link_id if parent else ""
