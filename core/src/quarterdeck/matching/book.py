"""Owns one instrument at the venue: its prices, its position, its open orders, and what would wake them.

A book sleeps through market events that can't change anything: those inside its wake levels and before its wake time.
The levels are floats that only decide whether to look; what is then done is decided on exact numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush
from math import inf

from quarterdeck.domain.amounts import ZERO, floor_to, from_observation
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.matching.ladder import Ladder
from quarterdeck.matching.order import BookOrder

NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Amendment:
    """The change of an order that was asked for; a field that is None stays."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """Something on its way to the market: a new order, an amendment if there is one, else a wish to cancel."""

    time: int
    number: int
    link_id: str
    is_new: bool = field(default=False, compare=False)
    amendment: Amendment | None = field(default=None, compare=False)


class Room:
    """What a market event offers: the `volume` it shows, and what orders may still take, None for any quantity."""

    __slots__ = ("left", "volume")

    def __init__(self, volume: float = 0.0, left: Decimal | None = None) -> None:
        self.volume = volume
        self.left = left


class Book:
    """Everything the venue holds on one instrument.

    `quantity` and `cost` are the position, signed. `bid` and `ask` are the prices seen last (equal where only one is
    known), None before the first. `at_bid` and `at_ask` are the same as exact numbers once somebody has asked, or where
    the event that is being worked through has got to.
    """

    def __init__(self, instrument: Instrument, leverage: Decimal, *, through: bool) -> None:
        self.instrument = instrument
        self.leverage = leverage
        self.maintenance_rate = float(instrument.maintenance_margin_rate)
        self.is_spot = instrument.kind is InstrumentKind.SPOT
        self.quantity = ZERO
        self.cost = ZERO
        self.orders: dict[str, BookOrder] = {}
        self.reducing: dict[str, BookOrder] = {}
        """Those of the open orders that may only reduce the position."""
        self.trailing: dict[str, BookOrder] = {}
        """Trailing stops that have arrived and not been triggered."""
        self.falling = Ladder(falling=True, through=through)
        self.rising = Ladder(falling=False, through=through)
        self.fresh: list[BookOrder] = []
        """Orders that trade, or come to rest, at the next price: new limit orders and all market orders."""
        self.starved: list[BookOrder] = []
        """Resting orders that were reached when the event had no room left for them."""
        self.requests: list[Request] = []
        self.buys_reserved = ZERO
        self.sells_reserved = ZERO
        self.bid: float | None = None
        self.ask: float | None = None
        self.at_bid: Decimal | None = None
        self.at_ask: Decimal | None = None
        self.buy_room = self.sell_room = Room()
        self.seen_until = 0
        self.funded_until = 0
        self.next_funding = NEVER
        self.margin_below = -inf
        self.margin_above = inf
        self.wake_below = -inf
        self.wake_above = inf
        self.wake_time = 0

    # --- prices

    def show(self, bid: float, ask: float, time: int) -> None:
        """Take note of the prices seen last."""
        self.bid, self.ask, self.seen_until = bid, ask, time
        self.at_bid = self.at_ask = None

    @property
    def exact_bid(self) -> Decimal | None:
        """What sells trade at now; None before any price."""
        if self.at_bid is None and self.bid is not None:
            self.at_bid = from_observation(self.bid)
        return self.at_bid

    @property
    def exact_ask(self) -> Decimal | None:
        """What buys trade at now; None before any price."""
        if self.at_ask is None and self.ask is not None:
            self.at_ask = self.exact_bid if self.ask == self.bid else from_observation(self.ask)
        return self.at_ask

    @property
    def mark(self) -> Decimal | None:
        """The price the position is valued at: the middle of bid and ask; None before any price."""
        bid, ask = self.exact_bid, self.exact_ask
        if bid is None or ask is None or bid == ask:
            return bid
        return (bid + ask) / 2

    def price_for(self, order: BookOrder) -> Decimal | None:
        """What an order would trade at now, before slippage: buys see the ask, sells the bid. None before any price."""
        return self.exact_ask if order.is_buy else self.exact_bid

    def offer(self, volume: float, participation: Decimal | None) -> Room:
        """What an event that shows `volume` offers, when orders may take that part of it."""
        if participation is None:
            return Room(volume)
        return Room(volume, floor_to(participation * from_observation(volume), self.instrument.lot_size))

    def room_for(self, order: BookOrder) -> Room:
        """What the current event offers an order."""
        return self.buy_room if order.is_buy else self.sell_room

    # --- orders

    def admit(self, order: BookOrder) -> None:
        """Take an order in; it does not work yet."""
        self.orders[order.link_id] = order
        if order.terms.reduce_only:
            self.reducing[order.link_id] = order

    def drop(self, order: BookOrder) -> None:
        """Forget an order that has ended."""
        self.set_aside(order)
        self.reserve(order, ZERO)
        del self.orders[order.link_id]
        self.reducing.pop(order.link_id, None)
        self.trailing.pop(order.link_id, None)

    def rest(self, order: BookOrder) -> None:
        """Let an order wait for the price to reach its level."""
        (self.falling if order.waits_for_fall else self.rising).add(order)

    def set_aside(self, order: BookOrder) -> None:
        """Stop an order from waiting, wherever it does."""
        if order.rung is not None:
            (self.falling if order.waits_for_fall else self.rising).remove(order)
        elif order in self.fresh:
            self.fresh.remove(order)
        elif order in self.starved:
            self.starved.remove(order)

    def reserve(self, order: BookOrder, amount: Decimal) -> None:
        """Hold `amount` of the account's means for an order instead of what was held before."""
        change = amount - order.reserved
        if not change:
            return
        order.reserved = amount
        if order.is_buy:
            self.buys_reserved += change
        else:
            self.sells_reserved += change

    def closable(self, order: BookOrder) -> Decimal:
        """How much of the position an order of its side could close."""
        quantity = -self.quantity if order.is_buy else self.quantity
        return quantity if quantity > 0 else ZERO

    def next_request(self, before: int) -> Request | None:
        """Take the earliest request that arrives before a time, if there is one."""
        if self.requests and self.requests[0].time < before:
            return heappop(self.requests)
        return None

    def send(self, request: Request) -> None:
        """Put something on its way."""
        heappush(self.requests, request)

    # --- sleep

    def arm(self) -> None:
        """Work out which prices and which time have to wake this book."""
        if self.fresh:
            self.wake_below, self.wake_above = inf, -inf
        else:
            below, above = self.falling.nearest, self.rising.nearest
            self.wake_below = max(self.margin_below, below)
            self.wake_above = min(self.margin_above, above)
            for order in self.trailing.values():
                self._wake_to_trail(order)
        self.wake_time = self.next_funding
        if self.requests and self.requests[0].time < self.wake_time:
            self.wake_time = self.requests[0].time

    def _wake_to_trail(self, order: BookOrder) -> None:
        distance, trigger = order.terms.trailing_distance, order.trigger_price
        assert distance is not None, f"{order.link_id} trails at no distance"
        assert trigger is not None, f"{order.link_id} trails from nowhere"
        if order.is_buy:
            self.wake_below = max(self.wake_below, float(trigger - distance))
        else:
            self.wake_above = min(self.wake_above, float(trigger + distance))
