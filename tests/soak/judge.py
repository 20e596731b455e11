"""Owns the verdict of a soak: the journal against the truth of the simulated Bybit, to the last digit.

What the journal says by itself, and what clients were told, is judged by the invariants of the process ring
(`tests/faults/invariants.py`). Those of the simulation need its world, and say the same of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from quarterdeck.domain.instrument import InstrumentKind
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import Order, OrderRole, OrderState
from quarterdeck.engine import events as e
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State
from quarterdeck_bybit_simulator import Simulator
from quarterdeck_bybit_simulator.account import SimAccount
from quarterdeck_bybit_simulator.order import SimOrder, category_of
from tests.faults.invariants import Told

#: Violations of one kind that are told; one mistake often shows many times.
TOLD = 5

_NOT_THERE = frozenset({OrderState.NOT_SENT, OrderState.ABSENT, OrderState.REJECTED})
_STATES = {
    "New": {OrderState.OPEN},
    "Untriggered": {OrderState.OPEN},
    "PartiallyFilled": {OrderState.PARTIALLY_FILLED},
    "Filled": {OrderState.FILLED},
    "Cancelled": {OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED},
    "PartiallyFilledCanceled": {OrderState.CANCELED, OrderState.EXPIRED},
    "Deactivated": {OrderState.CANCELED, OrderState.EXPIRED},
    "Rejected": {OrderState.REJECTED},
}

Violations = Iterator[str]


@dataclass(frozen=True, slots=True)
class Case:
    """Both sides once all is quiet. `creates` are the link ids that were taken in, as often as they were."""

    told: Told
    account: SimAccount
    executions: list[dict[str, Any]]
    creates: list[str]
    orders: dict[str, Order]
    """Every order of the journal by its id, as it ended or is."""


def case_of(told: Told, simulator: Simulator, account: SimAccount) -> Case:
    """Put both sides beside each other; on the simulator's thread."""
    executions = [dict(entry.data["row"]) for entry in simulator.truth.of("execution")]
    creates = [entry.data["row"]["orderLinkId"] for entry in simulator.truth.of("order")]
    return Case(told, account, executions, creates, _orders(told))


def _orders(told: Told) -> dict[str, Order]:
    state, found = State(), dict[str, Order]()
    for recorded in told.events:
        fold(state, recorded)
        order_id = getattr(recorded.event, "order_id", "")
        order = state.order(order_id) if order_id else None
        if order is not None:
            found[order_id] = order
    return found


def judge(case: Case) -> list[str]:
    """Every violation, as `what: how`."""
    found: list[str] = []
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        found += [f"{name}: {each}" for each, _ in zip(check(case), range(TOLD), strict=False)]
    return found


# ---------------------------------------------------------------- conservation


def positions(case: Case) -> Violations:
    """The journal holds what Bybit holds, and that is what all trades add up to."""
    traded: defaultdict[str, Decimal] = defaultdict(Decimal)
    symbols = {(category_of(one), one.venue_symbol): one.symbol for one in case.account.instruments.values()}
    for row in case.executions:
        if row["execType"] != "Funding":
            sign = 1 if row["side"] == "Buy" else -1
            traded[symbols[row["category"], row["symbol"]]] += sign * Decimal(row["execQty"])
    for symbol, instrument in case.account.instruments.items():
        if instrument.kind is InstrumentKind.SPOT:
            continue  # what is held of a pair is money
        held = case.told.state.positions[symbol].quantity if symbol in case.told.state.positions else Decimal(0)
        there = case.account.quantity(symbol)
        if not held == there == traded[symbol]:
            yield f"{symbol}: {held} in the journal, {there} at Bybit, all trades add up to {traded[symbol]}"


def money(case: Case) -> Violations:
    """Every wallet is what Bybit's is."""
    here, there = case.told.state.ledger, case.account.venue.balances()
    for currency in sorted(here.totals.keys() | there.keys()):
        if here.wallet(currency) != there.get(currency, Decimal(0)):
            yield f"{currency}: {here.wallet(currency)} in the journal, {there.get(currency)} at Bybit"


def fills(case: Case) -> Violations:
    """Every trade of Bybit's is booked once, with the same numbers, and no other is."""
    booked = [one.event for one in case.told.events if isinstance(one.event, e.OrderFilled)]
    real = {row["execId"]: row for row in case.executions if row["execType"] != "Funding"}
    counts = Counter(one.trade_id for one in booked)
    yield from (f"{trade} is booked {count} times" for trade, count in counts.items() if count > 1)
    yield from (f"{trade} never happened" for trade in counts.keys() - real.keys())
    for trade in real.keys() - counts.keys():
        yield f"{trade} of {real[trade]['orderLinkId'] or real[trade]['orderId']} is not booked"
    for fill in booked:
        row = real.get(fill.trade_id)
        if row is None:
            continue
        side = Side.BUY if row["side"] == "Buy" else Side.SELL
        numbers = tuple(Decimal(row[name]) for name in ("execQty", "execPrice", "execFee"))
        if (fill.side, fill.quantity, fill.price, fill.fee) != (side, *numbers):
            yield f"{fill.trade_id}: {fill.side} {fill.quantity} at {fill.price}, fee {fill.fee}, but it was {row}"


def funding(case: Case) -> Violations:
    """Every payment of funding is booked once, with its amount."""
    booked = [one.event for one in case.told.events if isinstance(one.event, e.FundingPaid)]
    real = {row["execId"]: -Decimal(row["execFee"]) for row in case.executions if row["execType"] == "Funding"}
    counts = Counter(one.funding_id for one in booked)
    yield from (f"{each} is booked {count} times" for each, count in counts.items() if count > 1)
    yield from (f"{each} is not booked" for each in real.keys() - counts.keys())
    yield from (f"{one.funding_id} never happened" for one in booked if one.funding_id not in real)
    for one in booked:
        if one.amount != real.get(one.funding_id, one.amount):
            yield f"{one.funding_id}: {one.amount}, but it was {real[one.funding_id]}"


def orders(case: Case) -> Violations:
    """Every order is at Bybit as it is here, and the other way round."""
    by_id = {order.order_id: order for order in case.account.orders.values()}
    by_link = {order.link_id: order for order in case.account.orders.values() if order.link_id}
    known: set[str] = set()
    for order in case.orders.values():
        there = by_link.get(order.link_id) or by_id.get(order.exchange_order_id)
        if there is not None:
            known.add(there.order_id)
            yield from _compared(order, there)
        elif order.state not in _NOT_THERE and not _was_only_a_trade(order):
            yield f"{order.order_id} ({order.link_id}) is {order.state}, and Bybit never had it"
    for sim in case.account.orders.values():
        if sim.order_id not in known and (sim.is_open or sim.link_id):
            yield f"{sim.link_id or sim.order_id} is {sim.status} at Bybit, and the journal does not have it"


def _was_only_a_trade(order: Order) -> bool:
    return order.role in (OrderRole.EXTERNAL, OrderRole.LIQUIDATION)


def _compared(order: Order, there: SimOrder) -> Violations:
    if order.role is OrderRole.EXTERNAL:
        if there.is_open != order.is_open:
            yield f"{order.order_id} is {order.state}, {there.status} at Bybit"
        return  # its quantity is what was left of it when it was first seen
    was_cut = there.terms.quantity < order.terms.quantity and there.terms.reduce_only  # to what was held
    if order.state not in _STATES[there.status] and not (was_cut and order.state is OrderState.CANCELED):
        yield f"{order.order_id} ({order.link_id}) is {order.state}, {there.status} at Bybit"
    if order.filled_quantity != there.filled:
        yield f"{order.order_id} ({order.link_id}) has {order.filled_quantity} filled, {there.filled} at Bybit"
    if there.is_open:
        mine, theirs = order.terms, there.terms
        pairs = {name: (getattr(mine, name), getattr(theirs, name)) for name in ("quantity", "limit_price")}
        if mine.trailing_distance is None:
            pairs["trigger_price"] = (mine.trigger_price, theirs.trigger_price)
        for name, (here, venue) in pairs.items():
            if here != venue:
                yield f"{order.order_id} ({order.link_id}): {name} is {here}, {venue} at Bybit"


def sent_once(case: Case) -> Violations:
    """Each intent was taken in at most once."""
    taken = Counter(link for link in case.creates if link)
    yield from (f"{link} was taken in {count} times" for link, count in taken.items() if count > 1)


def only_evidence_ends(case: Case) -> Violations:
    """What is called absent, not sent or refused was never taken in, unless Bybit itself rejected it later."""
    by_link = {order.link_id: order for order in case.account.orders.values() if order.link_id}
    for order in case.orders.values():
        there = by_link.get(order.link_id)
        if there is not None and order.state in _NOT_THERE and there.status not in ("Rejected", "Cancelled"):
            yield f"{order.order_id} is {order.state}, and Bybit has it as {there.status}"


def whose_it_is(case: Case) -> Violations:
    """What Bybit opened for an order of ours is nobody else's, and what others did is not ours."""
    by_id = {order.order_id: order for order in case.account.orders.values()}
    for order in case.orders.values():
        there = by_id.get(order.exchange_order_id)
        if there is None or there.create_type == "CreateByLiq":
            continue
        is_ours = there.parent_link_id.startswith("a1-") or there.link_id.startswith("a1-")
        if is_ours is (order.role is OrderRole.EXTERNAL):
            made = there.parent_link_id or there.link_id or there.create_type
            yield f"{order.order_id} is {order.role} here, {made} at Bybit"


def nothing_made_up(case: Case) -> Violations:
    """Bybit's history explains every position. Money may be adjusted for a while where trades were heard out of order.

    Once nothing is held that has been taken back: it does not matter any more what was closed first.
    """
    adjusted: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in case.told.events:
        if isinstance(one.event, e.PositionAdjusted):
            yield f"{one.event} at {one.sequence}"
        elif isinstance(one.event, e.BalanceAdjusted) and one.event.unexplained:
            adjusted[one.event.currency] += one.event.amount
    if not any(position.quantity for position in case.told.state.positions.values()):
        for currency, amount in adjusted.items():
            if amount:
                yield f"{amount} {currency} was adjusted in all, and nothing is held"


def nothing_unknown(case: Case) -> Violations:
    """Once all is quiet the outcome of every order is known, and every cancel that was asked for has come to an end."""
    for order in case.told.state.open_orders.values():
        if order.state in (OrderState.UNKNOWN, OrderState.SENT, OrderState.PREPARED):
            yield f"{order.order_id} is {order.state}"
        elif order.cancel_requested:
            yield f"{order.order_id} was to be canceled and is {order.state}"


CHECKS: tuple[Callable[[Case], Violations], ...] = (
    positions,
    money,
    fills,
    funding,
    orders,
    sent_once,
    only_evidence_ends,
    whose_it_is,
    nothing_made_up,
    nothing_unknown,
)
