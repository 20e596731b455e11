"""Owns finding out what became of orders whose answer was lost: it asks the venue until there is evidence.

Nothing is ever sent again to find out. An order is adopted as the venue has it, or it is proved that it does not exist:
every list was asked twice, at a time when it could neither be on its way any more nor out of sight. A question that
fails says nothing. What can't be found out stays as it is, with a name, until it can be or a person settles it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from quarterdeck.daemon.answers import answer_of
from quarterdeck.daemon.clock import Clock
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.order import Order, OrderState
from quarterdeck.domain.report import (
    Absent,
    Acked,
    Canceled,
    Expired,
    Filled,
    NotSent,
    Opened,
    Rejected,
    Report,
    Triggered,
    Unknown,
)
from quarterdeck.domain.venue import VenueOrder
from quarterdeck.engine.events import OrderCancelRejected, OrderUnknown, Recorded
from quarterdeck.engine.inputs import ClearObstacle, SetObstacle
from quarterdeck.engine.obstacles import Obstacle
from quarterdeck.engine.orders import WITHOUT_LINK
from quarterdeck.engine.state import State
from quarterdeck.plugin.exchange import CancelOrder, Exchange

log = structlog.get_logger(__name__)

#: Seconds between questions: doubled each time, up to the second; the third once it has taken too long.
FIRST_DELAY, LAST_DELAY, SLOW_DELAY = 0.5, 8.0, 30.0

#: After so many seconds it has taken too long.
TOO_LONG = 120.0

#: Seconds beyond when an order could have come at which it is first found absent, and then once more.
MARGIN, APART = 1.0, 5.0

_NEVER_ANSWERED = frozenset({OrderState.SENT, OrderState.UNKNOWN})
_SECOND = 1_000_000_000


class Resolver:
    """Asks about one order at a time each. Everything it finds out is posted as the venue's report of it."""

    def __init__(
        self,
        state: State,
        exchange: Exchange,
        loop: Loop,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_send` is asked before a cancel is asked again."""
        self._state = state
        self._exchange = exchange
        self._loop = loop
        self._clock = clock
        self._sleep = sleep
        self._may_send = may_send
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._first: dict[str, asyncio.Future[None]] = {}
        """Done when an order has been asked about once."""

    def take_up(self) -> None:
        """After a start: what was only prepared never left, and what was sent and never answered is asked about."""
        for order in list(self._state.open_orders.values()):
            if order.state is OrderState.PREPARED:
                self._loop.post(NotSent(order.link_id, "the daemon ended before it was sent", self._clock.now()))
            elif order.state is OrderState.SENT:
                why = "the daemon ended before it was answered"
                self._loop.post(Unknown(order.link_id, why, self._clock.now()))
                self.ask(order.link_id)
            elif order.state is OrderState.UNKNOWN:
                self.ask(order.link_id)

    def hear(self, events: Sequence[Recorded]) -> None:
        """Ask about every order whose answer is lost from now on, or that can't be cancelled: it may have ended."""
        for recorded in events:
            event = recorded.event
            if type(event) is OrderUnknown or type(event) is OrderCancelRejected:
                order = self._state.order(event.order_id)
                if order is not None and order.is_open:
                    self.ask(order.link_id)

    def ask(self, link_id: str) -> None:
        """Find out what became of an order, unless that is under way. Somebody else's without an id can't be asked."""
        if link_id in self._tasks or link_id.startswith(WITHOUT_LINK):
            return
        self._first[link_id] = asyncio.get_running_loop().create_future()
        task = self._tasks[link_id] = asyncio.create_task(self._find_out(link_id), name=f"resolve {link_id}")
        task.add_done_callback(lambda _: self._forget(link_id))

    async def asked_once(self) -> None:
        """Wait until the venue has been asked once about every order that is in question."""
        if self._first:
            await asyncio.wait(list(self._first.values()))
        await self._loop.settled()

    @property
    def open_questions(self) -> Sequence[str]:
        """Link ids of the orders that are asked about."""
        return list(self._tasks)

    async def quiet(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, link_id: str) -> None:
        self._tasks.pop(link_id, None)
        self._asked(link_id)

    def _asked(self, link_id: str) -> None:
        first = self._first.pop(link_id, None)
        if first is not None and not first.done():
            first.set_result(None)

    # ------------------------------------------------------------ one order

    async def _find_out(self, link_id: str) -> None:
        now = asyncio.get_running_loop().time
        begin, delay = now(), FIRST_DELAY
        named = ""
        absence = _Absence(self._exchange, begin)
        begun_as = self._state.order_by_link(link_id)
        is_unanswered = begun_as is not None and begun_as.state in _NEVER_ANSWERED
        while (order := self._in_question(link_id)) is not None:
            if is_unanswered and order.state not in _NEVER_ANSWERED and not order.cancel_requested:
                break  # its reports came meanwhile
            try:
                if await answer_of(self._ask(order, absence, now)):
                    break
            except Exception as error:  # noqa: BLE001 - an answer that can't be had says nothing
                log.warning("resolve_failed", order=order.order_id, error=repr(error)[:500])
            self._asked(link_id)
            is_slow = now() - begin >= TOO_LONG
            if is_slow and not named:
                named = f"UNRESOLVED {order.order_id}"
                detail = f"what became of {link_id} can't be found out; it is {order.state} and counts in full"
                log.error("unresolved", order=order.order_id, link_id=link_id)
                self._loop.post(SetObstacle(Obstacle(named, detail, order.terms.symbol)))
            await self._sleep(SLOW_DELAY if is_slow else delay)
            delay = min(2 * delay, LAST_DELAY)
        if named:
            self._loop.post(ClearObstacle(named))

    def _in_question(self, link_id: str) -> Order | None:
        order = self._state.order_by_link(link_id)
        return order if order is not None and order.is_open else None

    async def _ask(self, order: Order, absence: _Absence, now: Callable[[], float]) -> bool:
        """Ask once and post what is found; returns whether nothing is left to find out."""
        link_id, symbol = order.link_id, order.terms.symbol
        failpoint("resolve.ask")
        found = await self._exchange.find_order(link_id, symbol)
        fills = await self._exchange.fills(link_id, symbol)
        failpoint("resolve.answer")
        if found is None:
            for fill in fills:
                self._loop.post(fill)
            if fills or not absence.is_proved(now()):
                return False
            self._loop.post(self._absent(order))
            return True
        reports, is_known = described(order, found, fills, self._clock.now())
        for report in reports:
            self._loop.post(report)
        await self._loop.settled()
        if is_known and order.is_open and order.cancel_requested:  # the wish was lost
            if self._may_send():
                await self._exchange.cancel(CancelOrder(link_id, symbol, self._clock.now()))
            return False
        return is_known

    def _absent(self, order: Order) -> Report:
        now = self._clock.now()
        if order.state in _NEVER_ANSWERED:
            return Absent(order.link_id, "the venue does not know it", now)
        return Canceled(order.link_id, "the venue does not know it any more", now)


class _Absence:
    """Whether an order that is not found is proved not to exist."""

    def __init__(self, exchange: Exchange, begin: float) -> None:
        """The questions begin after the order was sent, so from then on counts."""
        able = exchange.capabilities
        window = (able.admission_window + able.visibility) / _SECOND
        self._is_immediate = not window
        self._visible = begin + window + MARGIN
        self._first: float | None = None

    def is_proved(self, now: float) -> bool:
        """Note that every list was asked and none has it."""
        if self._is_immediate:
            return True
        if now < self._visible:
            return False
        if self._first is None:
            self._first = now
        return now - self._first >= APART


def described(order: Order, found: VenueOrder, fills: Sequence[Filled], now: int) -> tuple[list[Report], bool]:
    """What a venue's description of an order and its fills report, and whether that is all there is to know.

    It is not while the description knows of more trades than are listed: an order does not end before its trades.
    """
    link = order.link_id
    if sum((fill.quantity for fill in fills), ZERO) < found.filled_quantity:
        return list(fills), False
    reports: list[Report] = []
    if found.state is not OrderState.REJECTED and found.exchange_order_id:
        reports.append(Acked(link, found.exchange_order_id, now))
    if found.triggered:
        reports.append(Triggered(link, now))
    reports += fills
    reason = found.reason or f"found {found.state.lower().replace('_', ' ')}"
    match found.state:
        case OrderState.OPEN | OrderState.PARTIALLY_FILLED:
            reports.append(Opened(link, found.exchange_order_id, now))
        case OrderState.CANCELED:
            reports.append(Canceled(link, reason, now))
        case OrderState.EXPIRED:
            reports.append(Expired(link, reason, now))
        case OrderState.REJECTED:
            reports.append(Rejected(link, reason, now))
        case OrderState.FILLED:  # its trades have said so, unless the venue changed it to less
            reports.append(Canceled(link, reason, now))
        case _:
            pass
    return reports, True
