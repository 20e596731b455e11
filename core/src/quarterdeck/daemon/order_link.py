"""Owns the way of an order to the venue and of the venue's answer back. It decides nothing and retries nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from quarterdeck.daemon.answers import answer_of
from quarterdeck.daemon.clock import Clock
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain.report import AmendRejected, NotSent, Outcome, Unknown
from quarterdeck.engine.effects import AmendAtVenue, CancelAtVenue, Effect, QueueOrder, SendOrder
from quarterdeck.engine.inputs import Sending
from quarterdeck.plugin.exchange import AmendOrder, BulkCancel, CancelOrder, Exchange, PlaceOrder

log = structlog.get_logger(__name__)

_WITHHELD = "it never left: another daemon may lead by now"


class OrderLink:
    """Turns effects into requests, and what comes of them into inputs."""

    def __init__(
        self,
        exchange: Exchange,
        loop: Loop,
        clock: Clock,
        doubt: Callable[[str], None],
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """`doubt` is told of an order that nobody knows whether it was asked to end.

        `may_send` is asked before every request; when it says no, nothing leaves.
        """
        self._exchange = exchange
        self._bulk = exchange if isinstance(exchange, BulkCancel) else None
        self._loop = loop
        self._clock = clock
        self._doubt = doubt
        self._may_send = may_send
        self._tasks: set[asyncio.Task[None]] = set()

    def act(self, effects: Sequence[Effect]) -> None:
        """Start what the engine wants done. Called only after the events that say so are durable."""
        cancels = [effect for effect in effects if isinstance(effect, CancelAtVenue)]
        for asked in [cancels] if self._bulk is not None else [[each] for each in cancels]:
            if asked:
                self._start(self._cancel(asked))
        for effect in effects:
            match effect:
                case QueueOrder():
                    failpoint("order.queued")
                    self._loop.post(Sending(effect.link_id))
                case SendOrder():
                    self._start(self._place(effect))
                case CancelAtVenue():
                    pass  # under way
                case AmendAtVenue():
                    self._start(self._amend(effect))

    async def drain(self) -> None:
        """Wait for the requests under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _start(self, request: Coroutine[Any, Any, None]) -> None:
        self._loop.begin()
        task = asyncio.get_running_loop().create_task(request)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._loop.end()

    async def _place(self, effect: SendOrder) -> None:
        failpoint("place.before")
        # The kill switch may have come into the same commit.
        hindrance = self._loop.hindrance(effect.link_id) if self._may_send() else _WITHHELD
        if hindrance:
            self._loop.note(NotSent(effect.link_id, hindrance[:200], self._clock.now()))
            return
        try:
            order = PlaceOrder(effect.link_id, effect.terms, self._clock.now())
            answer: object = await answer_of(self._exchange.place(order))
            if not isinstance(answer, Outcome) or answer.link_id != effect.link_id:
                raise TypeError(f"the exchange answered {answer!r}")
            outcome = answer
        except Exception as error:
            log.exception("place_raised", link_id=effect.link_id)
            outcome = Unknown(effect.link_id, f"{type(error).__name__}: {error}"[:200], self._clock.now())
        failpoint("place.after")
        self._loop.note(outcome)
        failpoint("place.posted")

    async def _cancel(self, effects: Sequence[CancelAtVenue]) -> None:
        failpoint("cancel.before")
        now = self._clock.now()
        asked = [CancelOrder(effect.link_id, effect.symbol, now, effect.exchange_order_id) for effect in effects]
        unsure: Sequence[CancelOrder] = asked
        if self._may_send():
            try:
                unsure = await answer_of(self._ask_to_end(asked))
                failpoint("cancel.after")
            except Exception:
                log.exception("cancel_raised", orders=[each.link_id for each in asked])
        for each in unsure:  # it may have arrived or not; whoever wanted it still does
            self._doubt(each.link_id)

    async def _ask_to_end(self, orders: Sequence[CancelOrder]) -> Sequence[CancelOrder]:
        """Ask for one or for many; returns those in doubt."""
        if self._bulk is not None and len(orders) > 1:
            return await self._bulk.cancel_many(orders, self._loop.emptied({each.symbol for each in orders}))
        for each in orders:
            await self._exchange.cancel(each)
        return ()

    async def _amend(self, effect: AmendAtVenue) -> None:
        failpoint("amend.before")
        if not self._may_send():
            self._loop.post(AmendRejected(effect.link_id, _WITHHELD, self._clock.now()))
            return
        try:
            change = AmendOrder(
                effect.link_id,
                effect.symbol,
                effect.quantity,
                effect.limit_price,
                effect.trigger_price,
                self._clock.now(),
            )
            await answer_of(self._exchange.amend(change))
            failpoint("amend.after")
        except Exception as error:
            log.exception("amend_raised", link_id=effect.link_id)
            reason = f"{type(error).__name__}: {error}"[:200]
            self._loop.post(AmendRejected(effect.link_id, reason, self._clock.now()))
