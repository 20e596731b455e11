"""Owns the requests that change orders: one goes out once, and what came of it is told in the core's three values."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import Acked, AmendRejected, CancelRejected, NotSent, Opened, Outcome, Rejected, Unknown
from quarterdeck.plugin import AmendOrder, CancelOrder, PlaceOrder
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.listing import LINEAR, Listing, category_of
from quarterdeck_exchange_bybit.codec.orders import Params, amend_params, cancel_params, create_params, trailing_params
from quarterdeck_exchange_bybit.ear import Ear
from quarterdeck_exchange_bybit.legs import batch_of, outcomes_of
from quarterdeck_exchange_bybit.links import Links
from quarterdeck_exchange_bybit.rest import Unreachable
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.ways import Ways
from quarterdeck_exchange_bybit.written import Written

#: Orders of one batch of cancels: what its budget lets through in a second. Bybit takes up to twenty.
BATCH = 9

#: Cancels under way one by one.
SINGLES = 3

#: How often a book is swept when the answer leaves a doubt, before its orders are asked for one by one.
SWEEPS = 2


class Orders:
    """One account's orders on their way out. What the stream has to tell of them, the ear is told to expect."""

    def __init__(self, ways: Ways, clock: ServerClock, listing: Listing, ear: Ear, links: Links) -> None:
        self._ways = ways
        self._clock = clock
        self._listing = listing
        self._ear = ear
        self._links = links

    async def place(self, order: PlaceOrder) -> Outcome:
        """Send one order, once."""
        instrument = self._listing[order.terms.symbol]
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
        if category_of(instrument.kind) == LINEAR and terms.reduce_only and terms.type is OrderType.MARKET:
            written = await self._close(params)
        else:
            written = await self._ways.write("place_order", params, reduces=terms.reduce_only)
        outcome = self._outcome(link, written)
        if isinstance(outcome, Acked):
            self._ear.expect(link, sent)
        return outcome

    async def _close(self, params: Params) -> Written:
        """Close at the market, as a batch of one: batches have limits of their own, which nothing else of ours uses."""
        written = await self._ways.write("place_batch_order", batch_of(LINEAR, [params]), reduces=True)
        return outcomes_of(written, 1)[0]

    async def _place_trailing(self, order: PlaceOrder, instrument: Instrument) -> Outcome:
        """A trailing stop lives on the position: there is one, and it has no id of ours."""
        distance = order.terms.trailing_distance
        if distance is None or not order.terms.reduce_only or instrument.kind is not InstrumentKind.LINEAR:
            return NotSent(
                order.link_id, "Bybit has trailing stops only to reduce a perpetual's position", self._clock.now()
            )
        self._links.expect_trailing(instrument.symbol, order.link_id)
        written = await self._ways.write("set_trading_stop", trailing_params(instrument, distance), reduces=True)
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
        """Ask for an order to end; the stream tells what came of it.

        Raises:
            Unreachable: nobody knows whether it was asked.
        """
        params, sent = self._named(order), time.monotonic()
        written = await self._ways.write("cancel_order", params, reduces=True)
        if not self._is_answered(order, written, sent):
            raise Unreachable(_reason(written))

    def _named(self, order: CancelOrder) -> Params:
        target = order.exchange_order_id or self._links.order_id(order.link_id)
        return cancel_params(self._listing[order.symbol], order.link_id, target)

    def _is_answered(self, order: CancelOrder, written: Written, sent: float) -> bool:
        """Whether it is known what came of a cancel; then that is told, or to be told by the stream."""
        if written.verdict is Verdict.TAKEN:
            self._ear.expect(order.link_id, sent)
        elif written.left and written.verdict is Verdict.REFUSED:
            self._ear.deliver(CancelRejected(order.link_id, _reason(written), self._clock.now()))
        else:
            return False
        return True

    # ------------------------------------------------------------ many cancels

    async def cancel_many(self, orders: Sequence[CancelOrder], emptied: Collection[str]) -> Sequence[CancelOrder]:
        """Ask for all of these to end, with one request for each book that is to be empty; returns those in doubt."""
        books: dict[str, list[CancelOrder]] = {}
        for order in orders:
            books.setdefault(order.symbol, []).append(order)
        swept = {symbol for symbol, theirs in books.items() if symbol in emptied and len(theirs) > 1}

        async def sweep() -> list[CancelOrder]:
            left = await asyncio.gather(*(self._sweep(symbol, books[symbol]) for symbol in swept))
            return await self._cancel_each([order for book in left for order in book])

        others = [order for order in orders if order.symbol not in swept]
        doubts = await asyncio.gather(sweep(), self._cancel_each(others))
        return [order for each in doubts for order in each]

    async def _sweep(self, symbol: str, orders: Sequence[CancelOrder]) -> Sequence[CancelOrder]:
        """Take off all that rests in a book, and nothing that waits for a trigger; returns what was not among it."""
        instrument = self._listing[symbol]
        where = {"category": category_of(instrument.kind), "symbol": instrument.venue_symbol, "orderFilter": "Order"}
        for _ in range(SWEEPS):
            sent = time.monotonic()
            written = await self._ways.write("cancel_all_orders", where, reduces=True)
            if written.verdict is Verdict.TAKEN:
                taken = _ids(written)
                for order in orders:
                    if _is_among(order, taken):
                        self._ear.expect(order.link_id, sent)
                return [order for order in orders if not _is_among(order, taken)]
            if not written.left:
                break
        return orders

    async def _cancel_each(self, orders: Sequence[CancelOrder]) -> list[CancelOrder]:
        """Cancel one by one, and what are perpetuals' in batches beside that: both have their own limits."""
        doubts: list[CancelOrder] = []
        work: list[Coroutine[Any, Any, None]] = []
        for category in self._listing.categories:
            left = deque(each for each in orders if category_of(self._listing[each.symbol].kind) == category)
            if category == LINEAR:
                work.append(self._cancel_in_batches(left, doubts))
            work += [self._cancel_singly(left, doubts) for _ in range(min(SINGLES, len(left)))]
        await asyncio.gather(*work)
        return doubts

    async def _cancel_in_batches(self, left: deque[CancelOrder], doubts: list[CancelOrder]) -> None:
        while len(left) > SINGLES:  # the last few are off sooner than another batch has room
            orders = [left.popleft() for _ in range(min(BATCH, len(left)))]
            batch, sent = batch_of(LINEAR, [self._named(order) for order in orders]), time.monotonic()
            written = await self._ways.write("cancel_batch_order", batch, reduces=True)
            for order, outcome in zip(orders, outcomes_of(written, len(orders)), strict=True):
                if not self._is_answered(order, outcome, sent):
                    doubts.append(order)

    async def _cancel_singly(self, left: deque[CancelOrder], doubts: list[CancelOrder]) -> None:
        while left:
            order = left.popleft()
            try:
                await self.cancel(order)
            except Unreachable:
                doubts.append(order)

    # ------------------------------------------------------------ changes

    async def amend(self, order: AmendOrder) -> None:
        """Ask for a change; the stream tells what came of it."""
        params = amend_params(
            self._listing[order.symbol],
            order.link_id,
            self._links.order_id(order.link_id),
            quantity=order.quantity,
            limit_price=order.limit_price,
            trigger_price=order.trigger_price,
        )
        written = await self._ways.write("amend_order", params)
        if written.verdict is not Verdict.TAKEN and written.code not in codes.UNCHANGED:
            self._ear.deliver(AmendRejected(order.link_id, _reason(written), self._clock.now()))


def _ids(written: Written) -> Collection[str]:
    """The ids of all orders a cancel-all has taken: Bybit's, and those they were given."""
    rows = list(written.result.rows("list"))
    return {row.text_or(name) for row in rows for name in ("orderId", "orderLinkId")} - {""}


def _is_among(order: CancelOrder, ids: Collection[str]) -> bool:
    return order.link_id in ids or order.exchange_order_id in ids


def _reason(written: Written) -> str:
    if not written.left:
        return f"not sent: {written.text}"[:200]
    known = "the outcome is not known: " if written.verdict is Verdict.UNKNOWN else ""
    return f"{known}{written.code} {written.text}"[:200]
