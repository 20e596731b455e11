"""Owns what must hold of an account's state at every moment, as pure functions: a state in, findings out.

`check_state` asks all of them. A running daemon shows them with `quarterdeck doctor`; a simulation asks the same after
every step and takes each `FAILED` for a bug. A `WARNING` is something a person should know, never a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from quarterdeck.domain.amounts import ZERO, amount_text
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import CLOSED_STATES, Order, OrderRole, OrderState
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.state import Exposure, State

#: Names listed of whatever is wrong; the rest is counted.
SHOWN = 5


class Verdict(StrEnum):
    """What a check found."""

    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"
    NOT_APPLICABLE = "NOT_APPLICABLE"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `invariants` are the promises it is about; `age` is how old the look is, in nanoseconds."""

    check: str
    invariants: tuple[str, ...]
    verdict: Verdict
    detail: str
    data: Mapping[str, str] = field(default_factory=dict)
    age: int = 0


def check_state(state: State, instruments: Mapping[str, Instrument]) -> list[Finding]:
    """Every check that needs the state alone. `instruments` are the venue's; those it lacks are not judged."""
    found = [check(state) for check in _CHECKS]
    found.append(exact_terms(state, instruments))
    return found


# ---------------------------------------------------------------- money and positions


def shares_add_up(state: State) -> Finding:
    """What the owners hold of an instrument adds up to the account's position."""
    wrong = [
        f"{symbol}: shares add up to {_text(total)}, the position is {_text(position.quantity)}"
        for symbol, position in state.positions.items()
        if (total := sum((each.quantity for each in state.shares.get(symbol, {}).values()), ZERO)) != position.quantity
    ]
    wrong += [f"{symbol}: owners hold it, the account does not" for symbol in state.shares.keys() - state.positions]
    held = sum(1 for each in state.positions.values() if each.quantity)
    return _judged("shares", ("I04",), wrong, f"the owners' shares add up to every position ({held} held)")


def ledger_balances(state: State) -> Finding:
    """Double entry: over all books every currency adds up to nothing."""
    wrong = [
        f"{currency}: the books add up to {_text(rest)}"
        for currency in state.ledger.totals
        if (rest := state.ledger.balance(currency))
    ]
    return _judged("ledger", ("I04",), wrong, "the books add up to nothing in every currency")


def exposures_are_true(state: State) -> Finding:
    """The index of what working orders can still do is what the orders say: no reservation leaked, none is missing."""
    wrong = []
    expected = _exposures_of(state.open_orders.values())
    for symbol in sorted(expected.keys() | state.exposures.keys()):
        kept, right = state.exposures.get(symbol, Exposure()), expected.get(symbol, Exposure())
        wrong += [
            f"{symbol}: {name} is {getattr(kept, name)}, the open orders give {getattr(right, name)}"
            for name in Exposure.__slots__
            if getattr(kept, name) != getattr(right, name)
        ]
    return _judged("exposure", ("I03", "I04"), wrong, f"it is what {_count(state.open_orders, 'open order')} add up to")


def _exposures_of(orders: Iterable[Order]) -> dict[str, Exposure]:
    """The index anew, by another way than the fold's."""
    found: dict[str, Exposure] = {}
    for order in orders:
        terms, leaves = order.terms, order.leaves_quantity
        exposure = found.setdefault(terms.symbol, Exposure())
        exposure.unknown += order.state is OrderState.UNKNOWN
        if order.role is OrderRole.ENTRY or (order.role is OrderRole.EXTERNAL and not terms.reduce_only):
            price = terms.limit_price or terms.trigger_price or order.reference_price
            exposure.pending_buy += leaves if terms.side is Side.BUY else ZERO
            exposure.pending_sell += leaves if terms.side is Side.SELL else ZERO
            exposure.pending_notional += leaves * price
            exposure.pending_risk += leaves * terms.unit_risk(price)
        elif order.role is OrderRole.STOP_LOSS and terms.trigger_price is not None:
            exposure.stopped_quantity += leaves
            exposure.stopped_value += leaves * terms.trigger_price
    return found


# ---------------------------------------------------------------- orders


def orders_are_in_place(state: State) -> Finding:
    """Open orders are open, closed ones closed, none is filled beyond its quantity, and each bot's are counted."""
    wrong = [f"{each.order_id} is {each.state}, yet among the open" for each in _closed(state.open_orders.values())]
    wrong += [f"{each.order_id} is {each.state}, yet among the closed" for each in _open(state.closed_orders.values())]
    wrong += [f"{one} is both open and closed" for one in sorted(state.open_orders.keys() & state.closed_orders)]
    wrong += [
        f"{each.order_id}: {_text(each.filled_quantity)} of {_text(each.terms.quantity)} filled"
        for each in state.open_orders.values()
        if not ZERO <= each.filled_quantity < each.terms.quantity
    ]
    for bot in state.bots.values():
        working = sum(
            1 for each in state.orders_of(bot_id=bot.spec.bot_id) if each.role in (OrderRole.ENTRY, OrderRole.EXIT)
        )
        if working != bot.working:
            wrong.append(f"bot {bot.spec.bot_id}: {bot.working} working orders counted, {working} are there")
    good = f"{_count(state.open_orders, 'order')} open and {len(state.closed_orders):,} closed, each in its place"
    return _judged("orders", ("I05", "I06"), wrong, good)


def link_ids_are_unique(state: State) -> Finding:
    """Each order has one id at the venue, no two the same, and the index of them is whole."""
    wrong = []
    count = 0
    for order in _all_orders(state):
        count += 1
        if state.links.get(order.link_id) != order.order_id:
            wrong.append(f"{order.link_id} leads to {state.links.get(order.link_id)!r}, not to {order.order_id}")
    if len(state.links) != count and not wrong:
        wrong.append(f"{len(state.links)} link ids for {count} orders")
    return _judged("link-ids", ("I02", "I03"), wrong, f"{count:,} orders, {len(state.links):,} link ids")


def trades_are_booked_once(state: State) -> Finding:
    """No trade of the venue is booked twice for an order."""
    wrong = [f"{order_id}: a trade is booked twice" for order_id, ids in state.trades.items() if _has_twice(ids)]
    return _judged("trades", ("I05",), wrong, f"{sum(map(len, state.trades.values())):,} trades, each booked once")


def unknown_orders(state: State) -> Finding:
    """Orders whose outcome nobody knows yet."""
    found = list(unknown_ids(state))
    return _judged(
        "unknown-orders", ("I22", "I23"), found, "the outcome of every order is known", otherwise=Verdict.WARNING
    )


def unknown_ids(state: State) -> Iterator[str]:
    """The orders whose outcome nobody knows yet, oldest first."""
    return (each.order_id for each in state.open_orders.values() if each.state is OrderState.UNKNOWN)


def exact_terms(state: State, instruments: Mapping[str, Instrument]) -> Finding:
    """Quantities and prices of our orders are on the instrument's lot and tick, so the venue takes them as they are.

    What was placed before the venue changed them is not judged.
    """
    wrong = []
    for order in state.open_orders.values():
        instrument = instruments.get(order.terms.symbol)
        if instrument is None or order.role not in (OrderRole.ENTRY, OrderRole.EXIT):
            continue
        terms = order.terms
        if order.create_time < state.instrument_times.get(terms.symbol, 0):
            continue
        if terms.quantity % instrument.lot_size:
            wrong.append(f"{order.order_id}: quantity {_text(terms.quantity)} is off the lot {instrument.lot_size}")
        wrong += [
            f"{order.order_id}: price {_text(price)} is off the tick {instrument.tick_size}"
            for price in (terms.limit_price, terms.trigger_price, terms.stop_loss, terms.take_profit)
            if price is not None and price % instrument.tick_size
        ]
    return _judged("exact-terms", ("I16",), wrong, "every working order is on its tick and lot")


# ---------------------------------------------------------------- safety


def kill_switch_holds(state: State) -> Finding:
    """While trading is halted no entry was approved, and those that were working are being taken off."""
    if state.trading_state is not TradingState.HALTED:
        return Finding("kill-switch", ("I07",), Verdict.NOT_APPLICABLE, "the kill switch is not engaged")
    wrong, left = [], []
    for order in state.orders_of():
        if order.role is not OrderRole.ENTRY:
            continue
        if order.create_time > state.trading_since and _is_from_here(order):
            wrong.append(f"{order.order_id} was approved after trading was halted")
        elif not order.cancel_requested:
            left.append(f"{order.order_id} still works")
    if wrong:
        return _judged("kill-switch", ("I07",), wrong, "")
    return _judged("kill-switch", ("I07",), left, "engaged, and no entry works", otherwise=Verdict.WARNING)


def _is_from_here(order: Order) -> bool:
    """Whether it was approved here; what was adopted works already and was never sent."""
    return order.attempts > 0 or order.state is OrderState.PREPARED


def positions_are_protected(state: State) -> Finding:
    """Every position has stops at the venue for all of it."""
    wrong = list(unprotected(state))
    return _judged("protection", ("I08",), wrong, "every position has its stop", otherwise=Verdict.WARNING)


def unprotected(state: State) -> Iterator[str]:
    """Instruments whose position is not covered by working stops."""
    for symbol, position in state.positions.items():
        if abs(position.quantity) > state.exposure(symbol).stopped_quantity:
            yield symbol


_CHECKS: Sequence[Callable[[State], Finding]] = (
    shares_add_up,
    ledger_balances,
    exposures_are_true,
    orders_are_in_place,
    link_ids_are_unique,
    trades_are_booked_once,
    unknown_orders,
    kill_switch_holds,
    positions_are_protected,
)


# ---------------------------------------------------------------- words


def _judged(
    check: str,
    invariants: tuple[str, ...],
    wrong: Sequence[str],
    good: str,
    *,
    otherwise: Verdict = Verdict.FAILED,
) -> Finding:
    """Good, or what is wrong: the first few by name."""
    if not wrong:
        return Finding(check, invariants, Verdict.OK, good)
    more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return Finding(check, invariants, otherwise, ", ".join(wrong[:SHOWN]) + more, {"count": str(len(wrong))})


def _all_orders(state: State) -> Iterator[Order]:
    yield from state.open_orders.values()
    yield from state.closed_orders.values()


def _closed(orders: Iterable[Order]) -> Iterator[Order]:
    return (each for each in orders if each.state in CLOSED_STATES)


def _open(orders: Iterable[Order]) -> Iterator[Order]:
    return (each for each in orders if each.state not in CLOSED_STATES)


def _has_twice(ids: Sequence[str]) -> bool:
    return len(set(ids)) != len(ids)


def _count(things: Mapping[str, object], noun: str) -> str:
    return f"{len(things):,} {noun}{'' if len(things) == 1 else 's'}"


def _text(amount: Decimal) -> str:
    return amount_text(amount)
