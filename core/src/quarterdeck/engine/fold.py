"""Owns how each event changes the state. Total over `Event`: an event without a line in the table can't be recorded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.bot import BotState
from quarterdeck.domain.ledger import Book, move
from quarterdeck.domain.market import DAY, HOUR, Side
from quarterdeck.domain.order import (
    CLOSED_STATES,
    Order,
    OrderRole,
    OrderState,
    check_transition,
    state_after_fill,
)
from quarterdeck.domain.position import Position, changes_by_fill, position_adjusted
from quarterdeck.domain.signal import Holding
from quarterdeck.engine import events as e
from quarterdeck.engine import stops
from quarterdeck.engine.state import CLOSED_ORDERS_KEPT, CRASHES_KEPT, REQUESTS_KEPT, BotRecord, Exposure, State

# Looking up a member of an enum costs more than the arithmetic around it (Python 3.11), so the busiest are held here.
_BUY = Side.BUY
_ENTRY = OrderRole.ENTRY
_EXTERNAL = OrderRole.EXTERNAL
_STOP_LOSS = OrderRole.STOP_LOSS
_WORKING = frozenset({OrderRole.ENTRY, OrderRole.EXIT})
_UNKNOWN = OrderState.UNKNOWN


T = TypeVar("T")


def fold(state: State, recorded: e.Recorded) -> None:
    """Apply one recorded event. The only writer of `State`.

    Raises:
        ValueError: the sequence does not continue the state's.
        IllegalTransition: an order's event is not a legal move.
    """
    if recorded.sequence != state.sequence + 1:
        raise ValueError(f"event {recorded.sequence} does not follow {state.sequence}")
    _FOLDS[type(recorded.event)](state, recorded.event, recorded)
    state.sequence = recorded.sequence
    state.time = recorded.time
    if recorded.request_id:
        requests = state.requests
        requests[recorded.request_id] = (recorded.digest, recorded.sequence)
        _forget_oldest(requests, REQUESTS_KEPT)


# ---------------------------------------------------------------- account, bots, trading state


def _account_opened(state: State, event: e.AccountOpened, recorded: e.Recorded) -> None:
    state.mode = event.mode
    state.settle = event.settle
    for currency, amount in event.balances:
        state.ledger.post(move(Book.TRANSFERS, currency, amount))
    state.peak_equity = state.day_start_equity = state.wallet
    state.opened_time = state.activity_time = recorded.time


def _daemon_started(state: State, event: e.DaemonStarted, recorded: e.Recorded) -> None:
    state.mode = event.mode
    state.epoch = event.epoch
    if not state.clean:
        state.crash_times = [*state.crash_times, recorded.time][-CRASHES_KEPT:]
    state.clean = False


def _daemon_stopped(state: State, _event: e.DaemonStopped, _: e.Recorded) -> None:
    state.clean = True
    state.crash_times = []


def _balance_adjusted(state: State, event: e.BalanceAdjusted, recorded: e.Recorded) -> None:
    state.ledger.post(move(Book.TRANSFERS, event.currency, event.amount))
    if event.adjustment_id:
        state.change_ids[event.adjustment_id] = recorded.sequence
        _forget_oldest(state.change_ids, CLOSED_ORDERS_KEPT)
    state.moves += 1
    if event.currency == state.settle and not event.unexplained:  # money put in or taken out is neither profit nor loss
        state.day_start_equity += event.amount
        state.peak_equity += event.amount


def _position_adjusted(state: State, event: e.PositionAdjusted, recorded: e.Recorded) -> None:
    position, share = _holding_of(state, event.symbol, event.bot_id)
    for held in (share, position):
        held.become(position_adjusted(held.quantity, held.cost, event.quantity, event.price), ZERO, recorded.time)
    stops.after_change(state, event.symbol, event.bot_id, event.quantity)
    state.moves += 1
    bot = state.bots.get(event.bot_id)
    if bot is not None:
        _refresh_holding(state, bot)


def _bot_created(state: State, event: e.BotCreated, recorded: e.Recorded) -> None:
    state.bots[event.spec.bot_id] = BotRecord(event.spec, create_time=recorded.time, update_time=recorded.time)


def _bot_state_changed(state: State, event: e.BotStateChanged, recorded: e.Recorded) -> None:
    bot = state.bots[event.bot_id]
    bot.state = event.state
    bot.failure = event.failure if event.state is BotState.FAILED else ""
    bot.update_time = recorded.time


def _instrument_changed(state: State, event: e.InstrumentChanged, recorded: e.Recorded) -> None:
    state.instrument_times[event.instrument.symbol] = recorded.time


def _trading_state_changed(state: State, event: e.TradingStateChanged, recorded: e.Recorded) -> None:
    state.trading_state = event.state
    state.trading_reason = event.reason
    state.trading_since = recorded.time
    state.flatten = event.flatten


def _snapshot_taken(state: State, event: e.PortfolioSnapshotTaken, recorded: e.Recorded) -> None:
    day = recorded.time // DAY
    if day != state.day:
        state.day = day
        state.day_start_equity = event.equity
        state.day_start_realized_pnl = state.realized_pnl
    state.peak_equity = max(state.peak_equity, event.equity)
    state.snapshot_time = recorded.time


def _nothing(state: State, event: e.Event, recorded: e.Recorded) -> None:
    """For events that are worth recording and change nothing."""


def _came_to_nothing(state: State, _event: e.SignalDropped | e.OrderRefused, _: e.Recorded) -> None:
    """The number is spent all the same, so that no later order has the id of a refused one."""
    state.next_order_number += 1


# ---------------------------------------------------------------- orders


def _order_prepared(state: State, event: e.OrderPrepared, recorded: e.Recorded) -> None:
    order = Order(
        event.order_id,
        event.link_id,
        event.terms,
        event.role,
        recorded.time,
        event.bot_id,
        reference_price=event.reference_price,
        correlation_id=recorded.correlation_id,
        update_time=recorded.time,
        last_sequence=recorded.sequence,
    )
    state.next_order_number += 1
    if event.role is _ENTRY:
        times = state.entry_times
        times.append(recorded.time)
        if times[0] < recorded.time - HOUR:
            del times[: bisect_left(times, recorded.time - HOUR)]
    _admit(state, order)


def _order_adopted(state: State, event: e.OrderAdopted, recorded: e.Recorded) -> None:
    known = state.open_orders.get(event.order_id)
    if known is not None:  # its parent filled further, or somebody moved it
        trigger = known.terms.trigger_price
        _reweigh(state, known, -1)
        known.terms = event.terms
        _reweigh(state, known, +1)
        stops.after_move(state, known, trigger)
        _touch(known, recorded)
        return
    order = Order(
        event.order_id,
        event.link_id,
        event.terms,
        event.role,
        recorded.time,
        event.bot_id,
        event.parent_id,
        correlation_id=recorded.correlation_id,
        state=OrderState.OPEN,
        exchange_order_id=event.exchange_order_id,
        update_time=recorded.time,
        last_sequence=recorded.sequence,
    )
    _admit(state, order)


def _order_sent(state: State, event: e.OrderSent, recorded: e.Recorded) -> None:
    order = _moved(state, event.order_id, OrderState.SENT, recorded)
    order.attempts = event.attempt


def _order_acked(state: State, event: e.OrderAcked, recorded: e.Recorded) -> None:
    _moved(state, event.order_id, OrderState.ACKED, recorded).exchange_order_id = event.exchange_order_id


def _order_opened(state: State, event: e.OrderOpened, recorded: e.Recorded) -> None:
    _moved(state, event.order_id, OrderState.OPEN, recorded).exchange_order_id = event.exchange_order_id


def _order_unknown(state: State, event: e.OrderUnknown, recorded: e.Recorded) -> None:
    order = _moved(state, event.order_id, OrderState.UNKNOWN, recorded)
    order.reason = event.detail
    state.exposures[order.terms.symbol].unknown += 1


def _order_not_sent(state: State, event: e.OrderNotSent, recorded: e.Recorded) -> None:
    _moved(state, event.order_id, OrderState.NOT_SENT, recorded).reason = event.detail


def _order_absent(state: State, event: e.OrderAbsent, recorded: e.Recorded) -> None:
    _moved(state, event.order_id, OrderState.ABSENT, recorded).reason = event.detail


def _order_rejected(state: State, event: e.OrderRejected, recorded: e.Recorded) -> None:
    _moved(state, event.order_id, OrderState.REJECTED, recorded).reason = event.reason


def _order_triggered(state: State, event: e.OrderTriggered, recorded: e.Recorded) -> None:
    order = state.open_orders[event.order_id]
    order.triggered = True
    _touch(order, recorded)


def _order_canceled(state: State, event: e.OrderCanceled, recorded: e.Recorded) -> None:
    if state.stops:
        stops.before_cancel(state, state.open_orders[event.order_id])
    _moved(state, event.order_id, OrderState.CANCELED, recorded).reason = event.reason


def _order_expired(state: State, event: e.OrderExpired, recorded: e.Recorded) -> None:
    _moved(state, event.order_id, OrderState.EXPIRED, recorded).reason = event.reason


def _cancel_requested(state: State, event: e.OrderCancelRequested, recorded: e.Recorded) -> None:
    order = state.open_orders[event.order_id]
    order.cancel_requested = True
    _touch(order, recorded)


def _cancel_rejected(state: State, event: e.OrderCancelRejected, recorded: e.Recorded) -> None:
    order = state.order(event.order_id)
    if order is not None:
        order.cancel_requested = False
        _touch(order, recorded)


def _amend_requested(state: State, event: e.OrderAmendRequested, _: e.Recorded) -> None:
    order = state.open_orders.get(event.order_id)
    if order is not None:
        stops.after_wish_to_shrink(state, order, event.quantity)


def _order_amended(state: State, event: e.OrderAmended, recorded: e.Recorded) -> None:
    order = state.open_orders[event.order_id]
    trigger = order.terms.trigger_price
    _reweigh(state, order, -1)
    order.terms = order.terms.amended(event.quantity, event.limit_price, event.trigger_price)
    _reweigh(state, order, +1)
    stops.after_move(state, order, trigger)
    _touch(order, recorded)


def _order_filled(state: State, event: e.OrderFilled, recorded: e.Recorded) -> None:
    order = state.order(event.order_id)
    if order is None:
        raise ValueError(f"fill {event.trade_id} of an order that is not in memory: {event.order_id}")
    _fill_order(state, order, event, recorded)
    state.realized_pnl += _fill_positions(state, order, event, recorded.time)
    stops.after_fill(state, order, event.held_quantity if event.side is _BUY else -event.held_quantity)
    state.ledger.post(event.postings)
    state.fees += event.fee_value
    state.fill_count += 1
    state.moves += 1
    state.activity_time = max(state.activity_time, event.exchange_time)
    bot = state.bots.get(order.bot_id)
    if bot is not None:
        bot.trades += 1
        _refresh_holding(state, bot)


def _fill_order(state: State, order: Order, event: e.OrderFilled, recorded: e.Recorded) -> None:
    state.trades.setdefault(order.order_id, []).append(event.trade_id)
    was_open = order.is_open
    wanted = state_after_fill(order, event.quantity)
    if was_open:
        check_transition(order, wanted)
        _reweigh(state, order, -1)
    order.filled_quantity += event.quantity
    order.cost += event.quantity * event.price
    order.fees += event.fee_value
    if order.state is _UNKNOWN:
        state.exposures[order.terms.symbol].unknown -= 1
    order.state = wanted
    _touch(order, recorded)
    if wanted not in CLOSED_STATES:
        _reweigh(state, order, +1)
    elif was_open:
        _retire(state, order)


def _fill_positions(state: State, order: Order, event: e.OrderFilled, time: int) -> Decimal:
    """Returns the profit the account realised, as the venue counts it: against the entry price of all shares."""
    position, share = _holding_of(state, event.symbol, order.bot_id)
    own, whole = changes_by_fill(share, position, event.side, event.held_quantity, event.price)
    share.become(own, event.fee_value, time)
    position.become(whole, event.fee_value, time)
    return whole.realized_pnl


def _holding_of(state: State, symbol: str, bot_id: str) -> tuple[Position, Position]:
    """The account's position and an owner's share of it."""
    position = state.positions.get(symbol)
    if position is None:
        position = state.positions[symbol] = Position(symbol)
        state.shares[symbol] = {}
    share = state.shares[symbol].get(bot_id)
    if share is None:
        share = state.shares[symbol][bot_id] = Position(symbol)
    return position, share


def _funding_paid(state: State, event: e.FundingPaid, recorded: e.Recorded) -> None:
    state.ledger.post(move(Book.FUNDING, state.settle, event.amount))
    state.funding += event.amount
    state.funding_ids[event.funding_id] = recorded.sequence
    _forget_oldest(state.funding_ids, CLOSED_ORDERS_KEPT)
    state.moves += 1
    state.activity_time = max(state.activity_time, event.exchange_time)
    position = state.positions.get(event.symbol)
    if position is not None:
        position.funding += event.amount


# ---------------------------------------------------------------- the indexes over orders


def _admit(state: State, order: Order) -> None:
    state.open_orders[order.order_id] = order
    state.links[order.link_id] = order.order_id
    _reweigh(state, order, +1)
    bot = state.bots.get(order.bot_id)
    if bot is not None and _is_working(order):
        bot.working += 1
        bot.holding = bot.holding._replace(busy=True)


def _retire(state: State, order: Order) -> None:
    del state.open_orders[order.order_id]
    closed = state.closed_orders
    closed[order.order_id] = order
    for oldest in _forget_oldest(closed, CLOSED_ORDERS_KEPT):
        state.links.pop(oldest.link_id, None)
        state.trades.pop(oldest.order_id, None)
        state.forgotten_time = max(state.forgotten_time, oldest.update_time)
    bot = state.bots.get(order.bot_id)
    if bot is not None and _is_working(order):
        bot.working -= 1


def _forget_oldest(remembered: dict[str, T], keep: int) -> list[T]:
    """Drop all but the newest `keep`, once there are an eighth more; returns what was dropped.

    Many at once, because taking the first entry out of a dictionary again and again means stepping over all the gaps
    that doing so has left: quadratic.
    """
    if len(remembered) <= keep + keep // 8:
        return []
    oldest = list(islice(remembered, len(remembered) - keep))
    return [remembered.pop(key) for key in oldest]


def _moved(state: State, order_id: str, wanted: OrderState, recorded: e.Recorded) -> Order:
    order = state.open_orders[order_id]
    check_transition(order, wanted)
    closes = wanted in CLOSED_STATES
    if closes:
        _reweigh(state, order, -1)
    if order.state is _UNKNOWN:
        state.exposures[order.terms.symbol].unknown -= 1
    order.state = wanted
    order.update_time = recorded.time
    order.last_sequence = recorded.sequence
    if closes:
        _retire(state, order)
        bot = state.bots.get(order.bot_id)
        if bot is not None:
            _refresh_holding(state, bot)
    return order


def _touch(order: Order, recorded: e.Recorded) -> None:
    order.update_time = recorded.time
    order.last_sequence = recorded.sequence


def _is_working(order: Order) -> bool:
    return order.role in _WORKING


def _reweigh(state: State, order: Order, sign: int) -> None:
    """Add an open order to its instrument's index, or take it out before it changes."""
    terms = order.terms
    exposure = state.exposures.get(terms.symbol)
    if exposure is None:
        exposure = state.exposures[terms.symbol] = Exposure()
    leaves = (terms.quantity - order.filled_quantity) * sign
    if order.role is _ENTRY or (order.role is _EXTERNAL and not terms.reduce_only):
        if terms.side is _BUY:
            exposure.pending_buy += leaves
        else:
            exposure.pending_sell += leaves
        price = terms.limit_price or terms.trigger_price or order.reference_price
        exposure.pending_notional += leaves * price
        exposure.pending_risk += leaves * terms.unit_risk(price)
    elif order.role is _STOP_LOSS and terms.trigger_price is not None:
        exposure.stopped_quantity += leaves
        exposure.stopped_value += leaves * terms.trigger_price


def _refresh_holding(state: State, bot: BotRecord) -> None:
    share = state.share(bot.spec.symbol, bot.spec.bot_id)
    bot.holding = Holding(share.quantity, share.average_price, bot.working > 0)


def rebuild_indexes(state: State) -> None:
    """Recompute every index over the open orders from the orders themselves; for checks, and after a snapshot."""
    for exposure in state.exposures.values():
        exposure.__init__()  # type: ignore[misc]  # back to its defaults, the object stays
    for bot in state.bots.values():
        bot.working = 0
    for order in state.open_orders.values():
        _reweigh(state, order, +1)
        if order.state is _UNKNOWN:
            state.exposures[order.terms.symbol].unknown += 1
        bot_record = state.bots.get(order.bot_id)
        if bot_record is not None and _is_working(order):
            bot_record.working += 1
    for bot in state.bots.values():
        _refresh_holding(state, bot)


_FOLDS: dict[type[Any], Callable[[State, Any, e.Recorded], None]] = {
    e.AccountOpened: _account_opened,
    e.DaemonStarted: _daemon_started,
    e.DaemonStopped: _daemon_stopped,
    e.BalanceAdjusted: _balance_adjusted,
    e.PositionAdjusted: _position_adjusted,
    e.BotCreated: _bot_created,
    e.BotStateChanged: _bot_state_changed,
    e.SignalRaised: _nothing,
    e.SignalDropped: _came_to_nothing,
    e.OrderPrepared: _order_prepared,
    e.OrderRefused: _came_to_nothing,
    e.OrderSent: _order_sent,
    e.OrderAcked: _order_acked,
    e.OrderOpened: _order_opened,
    e.OrderUnknown: _order_unknown,
    e.OrderNotSent: _order_not_sent,
    e.OrderAbsent: _order_absent,
    e.OrderRejected: _order_rejected,
    e.OrderTriggered: _order_triggered,
    e.OrderFilled: _order_filled,
    e.OrderCanceled: _order_canceled,
    e.OrderExpired: _order_expired,
    e.OrderCancelRequested: _cancel_requested,
    e.OrderCancelRejected: _cancel_rejected,
    e.OrderAmendRequested: _amend_requested,
    e.OrderAmended: _order_amended,
    e.OrderAmendRejected: _nothing,
    e.OrderAdopted: _order_adopted,
    e.FundingPaid: _funding_paid,
    e.InstrumentChanged: _instrument_changed,
    e.TradingStateChanged: _trading_state_changed,
    e.PortfolioSnapshotTaken: _snapshot_taken,
}
