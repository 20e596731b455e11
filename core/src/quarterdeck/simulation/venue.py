"""Owns the simulated venue: what arrives there, what becomes of it, and what it says when asked.

It lives in the world, so it survives the daemon. Orders are matched by the real `quarterdeck.matching.Venue`; here is
what surrounds a matching engine: requests that come too late, versions of everything for answers that are old, trades
of other people, and the truth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from operator import itemgetter
from typing import TypeVar

from quarterdeck.domain.market import FundingRate, Side
from quarterdeck.domain.order import CONDITIONAL_TYPES, OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.report import (
    Acked,
    AmendRejected,
    BalanceChanged,
    Canceled,
    CancelRejected,
    ChildOpened,
    Filled,
    FundingSettled,
    Rejected,
    Report,
)
from quarterdeck.domain.venue import Activity, VenueOrder, VenuePosition
from quarterdeck.matching import LimitFill, OrderSnapshot, Venue, VenueSettings, exchange_order_id
from quarterdeck.plugin.exchange import AmendOrder, CancelOrder, PlaceOrder
from quarterdeck.simulation.faults import Faults
from quarterdeck.simulation.market import EPOCH, INSTRUMENTS, Market
from quarterdeck.simulation.truth import Moved, Taken, Truth

T = TypeVar("T")
Versions = list[tuple[int, T]]

#: Link ids of orders that somebody else placed; the account's owner by hand, where the venue shows none.
FOREIGN = "ext-"

#: How an order is refused whose link id is taken.
DUPLICATE = "DUPLICATE_LINK_ID"

#: Between a link id and the number of one of several orders that the venue made of one.
PART = "#"


@dataclass(slots=True)
class Whole:
    """An order that the venue made several of."""

    terms: OrderTerms
    parts: list[str] = field(default_factory=list)
    has_ended: bool = False


class SimulatedVenue:
    """One account at a venue in the world. Times are nanoseconds of the simulation's clock, `EPOCH` on top outside."""

    def __init__(
        self,
        market: Market,
        faults: Faults,
        clock: Callable[[], int],
        balance: Decimal,
        window: int,
        visibility: int,
        *,
        reuses_links: bool = False,
    ) -> None:
        self.truth = Truth()
        self.reuses_links = reuses_links
        """Whether the link id of an order that has ended is taken for another one."""
        self.window = window
        """Nanoseconds after which a request is turned away."""
        self.visibility = visibility
        self.report: Callable[[Report], None] = lambda _: None
        """Takes what is reported, in order."""
        self.keeps_stops = True
        """Whether stops work; else it ends those it opens, and takes in none."""
        self.instruments = {one.symbol: one for one in INSTRUMENTS}
        """What it lists, by rules that may change."""
        self._market = market
        self._faults = faults
        self._clock = clock
        self._venue = Venue(INSTRUMENTS, {"USDT": balance}, VenueSettings(limit_fill=LimitFill.TOUCH))
        self._orders: dict[str, Versions[VenueOrder]] = {}
        self._hidden_until: dict[str, int] = {}
        self._rejected: set[str] = set()
        self._refused: dict[str, str] = {}
        self._wholes: dict[str, Whole] = {}
        self._positions: Versions[Sequence[VenuePosition]] = [(0, ())]
        self._balances: Versions[Mapping[str, Decimal]] = [(0, self._venue.balances())]
        self._activity: Versions[Activity] = []
        self._foreign = 0
        self._changes = 0

    @property
    def now(self) -> int:
        """Nanoseconds since the epoch."""
        return EPOCH + self._clock()

    # --- the market

    def see_market(self) -> None:
        """Prices have moved."""
        for instrument in INSTRUMENTS:
            self._see(instrument.symbol)

    def _see(self, symbol: str) -> None:
        self._happened(self._venue.on_market(self._market.quote(symbol, self.now)))

    def settle_funding(self, rate: float) -> None:
        """Charge funding on all positions."""
        for instrument in INSTRUMENTS:
            self._happened(self._venue.on_market(FundingRate(instrument.symbol, self.now, rate)))

    # --- requests

    def place(self, order: PlaceOrder) -> Acked | Rejected:
        """A request for a new order has arrived; returns what is answered."""
        link, now = order.link_id, self.now
        refusal = ""
        if now > order.time + self.window:
            refusal = "REQUEST_EXPIRED"
        elif link in self._orders and not (self.reuses_links and self._has_ended(link)):
            refusal = DUPLICATE
        elif link in self._refused:
            refusal = self._refused[link]
        elif self._forbids(order.terms) or self._faults.strikes("refuse"):
            refusal = self._refused[link] = "RATE_LIMITED"
        elif order.terms.type is OrderType.STOP and not self.keeps_stops:
            refusal = self._refused[link] = "TOO_MANY_CONDITIONAL"
        if refusal:
            return self._refuse(link, refusal)
        if self._faults.strikes("ack-then-reject"):
            self.truth.taken.append(Taken(now, link))
            self._rejected.add(link)
            gone = VenueOrder(
                link, exchange_order_id(link), order.terms, OrderState.REJECTED, Decimal(0), update_time=now,
                reason="PRICE_LIMIT",
            )  # fmt: skip
            self._orders[link] = [(now, gone)]
            self.report(Rejected(link, "PRICE_LIMIT", now))
            return Acked(link, exchange_order_id(link), now)
        terms, parts = order.terms, list[OrderTerms]()
        if terms.reduce_only and terms.type is OrderType.MARKET and self._faults.strikes("split-order"):
            terms, *parts = self._split(terms)
        first = self._part_of(link, order.terms) if parts or link in self._orders else link
        answer, *following = self._venue.place(first, terms, now)
        if isinstance(answer, Rejected):
            self._refused[link] = answer.reason
            return self._refuse(link, answer.reason)
        assert isinstance(answer, Acked)
        self.truth.taken.append(Taken(now, link))
        for part in parts:
            following += self._venue.place(self._part_of(link, order.terms), part, now)[1:]
        if self._faults.strikes("hide-order"):
            self._hidden_until[link] = now + round(self._faults.dice("hide-order").random() * self.visibility)
        self._note(link)
        self._happened(following)
        self._see(order.terms.symbol)
        return replace(answer, link_id=link)

    def _refuse(self, link: str, reason: str) -> Rejected:
        """Turn a request away. A copy of one in `_refused` is, too: else its word would be no evidence of anything."""
        self.truth.taken.append(Taken(self.now, link, reason))
        return Rejected(link, reason, self.now)

    def _part_of(self, link: str, terms: OrderTerms) -> str:
        """What the next one of several orders is called that the venue makes of one."""
        whole = self._wholes.setdefault(link, Whole(terms))
        whole.parts.append(f"{link}{PART}{len(whole.parts) + 1}")
        return whole.parts[-1]

    def _has_ended(self, link: str) -> bool:
        found = self._look(link)
        return found is None or found.state not in _WORKING

    def _look(self, link: str) -> VenueOrder | None:
        """An order as it is now; several that were made of one, as the one."""
        whole = self._wholes.get(link)
        if whole is None:
            found = self._venue.find_order(link)
            return None if found is None else _described(found, self.now)
        parts = [one for part in whole.parts if (one := self._venue.find_order(part)) is not None]
        filled = sum((one.filled_quantity for one in parts), Decimal(0))
        state = OrderState.FILLED if filled >= whole.terms.quantity else OrderState.CANCELED
        if any(one.state in _WORKING for one in parts):
            state = OrderState.PARTIALLY_FILLED if filled else OrderState.OPEN
        return VenueOrder(link, exchange_order_id(link), whole.terms, state, filled, update_time=self.now)

    def _as_one(self, report: Report) -> Report | None:
        """What is told of one of several orders that were made of one: its trades, as the one's."""
        part = getattr(report, "link_id", "")
        link = part.partition(PART)[0]
        if link == part:
            return report
        if isinstance(report, Filled):
            return replace(report, link_id=link, exchange_order_id=exchange_order_id(part))
        return None

    def _ended(self) -> Iterator[Report]:
        """Word of those of which several were made, once, when the last of them has ended before all was traded."""
        for link, whole in self._wholes.items():
            if not whole.has_ended and self._has_ended(link):
                whole.has_ended = True
                found = self._look(link)
                if found is not None and found.state is OrderState.CANCELED:
                    yield Canceled(link, "REDUCE_ONLY", self.now)

    def _split(self, terms: OrderTerms) -> Sequence[OrderTerms]:
        """Two or three orders with the quantity of one."""
        lot = next(one.lot_size for one in INSTRUMENTS if one.symbol == terms.symbol)
        left, quantities = terms.quantity, list[Decimal]()
        for _ in range(self._faults.dice("split-order").randint(1, 2)):
            part = left // lot // 2 * lot
            if part > 0:
                quantities.append(part)
                left -= part
        return [replace(terms, quantity=quantity) for quantity in (left, *quantities)]

    def cancel(self, order: CancelOrder) -> None:
        """A wish to cancel has arrived."""
        if self.now > order.time + self.window:
            raise ValueError("REQUEST_EXPIRED")
        if order.link_id in self._rejected:
            self.report(CancelRejected(order.link_id, "ORDER_CLOSED", self.now))
        else:
            self._happened(self._venue.cancel(order.link_id, self.now))

    def cancel_many(self, orders: Sequence[CancelOrder], emptied: Collection[str]) -> Sequence[CancelOrder]:
        """A wish to cancel many has arrived; returns those it failed for, or says so."""
        unsure = []
        for order in orders:
            fails = self._faults.strikes("fail-leg")
            if fails:
                unsure.append(order)
            if not fails or self._faults.dice("fail-leg").random() < 0.5:
                self.cancel(order)
        for one in self._venue.open_orders():
            if one.terms.symbol in emptied and one.terms.type not in CONDITIONAL_TYPES:
                self._happened(self._venue.cancel(one.link_id, self.now))
        return unsure

    def amend(self, order: AmendOrder) -> None:
        """A wish to amend has arrived."""
        if self.now > order.time + self.window:
            raise ValueError("REQUEST_EXPIRED")
        if order.link_id in self._rejected:
            self.report(AmendRejected(order.link_id, "ORDER_CLOSED", self.now))
            return
        self._happened(
            self._venue.amend(
                order.link_id,
                self.now,
                quantity=order.quantity,
                limit_price=order.limit_price,
                trigger_price=order.trigger_price,
            )
        )
        self._see(order.symbol)

    # --- other people

    def trade_by_hand(self, symbol: str, side: Side, quantity: Decimal) -> None:
        """Somebody sends a market order of their own."""
        self._foreign += 1
        link = f"{FOREIGN}{self._foreign}"
        answer, *following = self._venue.place(link, OrderTerms(symbol, side, OrderType.MARKET, quantity), self.now)
        if isinstance(answer, Acked):
            self._note(link)
            self._happened(following)
            self._see(symbol)

    def cancel_by_hand(self, pick: Callable[[Sequence[str]], str]) -> bool:
        """Somebody cancels an open order; returns whether there was one."""
        links = [one.link_id for one in self._venue.open_orders()]
        if links:
            self._happened(self._venue.cancel(pick(links), self.now))
        return bool(links)

    def _forbids(self, terms: OrderTerms) -> bool:
        return self.instruments[terms.symbol].reduce_only and not terms.reduce_only

    def relist(self, symbol: str, **rules: Decimal | bool) -> None:
        """Trade an instrument by other rules from now on."""
        self.instruments[symbol] = replace(self.instruments[symbol], **rules)  # type: ignore[arg-type]  # a scenario's
        self._venue.relist(self.instruments[symbol])

    def cancel_stops_by_hand(self) -> None:
        """Somebody takes off every stop."""
        for one in self._venue.open_orders():
            if one.terms.type is OrderType.STOP:
                self._happened(self._venue.cancel(one.link_id, self.now))

    def transfer(self, amount: Decimal) -> None:
        """Money comes in, or goes out as far as it is free."""
        held = self._venue.balances()["USDT"]
        if amount < 0 and held + amount < 1000:
            return
        self._changes += 1
        self._happened(self._venue.transfer(f"transfer-{self._changes}", "USDT", amount, self.now))

    # --- questions; `at` is the moment the answer is of

    def find_order(self, link_id: str, at: int) -> VenueOrder | None:
        """An order as it was."""
        return None if self._is_hidden(link_id) else _as_of(self._orders.get(link_id, []), at)

    def open_orders(self, at: int) -> Sequence[VenueOrder]:
        """All that worked."""
        found = (_as_of(versions, at) for link, versions in self._orders.items() if not self._is_hidden(link))
        return [_shown(one) for one in found if one is not None and one.state in _WORKING]

    def positions(self, at: int) -> Sequence[VenuePosition]:
        """What was held."""
        return _as_of(self._positions, at) or ()

    def balances(self, at: int) -> Mapping[str, Decimal]:
        """The wallet."""
        return _as_of(self._balances, at) or {}

    def fills(self, link_id: str, at: int) -> Sequence[Filled]:
        """Trades of one order."""
        return [
            one for time, one in self._activity if time <= at and isinstance(one, Filled) and one.link_id == link_id
        ]

    def history(self, since: int, at: int) -> Sequence[Activity]:
        """All that moved the account since a time."""
        return [_shown_activity(one) for time, one in self._activity if time <= at and one.time >= since]

    def worked(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        """From when until when each order worked, by its link id; until 0 if it still does."""
        found: dict[str, list[tuple[int, int]]] = {}
        for link, versions in self._orders.items():
            spans = found.setdefault(link, [])
            since = 0
            for time, version in versions:
                if version.state in _WORKING and not since:
                    since = time
                elif version.state not in _WORKING and since:
                    spans.append((since, time))
                    since = 0
            if since:
                spans.append((since, 0))
        return found

    def was_rejected(self, link_id: str) -> bool:
        """Whether an order was acknowledged and rejected afterwards."""
        return link_id in self._rejected

    def _is_hidden(self, link_id: str) -> bool:
        return self.now < self._hidden_until.get(link_id, 0)

    # --- what happens

    def _happened(self, reports: Sequence[Report]) -> None:
        if not reports:
            return
        now = self.now
        moved = False
        if self._wholes:
            reports = [*(one for report in reports if (one := self._as_one(report)) is not None), *self._ended()]
        for report in reports:
            link = getattr(report, "link_id", "")
            if isinstance(report, ChildOpened | Filled) or link:
                self._note(link)
            if isinstance(report, Filled | FundingSettled | BalanceChanged):
                self.truth.moved.append(Moved(now, report))
                self._activity.append((now, report))
                moved = True
        if moved:
            held = [VenuePosition(one.symbol, one.quantity, one.average_price) for one in self._venue.positions()]
            self._positions.append((now, held))
            self._balances.append((now, self._venue.balances()))
        for report in reports:
            if isinstance(report, Filled | FundingSettled | BalanceChanged):
                self.report(_shown_activity(report))
            elif not getattr(report, "link_id", "").startswith(FOREIGN):
                self.report(report)
        if not self.keeps_stops:
            for report in reports:
                if isinstance(report, ChildOpened) and report.role is OrderRole.STOP_LOSS:
                    self._happened(self._venue.cancel(report.link_id, now))

    def _note(self, link_id: str) -> None:
        found = self._look(link_id)
        if found is not None:
            self._orders.setdefault(link_id, []).append((self.now, found))


_WORKING = frozenset({OrderState.ACKED, OrderState.OPEN, OrderState.PARTIALLY_FILLED})


def _as_of(versions: Sequence[tuple[int, T]], at: int) -> T | None:
    found = bisect_right(versions, at, key=itemgetter(0))
    return versions[found - 1][1] if found else None


def _described(order: OrderSnapshot, now: int) -> VenueOrder:
    return VenueOrder(
        order.link_id,
        exchange_order_id(order.link_id),
        order.terms,
        order.state,
        order.filled_quantity,
        order.parent_link_id,
        order.triggered,
        now,
    )


def _shown(order: VenueOrder) -> VenueOrder:
    return replace(order, link_id="") if order.link_id.startswith(FOREIGN) else order


def _shown_activity(activity: Activity) -> Activity:
    if isinstance(activity, Filled) and activity.link_id.startswith(FOREIGN):
        return replace(activity, link_id="")
    return activity
