"""Owns that positions have the stops they should have: what is missing is placed again, or the position is closed.

A venue may end a stop by itself, somebody may take it off in the venue's own app, and what an entry fills may find the
price beyond its stop already. On every tick what is wanted (`stops.py`) is held against what works. A gap may close by
itself for a moment, since the venue tells of one thing after the other; then a stop is placed. When that is refused
again and again, or the price has passed the stop, what is not protected is closed: what the stop would have done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO, amount_text, ceil_to, floor_to, plain
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND, Side
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.risk import Approved, OrderDraft, TradingState
from quarterdeck.engine import events as e
from quarterdeck.engine.orders import close_share, record, request_cancel
from quarterdeck.engine.state import State
from quarterdeck.engine.stops import Wanted, nearest_first, wanted_of
from quarterdeck.engine.turn import Turn
from quarterdeck.engine.view import View

#: How long a gap may close by itself, until a stop is placed.
GRACE = SECOND

#: How long stops are tried to be placed until the position is closed; longer while one is on its way.
PLACED_WITHIN, ANSWERED_WITHIN = 5 * SECOND, 15 * SECOND

#: The most that counts between two looks: while the process stood still nobody tried anything.
BETWEEN_LOOKS = 2 * SECOND

#: A close that was refused is tried again after a second, then after twice that, up to this.
LONGEST_WAIT = 60 * SECOND

_STOPS = frozenset({OrderType.STOP, OrderType.TRAILING_STOP})
_ON_THEIR_WAY = frozenset({OrderState.PREPARED, OrderState.SENT, OrderState.UNKNOWN})


@dataclass(slots=True)
class Gap:
    """A share that is not protected as it should be. Times in nanoseconds; `age` is how long it has been watched."""

    seen: int
    age: int = 0
    placed: int = 0
    """Stops placed for it."""
    closed: int = 0
    """Closing orders sent for it."""
    close_after: int = 0


@dataclass(slots=True)
class Gaps:
    """The gaps there are now, by instrument and owner. Of the moment, never journaled: a daemon finds its own."""

    open: dict[tuple[str, str], Gap] = field(default_factory=dict)

    def forget(self, state: State) -> None:
        """Drop those of shares that are closed by now: the next position begins anew."""
        for symbol, owner in list(self.open):
            if not wanted_of(state, symbol, owner):
                del self.open[symbol, owner]


def protect(turn: Turn, view: View, gaps: Gaps) -> None:
    """Hold what is wanted against what works, and do what the time that has passed asks for."""
    found: set[tuple[str, str]] = set()
    for cover in _covers(turn.state, turn.instruments):
        if not cover.missing:
            cover.withdraw_surplus(turn)
            continue
        key = (cover.instrument.symbol, cover.owner)
        found.add(key)
        gap = gaps.open.setdefault(key, Gap(turn.time))
        gap.age += min(turn.time - gap.seen, BETWEEN_LOOKS)
        gap.seen = turn.time
        if gap.age >= GRACE:
            _close_gap(turn, view, cover, gap)
    for key in gaps.open.keys() - found:
        del gaps.open[key]


def lacking(state: State, instruments: Mapping[str, Instrument]) -> Iterator[str]:
    """What should be closed by a stop and is not now, in words."""
    for cover in _covers(state, instruments):
        if cover.missing:
            yield f"{amount_text(plain(cover.missing))} {cover.what}"


def _covers(state: State, instruments: Mapping[str, Instrument]) -> list[_Cover]:
    return [
        _Cover(state, instruments[symbol], owner)
        for symbol, owners in state.stops.items()
        if symbol in instruments
        for owner in owners
    ]


class _Cover:
    """How one owner's share is protected. `missing` is what no stop closes and one can be placed for."""

    def __init__(self, state: State, instrument: Instrument, owner: str) -> None:
        self.instrument = instrument
        self.owner = owner
        self.share = state.share(instrument.symbol, owner)
        self.side = Side.SELL if self.share.quantity > 0 else Side.BUY
        self.wanted = self._on_ticks(wanted_of(state, instrument.symbol, owner))
        stops = [each for each in state.orders_of(instrument.symbol) if self._covers(each)]
        self.stops = [each for each in stops if each.state not in _ON_THEIR_WAY]
        self.coming = sum((each.leaves_quantity for each in stops if each.state in _ON_THEIR_WAY), ZERO)
        self._needed = min(sum(self.wanted.values(), ZERO), abs(self.share.quantity), self._at_stake(state))
        self._covered = sum((each.leaves_quantity for each in self.stops), ZERO)
        least = max(instrument.min_quantity, instrument.lot_size)
        left = floor_to(max(self._needed - self._covered, ZERO), instrument.lot_size)
        self.missing = left if left >= least else ZERO

    def _at_stake(self, state: State) -> Decimal:
        """What the account holds on the owner's side: another's opposite share leaves that much less to protect."""
        position = state.positions.get(self.instrument.symbol)
        return max(-position.quantity * self.side.sign, ZERO) if position else ZERO

    def _covers(self, order: Order) -> bool:
        """A stop of the owner, or one somebody set at the venue by hand: that one is the whole position's."""
        terms = order.terms
        return (
            terms.type in _STOPS
            and terms.reduce_only
            and terms.side is self.side
            and (order.bot_id == self.owner or order.role is OrderRole.EXTERNAL)
        )

    def _on_ticks(self, wanted: Wanted) -> Wanted:
        """Prices the venue takes, should its ticks have changed: the nearest that is reached no later."""
        tick, found = self.instrument.tick_size, Wanted()
        for price, quantity in wanted.items():
            at = ceil_to(price, tick) if self.side is Side.SELL else floor_to(price, tick)
            found[at] = found.get(at, ZERO) + quantity
        return found

    @property
    def what(self) -> str:
        """Whose share of what it is, in words."""
        return self.instrument.symbol + (f" of bot {self.owner}" if self.owner else "")

    def parts(self) -> list[tuple[Decimal, Decimal]]:
        """At which prices how much is missing, the nearest first."""
        left, found = self.missing, []
        for price in nearest_first(self.wanted, self.share.quantity):
            works = sum((each.leaves_quantity for each in self.stops if each.terms.trigger_price == price), ZERO)
            part = min(left, floor_to(max(self.wanted[price] - works, ZERO), self.instrument.lot_size))
            if part > 0:
                found.append((price, part))
                left -= part
        return found

    def is_passed(self, price: Decimal, mark: Decimal | None) -> bool:
        """Whether a stop at this price would have been triggered."""
        return mark is not None and (mark <= price if self.side is Side.SELL else mark >= price)

    def withdraw_surplus(self, turn: Turn) -> None:
        """Take off a stop of ours when the one it stood in for works after all: both would close too much."""
        surplus = self._covered + self.coming - self._needed
        for order in self.stops:
            is_stand_in = order.role is OrderRole.STOP_LOSS and not order.parent_id and order.attempts
            if is_stand_in and order.leaves_quantity <= surplus and not order.cancel_requested and not order.triggered:
                surplus -= order.leaves_quantity
                request_cancel(turn, order)


def _close_gap(turn: Turn, view: View, cover: _Cover, gap: Gap) -> None:
    mark = view.mark(cover.instrument.symbol)
    parts = cover.parts()
    passed = sum((quantity for price, quantity in parts if cover.is_passed(price, mark)), ZERO)
    patience = ANSWERED_WITHIN if cover.coming else PLACED_WITHIN
    if passed:
        _close(turn, view, cover, gap, passed)
    elif gap.placed and gap.age >= patience:
        _warn(turn, cover)
        _close(turn, view, cover, gap, cover.missing)
    elif not cover.coming:
        gap.placed += 1
        for price, quantity in parts:
            _place(turn, view, cover, price, quantity)


def _place(turn: Turn, view: View, cover: _Cover, price: Decimal, quantity: Decimal) -> None:
    """Place a stop again. It only reduces, so no rule is asked."""
    most = cover.instrument.max_quantity
    terms = OrderTerms(
        cover.instrument.symbol,
        cover.side,
        OrderType.STOP,
        min(quantity, most) if most else quantity,
        trigger_price=price,
        reduce_only=True,
    )
    draft = OrderDraft(terms, OrderRole.STOP_LOSS, cover.owner, price)
    record(turn, "", draft, None, Approved(draft, ()), view)


def _close(turn: Turn, view: View, cover: _Cover, gap: Gap, quantity: Decimal) -> None:
    """Close what is not protected, and let nothing more of it be entered."""
    for order in list(turn.state.orders_of(cover.instrument.symbol, cover.owner)):
        if order.role is OrderRole.ENTRY:
            request_cancel(turn, order)
    if turn.time >= gap.close_after and close_share(turn, cover.owner, cover.share, view, quantity=quantity):
        gap.close_after = turn.time + min(SECOND << gap.closed, LONGEST_WAIT)
        gap.closed += 1


def _warn(turn: Turn, cover: _Cover) -> None:
    """A venue that keeps no stop gets no more risk until a person has looked."""
    if turn.state.trading_state is TradingState.ACTIVE:
        reason = f"no stop can be placed for {amount_text(plain(cover.missing))} {cover.what}: it is being closed"
        turn.emit(e.TradingStateChanged(TradingState.REDUCING, reason, automatic=True))
