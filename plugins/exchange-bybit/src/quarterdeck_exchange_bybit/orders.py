"""Owns the requests that change orders: one goes out once, and what came of it is told in the core's three values."""

from __future__ import annotations

import time

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import Acked, AmendRejected, CancelRejected, NotSent, Opened, Outcome, Rejected, Unknown
from quarterdeck.plugin import AmendOrder, CancelOrder, PlaceOrder
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.listing import Listing
from quarterdeck_exchange_bybit.codec.orders import amend_params, cancel_params, create_params, trailing_params
from quarterdeck_exchange_bybit.ear import Ear
from quarterdeck_exchange_bybit.links import Links
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.ways import Ways
from quarterdeck_exchange_bybit.written import Written


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
        written = await self._ways.write("place_order", params, reduces=terms.reduce_only)
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
        """Ask for an order to end; the stream tells what came of it."""
        instrument = self._listing[order.symbol]
        target = order.exchange_order_id or self._links.order_id(order.link_id)
        params, sent = cancel_params(instrument, order.link_id, target), time.monotonic()
        written = await self._ways.write("cancel_order", params, reduces=True)
        if written.verdict is not Verdict.TAKEN:
            self._ear.deliver(CancelRejected(order.link_id, _reason(written), self._clock.now()))
        else:
            self._ear.expect(order.link_id, sent)

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


def _reason(written: Written) -> str:
    if not written.left:
        return f"not sent: {written.text}"[:200]
    known = "the outcome is not known: " if written.verdict is Verdict.UNKNOWN else ""
    return f"{known}{written.code} {written.text}"[:200]
