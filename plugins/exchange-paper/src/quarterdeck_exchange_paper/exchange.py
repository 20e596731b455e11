"""Owns the exchange interface around a simulated venue: who is told what, in which order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MarketEvent
from quarterdeck.domain.report import Acked, Filled, Opened, Outcome, Rejected, Report
from quarterdeck.matching import OrderSnapshot, PositionSnapshot, Venue, VenueSnapshot, cost_of, exchange_order_id
from quarterdeck.plugin import (
    Activity,
    AmendOrder,
    CancelOrder,
    Capabilities,
    ConfigError,
    Deliver,
    PlaceOrder,
    VenueAccount,
    VenueOrder,
    VenuePosition,
)
from quarterdeck_exchange_paper.settings import PaperSettings


class PaperExchange:
    """A venue inside the daemon's process. Implements `quarterdeck.plugin.EmbeddedExchange`.

    Its time is that of the latest market event or request: it has no clock. Reports are delivered in the order in which
    things happened; those that follow from placing an order come after its outcome has been returned.
    """

    def __init__(self, settings: PaperSettings) -> None:
        listing = settings.listing()
        self._instruments = {instrument.symbol: instrument for instrument in listing}
        self._venue = Venue(listing, settings.balances, settings.venue_settings())
        self._deliver: Deliver | None = None
        self._waiting: deque[Report] = deque()
        self._now = 0

    @property
    def capabilities(self) -> Capabilities:
        """Everything an order can ask for, and at once: there is no wire and no rate limit."""
        return Capabilities(immediate=True)

    # --- life

    def restore(self, account: VenueAccount) -> None:
        """Take over balances, positions and working orders.

        Raises:
            ConfigError: something is held or working in an instrument that is not listed any more.
        """
        used = [position.symbol for position in account.positions] + [order.terms.symbol for order in account.orders]
        for symbol in used:
            if symbol not in self._instruments:
                raise ConfigError(f"{symbol} is held or being traded: list it in [exchange.settings.instruments]")
        self._waiting += self._venue.restore(
            VenueSnapshot(
                balances=account.balances,
                positions=tuple(self._position(position) for position in account.positions),
                orders=tuple(_order(order) for order in account.orders),
                next_trade_number=account.next_trade_number,
            ),
        )

    async def open(self, deliver: Deliver) -> None:
        """From now on hand every report to `deliver`."""
        self._deliver = deliver
        self._flush()

    async def close(self) -> None:
        """Deliver nothing more."""
        self._deliver = None

    # --- requests

    async def place(self, order: PlaceOrder) -> Outcome:
        """Place an order; what follows at once, such as a fill, is delivered after the outcome is returned."""
        outcome, *following = self._venue.place(order.link_id, order.terms, self._at(order.time))
        if following and isinstance(following[0], Opened):
            outcome = following.pop(0)  # that it works says that it was taken in
        if following:
            self._waiting += following
            asyncio.get_running_loop().call_soon(self._flush)
        assert isinstance(outcome, Acked | Opened | Rejected), f"{outcome} is no outcome"
        return outcome

    async def cancel(self, order: CancelOrder) -> None:
        """Ask for an order to end."""
        self._report(self._venue.cancel(order.link_id, self._at(order.time)))

    async def amend(self, order: AmendOrder) -> None:
        """Ask for a change."""
        self._report(
            self._venue.amend(
                order.link_id,
                self._at(order.time),
                quantity=order.quantity,
                limit_price=order.limit_price,
                trigger_price=order.trigger_price,
            ),
        )

    def on_market(self, event: MarketEvent) -> None:
        """See the market move; what happens is delivered before this returns."""
        self._at(event.time)
        reports = self._venue.on_market(event)
        if reports or self._waiting:
            self._report(reports)

    def _at(self, time: int) -> int:
        """The venue's time, which never goes back."""
        self._now = max(time, self._now)
        return self._now

    def _report(self, reports: Sequence[Report]) -> None:
        self._waiting += reports
        self._flush()

    def _flush(self) -> None:
        deliver = self._deliver
        while deliver is not None and self._waiting:
            deliver(self._waiting.popleft())

    # --- questions

    async def instruments(self) -> Sequence[Instrument]:
        """Everything that can be traded."""
        return self._venue.instruments

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        """What became of an order; None if it was never placed, or had ended before the daemon was started."""
        order = self._venue.find_order(link_id)
        return None if order is None or order.terms.symbol != symbol else _described(order)

    async def open_orders(self) -> Sequence[VenueOrder]:
        """All working and untriggered orders."""
        return [_described(order) for order in self._venue.open_orders()]

    async def positions(self) -> Sequence[VenuePosition]:
        """All positions that are not flat."""
        return [
            VenuePosition(position.symbol, position.quantity, position.average_price)
            for position in self._venue.positions()
        ]

    async def balances(self) -> Mapping[str, Decimal]:
        """Wallet balance per currency."""
        return self._venue.balances()

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        """All fills of an order since the daemon was started, oldest first."""
        return [fill for fill in self._venue.fills(link_id) if fill.symbol == symbol]

    async def history(self, since: int) -> Sequence[Activity]:
        """What has moved the account since the daemon was started, oldest first.

        Raises:
            LookupError: so much has happened that it does not remember that far.
        """
        return self._venue.history(since)

    def _position(self, position: VenuePosition) -> PositionSnapshot:
        cost = cost_of(self._instruments[position.symbol], position.quantity, position.average_price)
        return PositionSnapshot(position.symbol, position.quantity, cost)


def _order(order: VenueOrder) -> OrderSnapshot:
    return OrderSnapshot(
        order.link_id,
        order.terms,
        order.state,
        order.filled_quantity,
        order.parent_link_id,
        order.triggered,
    )


def _described(order: OrderSnapshot) -> VenueOrder:
    return VenueOrder(
        order.link_id,
        exchange_order_id(order.link_id),
        order.terms,
        order.state,
        order.filled_quantity,
        order.parent_link_id,
        order.triggered,
    )
