"""Owns the account as a whole: its opening, the kill switch, and the snapshots that start a day and mark a peak."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.amounts import ZERO, settle
from quarterdeck.domain.deciders import Sizer
from quarterdeck.domain.instrument import InstrumentKind
from quarterdeck.domain.market import HOUR, SECOND, Side
from quarterdeck.domain.order import Order, OrderRole, OrderState
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine import events as e
from quarterdeck.engine.inputs import EngageKillSwitch, OpenAccount, ReleaseKillSwitch
from quarterdeck.engine.orders import cancel_at_venue, flatten_all, request_cancel
from quarterdeck.engine.turn import Turn
from quarterdeck.engine.view import View

#: How often the account is valued. Snapshots fall on whole hours, so the first of a UTC day is at its start.
SNAPSHOT_EVERY = HOUR

#: While trading is halted, what works on though it was to end is asked for again this often.
INSIST_AFTER = 5 * SECOND


def open_account(turn: Turn, notice: OpenAccount) -> None:
    """Record the account's first fact."""
    turn.emit(e.AccountOpened(notice.mode, notice.settle, notice.balances))


def engage(turn: Turn, command: EngageKillSwitch, view: View) -> None:
    """Halt trading first, then cancel every working entry, then close everything if asked to. Stops stay until flat.

    Asked to close everything, the account stays on it: what fills later is closed too, until trading is released.
    """
    state = turn.state
    if state.trading_state is not TradingState.HALTED or (command.flatten and not state.flatten):
        turn.emit(e.TradingStateChanged(TradingState.HALTED, command.reason, automatic=False, flatten=command.flatten))
    for order in list(state.orders_of()):
        if order.role is OrderRole.ENTRY or (order.role is OrderRole.EXTERNAL and _may_open(turn, order)):
            request_cancel(turn, order)
    if command.flatten:
        flatten_all(turn, view)


def _may_open(turn: Turn, order: Order) -> bool:
    """Whether an order of somebody else's may open a position: on spot whoever sells only gives away what is there."""
    instrument = turn.instruments.get(order.terms.symbol)
    is_spot = instrument is not None and instrument.kind is InstrumentKind.SPOT
    return not (order.terms.reduce_only or (is_spot and order.terms.side is Side.SELL))


def end_late(turn: Turn, link_id: str) -> None:
    """An entry that was on its way when trading was halted, and whose cancel overtook it, ends as soon as it works."""
    order = turn.state.order_by_link(link_id)
    if turn.state.trading_state is TradingState.HALTED and order is not None:
        _end_entry(turn, order)


def insist(turn: Turn) -> None:
    """While trading is halted, ask again for whatever was to end and works on: its cancel was refused, or got lost.

    What others placed since is theirs to decide on.
    """
    for order in list(turn.state.orders_of()):
        if order.update_time + INSIST_AFTER > turn.time:
            continue
        if not order.cancel_requested:
            _end_entry(turn, order)
        elif order.state is not OrderState.PREPARED:
            turn.effects.append(cancel_at_venue(order))


def _end_entry(turn: Turn, order: Order) -> None:
    if order.is_open and order.role is OrderRole.ENTRY:
        request_cancel(turn, order)


def release(turn: Turn, command: ReleaseKillSwitch) -> None:
    """Trade again."""
    if turn.state.trading_state is not TradingState.ACTIVE:
        turn.emit(e.TradingStateChanged(TradingState.ACTIVE, command.reason, automatic=False))


def next_snapshot_time(time: int) -> int:
    """The first whole hour after `time`."""
    return time - time % SNAPSHOT_EVERY + SNAPSHOT_EVERY


def take_snapshot(turn: Turn, view: View, sizer: Sizer) -> None:
    """Record what the account is worth at the latest marks."""
    state = turn.state
    equity = settle(view.equity)
    peak = max(state.peak_equity, equity)
    turn.emit(
        e.PortfolioSnapshotTaken(
            equity,
            settle(state.wallet),
            settle(view.unrealized_pnl),
            settle(state.realized_pnl),
            settle(state.fees),
            settle(state.funding),
            peak,
            settle((peak - equity) / peak) if peak > 0 else ZERO,
            view.open_positions,
            _risk_ratio(sizer, min(state.wallet, equity)),
        ),
    )


def _risk_ratio(sizer: Sizer, basis: Decimal) -> Decimal:
    try:
        return sizer.risk_ratio(basis).ratio
    except Exception:  # noqa: BLE001 - a plugin that can't say does not stop the account from being valued
        return ZERO
