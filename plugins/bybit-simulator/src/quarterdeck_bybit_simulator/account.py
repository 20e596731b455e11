"""Owns one account at the simulated Bybit: its orders, executions and positions, and what is told of them.

The matching venue of the core decides every fill. What is added here is Bybit's own: ids, statuses, the stop orders
that belong to a position, and who is told what.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MarketEvent, Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.domain.report import (
    Acked,
    Amended,
    BalanceChanged,
    Canceled,
    CancelRejected,
    ChildOpened,
    Expired,
    Filled,
    FundingSettled,
    Opened,
    Rejected,
    Report,
    Triggered,
)
from quarterdeck.matching import Venue
from quarterdeck_bybit_simulator.faults import Do, Faults
from quarterdeck_bybit_simulator.order import NAMESPACE, SimOrder, category_of, text
from quarterdeck_bybit_simulator.refusals import (
    CANCEL_TYPES,
    DUPLICATE_LINK,
    LATER,
    NO_ORDER,
    ONLY_REDUCES,
    REJECT_REASONS,
    SPOT_DUPLICATE_LINK,
    SPOT_NO_ORDER,
    TOO_MANY_CONDITIONAL,
    TOO_MANY_ORDERS,
    Refusal,
    refusal_of,
)
from quarterdeck_bybit_simulator.rows import execution_row, funding_row, position_row, transfer_row, wallet_row
from quarterdeck_bybit_simulator.settings import LinkIds, Member, SimulatorSettings
from quarterdeck_bybit_simulator.truth import Truth

#: Bybit's limits per symbol.
ACTIVE_ORDERS = 500
CONDITIONAL_ORDERS = 10

#: Closed orders that `/v5/order/realtime` still finds, until the service restarts.
REALTIME_CLOSED = 500

_POSITION_STOPS = {
    "stopLoss": ("StopLoss", "CreateByStopLoss"),
    "takeProfit": ("TakeProfit", "CreateByTakeProfit"),
    "trailingStop": ("TrailingStop", "CreateByTrailingStop"),
}

Tell = Callable[[str, list[dict[str, Any]]], None]


def _parts(terms: OrderTerms, most: Decimal) -> list[OrderTerms]:
    """An order that only reduces and is too large comes in as several; of others too large ones are refused."""
    if not terms.reduce_only or not most or terms.quantity <= most:
        return [terms]
    whole, rest = divmod(terms.quantity, most)
    return [replace(terms, quantity=size) for size in [most] * int(whole) + [rest] * bool(rest)]


class SimAccount:
    """One unified account. `tell` sends a message of a private topic to whoever listens."""

    def __init__(
        self,
        member: Member,
        instruments: Iterable[Instrument],
        settings: SimulatorSettings,
        truth: Truth,
        now: Callable[[], int],
        tell: Tell,
        faults: Faults,
    ) -> None:
        self.member = member
        self.instruments = {one.symbol: one for one in instruments}
        venue = replace(settings.venue, fees_in_kind=True)
        self.venue = Venue(self.instruments.values(), dict(member.balances), venue)
        self.orders: dict[str, SimOrder] = {}
        """By the venue's key, oldest first."""
        self.executions: list[dict[str, Any]] = []
        self.transfers: list[dict[str, Any]] = []
        self.leverage: dict[str, Decimal] = {}
        self.margin_mode = "REGULAR_MARGIN"
        self.position_mode = 0
        self.dcp: dict[str, int] = {}
        self._stillborn: list[SimOrder] = []
        """Protection that ends as soon as it was told of."""
        self._late: dict[str, SimOrder] = {}
        """Orders by the venue's keys of trades that come to light after their end."""
        self._settings = settings
        self._truth = truth
        self._now = now
        self._tell = tell
        self._faults = faults
        self._number = 0
        self._sequence = 0
        self._links: dict[str, SimOrder] = {}
        self._position_stops: dict[tuple[str, str], SimOrder] = {}
        self._recent: OrderedDict[str, SimOrder] = OrderedDict()

    # ------------------------------------------------------------ requests

    def place(self, instrument: Instrument, terms: OrderTerms, link_id: str) -> SimOrder:
        """Take an order in. What becomes of it is told on the streams.

        Raises:
            Refusal: it never existed.
        """
        is_spot = instrument.kind is InstrumentKind.SPOT
        taken = self._links.get(link_id) if link_id else None
        if taken is not None and (taken.is_open or self._settings.link_ids is LinkIds.ALWAYS):
            code = SPOT_DUPLICATE_LINK if is_spot else DUPLICATE_LINK
            raise Refusal(code, "OrderLinkedID is duplicate")
        first, *parts = _parts(terms, instrument.max_quantity)
        order = self._take_in(instrument, first, link_id)
        if link_id:
            self._links[link_id] = order
        for part in parts:
            with suppress(Refusal):  # nothing is left to reduce
                self._take_in(instrument, part, link_id if self._settings.split_keeps_link else "")
        return order

    def _take_in(self, instrument: Instrument, terms: OrderTerms, link_id: str) -> SimOrder:
        order = self._new(instrument, terms, link_id)
        if instrument.reduce_only and not terms.reduce_only:
            raise Refusal(ONLY_REDUCES, "Currently you can only reduce your position on this contract.")
        self._check_counts(order)
        reports = self.venue.place(order.key, terms, self._now())
        first = reports[0]
        if isinstance(first, Rejected) and first.reason not in LATER:
            raise refusal_of(first.reason, is_spot=instrument.kind is InstrumentKind.SPOT)
        self.orders[order.key] = order
        self._truth.note("order", user=self.member.user_id, key=order.key, row=order.row())
        self._hear(reports)
        return order

    def end(self, order: SimOrder) -> None:
        """Let an order end that nobody asked to end: by hand in Bybit's own app, or because Bybit wants it so."""
        if order.is_open:
            self._hear(self.venue.cancel(order.key, self._now()))

    def stops(self) -> list[SimOrder]:
        """What closes positions when the price goes against them, as long as it waits to."""
        return [each for each in self.open_orders() if each.terms.type is OrderType.STOP and each.terms.reduce_only]

    def take_over(self, instrument: Instrument, quantity: Decimal, execution_type: str, create_type: str) -> None:
        """Let Bybit itself trade a signed quantity on the position at the next price: ADL, settlement, delivery."""
        side = Side.BUY if quantity > 0 else Side.SELL
        order = self._new(instrument, OrderTerms(instrument.symbol, side, OrderType.MARKET, abs(quantity)), "")
        order.execution_type, order.create_type = execution_type, create_type
        self.orders[order.key] = order
        self._hear(self.venue.place(order.key, order.terms, self._now()))

    def book_late(self, order: SimOrder, quantity: Decimal) -> None:
        """Let an order trade once more that has ended; it does so at the next price."""
        self._number += 1
        key = f"late{self._number}"
        self._late[key] = order
        self.venue.place(key, OrderTerms(order.terms.symbol, order.terms.side, OrderType.MARKET, quantity), self._now())

    def tell_too_late(self, order: SimOrder) -> None:
        """Tell the end of a filled order again: somebody wanted it canceled."""
        row = order.row() | {"cancelType": "CancelByUser", "rejectReason": "EC_OrigClOrdIDDoesNotExist"}
        self._tell("order", [row])

    def cancel(self, order: SimOrder) -> None:
        """Take an order off the book.

        Raises:
            Refusal: it has ended.
        """
        reports = self.venue.cancel(order.key, self._now())
        for report in reports:
            if isinstance(report, CancelRejected):
                raise refusal_of(report.reason, is_spot=order.instrument.kind is InstrumentKind.SPOT)
        self._hear(reports)

    def amend(
        self, order: SimOrder, quantity: Decimal | None, limit_price: Decimal | None, trigger_price: Decimal | None
    ) -> None:
        """Change a working order.

        Raises:
            Refusal: it has ended, or can't be so.
        """
        reports = self.venue.amend(
            order.key, self._now(), quantity=quantity, limit_price=limit_price, trigger_price=trigger_price
        )
        for report in reports:
            reason = getattr(report, "reason", "")
            if reason and not isinstance(report, Canceled | Expired):
                raise refusal_of(reason, is_spot=order.instrument.kind is InstrumentKind.SPOT)
        self._hear(reports)

    def set_position_stop(self, instrument: Instrument, name: str, value: Decimal) -> None:
        """Set, move or (with zero) remove the stop-loss, take-profit or trailing stop of a whole position.

        Raises:
            Refusal: there is no position, or the price can't be.
        """
        held = self.quantity(instrument.symbol)
        known = self._position_stops.get((instrument.symbol, name))
        if known is not None and known.is_open:
            self.cancel(known)
        if not value:
            return
        if not held:
            raise Refusal(10001, "can not set tp/sl/ts for zero position")
        stop_type, create_type = _POSITION_STOPS[name]
        kinds = {
            "stopLoss": OrderType.STOP,
            "takeProfit": OrderType.TAKE_PROFIT,
            "trailingStop": OrderType.TRAILING_STOP,
        }
        trails = name == "trailingStop"
        terms = OrderTerms(
            instrument.symbol,
            Side.SELL if held > 0 else Side.BUY,
            kinds[name],
            abs(held),
            trigger_price=None if trails else value,
            trailing_distance=value if trails else None,
            reduce_only=True,
        )
        order = self._new(instrument, terms, "")
        order.stop_type, order.create_type = stop_type, create_type
        reports = self.venue.place(order.key, terms, self._now())
        if isinstance(reports[0], Rejected):
            raise refusal_of(reports[0].reason, is_spot=False)
        self.orders[order.key] = order
        self._position_stops[instrument.symbol, name] = order
        self._hear(reports)

    def find(self, order_id: str, link_id: str) -> SimOrder | None:
        """An order by either id; Bybit's own wins."""
        if order_id:
            return next((order for order in self.orders.values() if order.order_id == order_id), None)
        return self._links.get(link_id)

    def existing(self, order_id: str, link_id: str, category: str) -> SimOrder:
        """An order by either id.

        Raises:
            Refusal: there is none.
        """
        found = self.find(order_id, link_id)
        if found is None or category_of(found.instrument) != category:
            is_spot = category == "spot"
            raise Refusal(SPOT_NO_ORDER if is_spot else NO_ORDER, "order not exists or too late to cancel")
        return found

    def open_orders(self) -> list[SimOrder]:
        """All that still work, oldest first."""
        return [order for order in self.orders.values() if order.is_open]

    def recently_closed(self) -> list[SimOrder]:
        """What `/v5/order/realtime` still finds of what has ended."""
        return list(self._recent.values())

    def forget_recent(self) -> None:
        """Bybit's service has restarted: what had ended is found in the history only."""
        self._recent.clear()

    def quantity(self, symbol: str) -> Decimal:
        """The signed position in an instrument."""
        return next((each.quantity for each in self.venue.positions() if each.symbol == symbol), ZERO)

    # ------------------------------------------------------------ the market

    def show(self, event: MarketEvent) -> None:
        """See the market move."""
        reports = self.venue.on_market(event)
        if reports:
            self._hear(reports)

    def adjust(self, currency: str, amount: Decimal) -> None:
        """Move money in or out from elsewhere."""
        self.venue.deposit(currency, amount)
        self._number += 1
        name = f"{self.member.user_id}_{currency}_{self._number}"
        self.transfers.append(transfer_row(name, currency, amount, self.venue.balances()[currency], self._now()))
        self._tell("wallet", [self.wallet_row()])

    # ------------------------------------------------------------ what happened

    def _new(self, instrument: Instrument, terms: OrderTerms, link_id: str) -> SimOrder:
        self._number += 1
        now = self._now()
        key = f"o{self._number}"
        name = f"{self.member.user_id}/{key}"
        return SimOrder(
            key,
            str(uuid.uuid5(NAMESPACE, name)),
            link_id,
            instrument,
            terms,
            now,
            now + self._settings.visibility_delay,
        )

    def _check_counts(self, order: SimOrder) -> None:
        same = [one for one in self.open_orders() if one.instrument is order.instrument]
        if order.is_conditional:
            made_by_client = sum(one.is_conditional and one.create_type == "CreateByUser" for one in same)
            if made_by_client >= CONDITIONAL_ORDERS:
                raise Refusal(TOO_MANY_CONDITIONAL, "too many stop orders")
        elif sum(not one.is_conditional for one in same) >= ACTIVE_ORDERS:
            raise Refusal(TOO_MANY_ORDERS, "too many active orders")

    def _hear(self, reports: Iterable[Report]) -> None:
        """Turn what the venue reports into Bybit's records, and tell whoever listens, in the order it happened."""
        news: list[tuple[str, dict[str, Any]]] = []
        moved: set[str] = set()
        for report in self._renamed(reports):
            order = self._apply(report)
            if isinstance(report, Filled):
                news.append(
                    (
                        "execution",
                        execution_row(self.orders[report.link_id], self.member.user_id, report, self._count()),
                    )
                )
                moved.add(report.symbol)
            elif isinstance(report, FundingSettled):
                news.append(
                    (
                        "execution",
                        funding_row(self.instruments[report.symbol], self.member.user_id, report, self._count()),
                    )
                )
            elif isinstance(report, BalanceChanged):
                moved.add("")
            if order is not None:
                row = order.row()
                order.seen.append(row)
                news.append(("order", row))
                if not order.is_open:
                    self._recent[order.key] = order
                    while len(self._recent) > REALTIME_CLOSED:
                        self._recent.popitem(last=False)
        for topic, group in groupby(news, key=itemgetter(0)):
            rows = [row for _, row in group]
            for row in rows:
                self._truth.note("state" if topic == "order" else topic, user=self.member.user_id, row=row)
            if topic == "execution":
                self.executions += rows
            self._tell(topic, rows)
        contracts = [symbol for symbol in sorted(moved) if symbol and self._is_contract(symbol)]
        for symbol in contracts:
            self._fit_position_stops(symbol)
        if contracts:
            self._tell("position", [self.position_row(self.instruments[symbol]) for symbol in contracts])
        if moved or any(topic == "execution" for topic, _ in news):
            self._tell("wallet", [self.wallet_row()])
        while self._stillborn:
            self.end(self._stillborn.pop())

    def _renamed(self, reports: Iterable[Report]) -> Iterator[Report]:
        """What comes of a trade that is booked late is told of the order it belongs to: the trade, and nothing else."""
        for report in reports:
            late = self._late.get(getattr(report, "link_id", ""))
            if late is None:
                yield report
            elif isinstance(report, Filled):
                yield replace(report, link_id=late.key)

    def _is_contract(self, symbol: str) -> bool:
        return self.instruments[symbol].kind is InstrumentKind.LINEAR

    def _apply(self, report: Report) -> SimOrder | None:
        """Bring the record of the order up to date; None where a report says nothing new of one."""
        if isinstance(report, ChildOpened):
            return self._child(report)
        order = self.orders.get(getattr(report, "link_id", ""))
        if order is None or isinstance(report, Acked):
            return None
        now = self._now()
        match report:
            case Opened():
                order.update_time = now
            case Triggered():
                order.was_triggered, order.status, order.update_time = True, "New", now
            case Filled():
                order.filled += report.quantity
                order.value += report.quantity * report.price
                order.fee += report.fee
                if order.is_open:
                    order.status = "Filled" if order.filled >= order.terms.quantity else "PartiallyFilled"
                order.update_time = now
            case Amended():
                order.terms = replace(
                    order.terms,
                    quantity=report.quantity or order.terms.quantity,
                    limit_price=report.limit_price or order.terms.limit_price,
                    trigger_price=report.trigger_price or order.terms.trigger_price,
                )
                order.update_time = now
            case Canceled() | Expired():
                reason = report.reason
                order.end("Cancelled", now, REJECT_REASONS.get(reason, "EC_NoError"), CANCEL_TYPES.get(reason, ""))
            case Rejected():
                reason = REJECT_REASONS.get(report.reason, "EC_Others")
                # Bybit cancels a post-only order that would take; other late refusals are rejections.
                order.end("Cancelled" if report.reason in LATER else "Rejected", now, reason)
            case _:
                return None
        return order

    def _child(self, report: ChildOpened) -> SimOrder:
        known = self.orders.get(report.link_id)
        if known is not None:
            known.terms = report.terms
            known.update_time = self._now()
            return known
        instrument = self.instruments[report.terms.symbol]
        order = self._new(instrument, report.terms, "")
        order.key = report.link_id
        if report.role is OrderRole.LIQUIDATION:
            order.create_type, order.stop_type = "CreateByLiq", ""
        else:
            loses = report.role is OrderRole.STOP_LOSS
            order.create_type = "CreateByPartialStopLoss" if loses else "CreateByPartialTakeProfit"
            order.stop_type = "PartialStopLoss" if loses else "PartialTakeProfit"
            parent = self.orders.get(report.parent_link_id)
            order.parent_link_id = parent.link_id if parent else ""
            rule = self._faults.of_request("protection", instrument.symbol)
            if rule is not None and rule.do is Do.END:
                self._stillborn.append(order)
        self.orders[order.key] = order
        return order

    def _fit_position_stops(self, symbol: str) -> None:
        """Position-level stops always cover the whole position, and end with it."""
        held = abs(self.quantity(symbol))
        for (of, _), order in list(self._position_stops.items()):
            if of != symbol or not order.is_open or order.was_triggered:
                continue
            if not held:
                self._hear(self.venue.cancel(order.key, self._now()))
            elif held != order.terms.quantity:
                self._hear(self.venue.amend(order.key, self._now(), quantity=held))

    def leverage_of(self, instrument: Instrument) -> Decimal:
        """The leverage set for an instrument."""
        return self.leverage.get(instrument.symbol) or self._settings.venue.leverage_of(instrument)

    # ------------------------------------------------------------ what it looks like

    def _count(self) -> int:
        self._sequence += 1
        return self._sequence

    def position_row(self, instrument: Instrument) -> dict[str, Any]:
        """A position, flat or not."""
        symbol = instrument.symbol
        held = next((each for each in self.venue.positions() if each.symbol == symbol), None)
        stops = {}
        for (of, name), order in self._position_stops.items():
            if of == symbol and order.is_open:
                terms = order.terms
                stops[name] = text(terms.trailing_distance if name == "trailingStop" else terms.trigger_price)
        liquidation = self.venue.liquidation_price(symbol)
        if liquidation is not None:
            liquidation = liquidation.quantize(Decimal("1E-8"))
        leverage = self.leverage_of(instrument)
        return position_row(instrument, held, liquidation, leverage, stops, self._now(), self._sequence)

    def wallet_row(self) -> dict[str, Any]:
        """The balances."""
        settled = {one.settle for one in self.instruments.values()}
        balances = self.venue.balances()
        return wallet_row(balances, {coin: self.venue.margin_balance(coin) for coin in balances if coin in settled})
