"""Owns the way between a daemon and the simulated venue: what is lost on it, late, doubled or out of order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import NoReturn, TypeVar

from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.report import Acked, Filled, Outcome, Rejected, Report, Unknown
from quarterdeck.domain.venue import Activity, VenueOrder, VenuePosition
from quarterdeck.plugin.exchange import AmendOrder, CancelOrder, Deliver, PlaceOrder
from quarterdeck.simulation.disk import Disk
from quarterdeck.simulation.faults import Faults
from quarterdeck.simulation.loop import SECOND, Process, VirtualLoop
from quarterdeck.simulation.truth import Sent
from quarterdeck.simulation.venue import DUPLICATE, SimulatedVenue

T = TypeVar("T")

#: Seconds a daemon waits for an answer.
PATIENCE = 4.0

#: What proves nothing of a request: whatever else an exchange may say, or a library between it and us.
AMBIGUOUS: Sequence[Callable[[], BaseException]] = (
    lambda: ConnectionError("502 Bad Gateway: <html>"),
    lambda: ConnectionError("503 Service Unavailable"),
    lambda: ConnectionResetError("the connection was reset"),
    lambda: EOFError("the body is empty"),
    lambda: json.JSONDecodeError("Unterminated string", '{"retCode": 0, "result": {"ord', 27),
    lambda: KeyError("orderId"),
    lambda: TypeError("'NoneType' object is not subscriptable"),
    lambda: RuntimeError("10000: Server Timeout"),
    lambda: RuntimeError("10016: Internal server error"),
    lambda: RuntimeError("3400214: the result is unknown"),
    lambda: asyncio.CancelledError("the connection was closed"),
)


class Wire:
    """What is between any daemon and the venue: one stream of reports at a time, and the state of the network."""

    def __init__(self, loop: VirtualLoop, faults: Faults, venue: SimulatedVenue, dice: Random) -> None:
        self.loop = loop
        self.faults = faults
        self.venue = venue
        self._is_out = False
        self._stream: SimulatedExchange | None = None
        self._dice = dice
        self._last_delivery = 0
        venue.report = self._report

    @property
    def is_out(self) -> bool:
        """Whether nothing gets through."""
        return self._is_out

    @is_out.setter
    def is_out(self, value: bool) -> None:
        self._is_out = value
        self.venue.truth.attention.set("out", self.venue.now, is_away=value)

    @property
    def stream(self) -> SimulatedExchange | None:
        """Where reports go."""
        return self._stream

    @stream.setter
    def stream(self, value: SimulatedExchange | None) -> None:
        self._stream = value
        self.venue.truth.attention.set("deaf", self.venue.now, is_away=value is None)

    def latency(self) -> int:
        """Nanoseconds one way, this time."""
        return round((0.003 + 0.08 * self._dice.random() ** 3) * SECOND)

    def request(self, serve: Callable[[], T], answer: Callable[[T | BaseException], None]) -> None:
        """Carry a request about an order to the venue and its answer back, as far as they get."""
        faults = self.faults
        if self.is_out or faults.strikes("lose-request"):
            return
        delay = self.latency()
        if faults.strikes("slow-request"):
            delay += round(faults.dice("slow-request").random() * 1.2 * self.venue.window)
        if faults.strikes("ambiguous-answer"):
            dice = faults.dice("ambiguous-answer")
            if dice.random() < 0.5:  # and nobody carries it out
                serve = _nothing
            serve = _then(serve, dice.choice(AMBIGUOUS)())
        self.loop.outside(delay, self._serve, serve, answer, "lose-response")
        if not self.venue.reuses_links and faults.strikes("repeat-request"):
            self.loop.outside(self.latency(), self._serve, serve, answer, "lose-response")

    def question(self, serve: Callable[[], T], answer: Callable[[T | BaseException], None]) -> None:
        """Carry a question to the venue and its answer back, as far as they get."""
        if not self.is_out:
            self.loop.outside(self.latency(), self._serve, serve, answer, "lose-query")

    def _serve(self, serve: Callable[[], T], answer: Callable[[T | BaseException], None], lost: str) -> None:
        if self.is_out:
            return
        try:
            result: T | BaseException = serve()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - what the venue answers, whatever it is
            result = error
        if not self.faults.strikes(lost):
            self.loop.outside(self.latency(), answer, result)

    def _report(self, report: Report) -> None:
        faults, stream = self.faults, self.stream
        if stream is None or self.is_out or faults.strikes("lose-report"):
            return
        due = max(self.loop.now + self.latency(), self._last_delivery + 1)
        if faults.strikes("late-report"):
            due += round(faults.dice("late-report").random() * 8 * SECOND)
        else:
            self._last_delivery = due
        self.loop.outside(due - self.loop.now, self._deliver, stream, report)
        while faults.strikes("repeat-report"):
            due += round(faults.dice("repeat-report").random() * 8 * SECOND)
            self.loop.outside(due - self.loop.now, self._deliver, stream, report)

    def _deliver(self, stream: SimulatedExchange, report: Report) -> None:
        if stream is self.stream and not self.is_out:
            stream.deliver(report)

    def cut(self) -> None:
        """Break the stream of reports; what is on it is lost. The daemon's side makes a new one after a while."""
        stream, self.stream = self.stream, None
        if stream is not None and stream.process.is_alive:
            self.loop.outside(round((1 + 20 * self._dice.random()) * SECOND), stream.reconnect)


def _nothing() -> NoReturn:
    raise ConnectionError("504 Gateway Timeout")


def _then(serve: Callable[[], T], answer: BaseException) -> Callable[[], NoReturn]:
    """Do something, and answer with something else."""

    def served() -> NoReturn:
        with suppress(Exception):
            serve()
        raise answer

    return served


class SimulatedExchange:
    """The venue as one process reaches it. Implements `quarterdeck.plugin.exchange.Exchange`."""

    def __init__(self, wire: Wire, disk: Disk, process: Process, *, is_immediate: bool) -> None:
        self.process = process
        self._wire = wire
        self._venue = wire.venue
        self._disk = disk
        self._deliver: Deliver | None = None
        self._capabilities = Capabilities(
            immediate=is_immediate, admission_window=wire.venue.window, visibility=wire.venue.visibility
        )

    @property
    def capabilities(self) -> Capabilities:
        """All there is."""
        return self._capabilities

    async def open(self, deliver: Deliver) -> None:
        """Connect the stream of reports."""
        self.process.check()
        self._deliver = deliver
        self._wire.stream = self

    async def close(self) -> None:
        """Hear no more."""
        if self._wire.stream is self:
            self._wire.stream = None
        self._deliver = None

    def deliver(self, report: Report) -> None:
        """A report has arrived."""
        if self.process.is_alive and self._deliver is not None:
            self._wire.loop.inside(self.process, self._deliver, report)

    def reconnect(self) -> None:
        """The stream is there again."""
        if self.process.is_alive and self._deliver is not None and self._wire.stream is None:
            self._wire.stream = self

    # --- requests

    async def place(self, order: PlaceOrder) -> Outcome:
        """Send an order, once."""
        self._sent("create", order.link_id, order.time, order)
        try:
            answer = await self._ask(lambda: self._venue.place(order))
        except TimeoutError:
            return Unknown(order.link_id, "no answer", self._venue.now)
        except KeyError:  # what a careless plugin makes of an answer without an id
            return Acked("", "", self._venue.now)
        except TypeError:  # and of one without a result
            return None  # type: ignore[return-value]  # careless, as said
        if isinstance(answer, Rejected) and answer.reason == DUPLICATE:  # it exists: as what, this does not say
            return Unknown(order.link_id, DUPLICATE, self._venue.now)
        return answer

    async def cancel(self, order: CancelOrder) -> None:
        """Ask for an order to end."""
        self._sent("cancel", order.link_id, order.time)
        await self._ask(lambda: self._venue.cancel(order))

    async def amend(self, order: AmendOrder) -> None:
        """Ask for a change."""
        self._sent("amend", order.link_id, order.time)
        await self._ask(lambda: self._venue.amend(order))

    def _sent(self, kind: str, link_id: str, signed: int, order: PlaceOrder | None = None) -> None:
        self.process.check()
        terms = None if order is None else order.terms
        self._venue.truth.sent.append(
            Sent(self._venue.now, self.process.name, kind, link_id, self._disk.head, signed, terms)
        )

    async def _ask(self, serve: Callable[[], T], *, is_question: bool = False) -> T:
        self.process.check()
        loop = self._wire.loop
        waiting: asyncio.Future[T] = loop.create_future()

        def answer(result: T | BaseException) -> None:
            if not waiting.done():
                if isinstance(result, asyncio.CancelledError):
                    waiting.cancel()
                elif isinstance(result, BaseException):
                    waiting.set_exception(result)
                else:
                    waiting.set_result(result)

        timeout = loop.call_later(PATIENCE, answer, TimeoutError("no answer"))
        if is_question:
            self._wire.question(serve, answer)
        else:
            self._wire.request(serve, answer)
        try:
            return await waiting
        finally:
            timeout.cancel()

    # --- questions

    async def instruments(self) -> Sequence[Instrument]:
        """Everything that can be traded."""
        return tuple(self._venue.instruments.values())

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        """What became of an order."""
        return await self._query(lambda at: self._venue.find_order(link_id, at))

    async def open_orders(self) -> Sequence[VenueOrder]:
        """All working orders."""
        return await self._query(self._venue.open_orders)

    async def positions(self) -> Sequence[VenuePosition]:
        """All positions."""
        return await self._query(self._venue.positions)

    async def balances(self) -> Mapping[str, Decimal]:
        """The wallet."""
        return await self._query(self._venue.balances)

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        """All trades of one order."""
        return await self._query(lambda at: self._venue.fills(link_id, at))

    async def history(self, since: int) -> Sequence[Activity]:
        """All that moved the account."""
        return await self._query(lambda at: self._venue.history(since, at))

    async def _query(self, look: Callable[[int], T]) -> T:
        faults = self._wire.faults

        def serve() -> T:
            if faults.strikes("fail-query"):
                failure = faults.dice("fail-query").choice(AMBIGUOUS)()
                raise failure
            at = self._venue.now
            if faults.strikes("stale-query"):
                at -= round(faults.dice("stale-query").random() * self._venue.visibility)
            return look(at)

        return await self._ask(serve, is_question=True)


class BulkExchange(SimulatedExchange):
    """One that ends many orders with one request. Implements `quarterdeck.plugin.exchange.BulkCancel`."""

    async def cancel_many(self, orders: Sequence[CancelOrder], emptied: Collection[str]) -> Sequence[CancelOrder]:
        """Ask for all of these to end; returns those that nobody can tell of."""
        for each in orders:
            self._sent("cancel", each.link_id, each.time)
        return await self._ask(lambda: self._venue.cancel_many(orders, emptied))
