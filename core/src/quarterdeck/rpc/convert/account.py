"""Owns the account as a whole on the wire: what it has, what it holds, what it may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.order import OrderRole
from quarterdeck.domain.position import Position
from quarterdeck.domain.risk import LimitStatus
from quarterdeck.domain.sizing import RiskRatio
from quarterdeck.engine.state import State
from quarterdeck.engine.view import View
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.account_events import TRADING_STATES
from quarterdeck.rpc.convert.sizing import limit_messages
from quarterdeck.rpc.convert.values import mode_number, prose, rounded, set_time, text
from quarterdeck.v1 import account_pb2, position_pb2, risk_pb2

#: What the names of limits begin with that say, in the settle currency, what one position may be worth.
POSITION_NOTIONAL = "max_notional"


def account_message(state: State, account: str) -> account_pb2.Account:
    """The account. `account` is its name, here and below."""
    return account_pb2.Account(name=account, mode=mode_number(state.mode), settle=state.settle)


def overview_message(
    state: State,
    view: View,
    ratio: RiskRatio,
    limits: Sequence[LimitStatus],
    confirmed: Mapping[str, int],
    account: str,
) -> account_pb2.AccountOverview:
    """Everything one looks at first. `ratio` is what one new trade may lose of the sizing basis."""
    equity, wallet = view.equity, state.wallet
    message = account_pb2.AccountOverview(
        account=account_message(state, account),
        balances=[_balance(state, currency, confirmed.get(currency)) for currency in sorted(state.ledger.totals)],
        tier=ratio.tier,
        open_positions=sum(1 for position in state.positions.values() if position.quantity),
        open_orders=len(state.open_orders),
        trading_state=TRADING_STATES[state.trading_state],
    )
    peak = max(state.peak_equity, equity)
    message.equity.value = rounded(equity)
    message.wallet_balance.value = rounded(wallet)
    message.unrealized_pnl.value = rounded(view.unrealized_pnl)
    message.realized_pnl_today.value = rounded(state.realized_pnl - state.day_start_realized_pnl)
    message.drawdown.value = rounded(_part_lost(peak, equity))
    message.peak_equity.value = rounded(peak)
    message.risk_ratio.value = rounded(ratio.ratio)
    message.max_risk_amount.value = rounded(ratio.ratio * sizing_basis(view))
    notionals = [limit.limit for limit in limits if limit.name.startswith(POSITION_NOTIONAL)]
    if notionals:
        message.max_position_notional.value = rounded(min(notionals))
    return message


def sizing_basis(view: View) -> Decimal:
    """The money a risk ratio is taken of: the lesser of wallet balance and equity."""
    return min(view.wallet, view.equity)


def _balance(state: State, currency: str, confirmed: int | None) -> account_pb2.Balance:
    message = account_pb2.Balance(currency=currency)
    message.wallet.value = rounded(state.ledger.wallet(currency))
    if confirmed is not None:
        set_time(message.confirm_time, confirmed)
    return message


def _part_lost(before: Decimal, now: Decimal) -> Decimal:
    return (before - now) / before if before > 0 and now < before else ZERO


def risk_state_message(state: State, view: View, limits: Sequence[LimitStatus]) -> risk_pb2.RiskState:
    """What the account may do, and how near its limits are."""
    equity = view.equity
    peak = max(state.peak_equity, equity)
    message = risk_pb2.RiskState(
        trading_state=TRADING_STATES[state.trading_state],
        reason=prose(state.trading_reason),
        limits=limit_messages(limits),
    )
    if state.trading_since:
        set_time(message.since_time, state.trading_since)
    message.day_start_equity.value = rounded(state.day_start_equity)
    message.peak_equity.value = rounded(peak)
    message.drawdown.value = rounded(_part_lost(peak, equity))
    message.daily_loss.value = rounded(_part_lost(state.day_start_equity, equity))
    return message


def position_message(position: Position, state: State, view: View, account: str) -> position_pb2.Position:
    """What the account holds of one instrument, and who of its bots holds which part."""
    symbol = position.symbol
    message = position_pb2.Position(name=account + names.POSITIONS + symbol, instrument=names.instrument(symbol))
    message.quantity.value = text(position.quantity)
    average = position.average_price
    if average is not None:
        message.average_price.value = rounded(average)
    mark = view.worth(symbol)
    if mark is not None:
        message.mark_price.value = rounded(mark)
    message.unrealized_pnl.value = rounded(ZERO if mark is None else position.unrealized_pnl(mark))
    message.realized_pnl.value = rounded(position.realized_pnl)
    message.fees.value = rounded(position.fees)
    message.funding.value = rounded(position.funding)
    if position.quantity:
        _write_protection(message, position, state)
    for bot_id, share in sorted(state.shares.get(symbol, {}).items()):
        if share.quantity or share.realized_pnl:
            message.shares.append(_share_message(bot_id, share))
    set_time(message.update_time, position.update_time)
    return message


def _write_protection(message: position_pb2.Position, position: Position, state: State) -> None:
    """The triggers nearest to the market: for a long position the highest stop and the lowest target."""
    triggers: dict[OrderRole, list[Decimal]] = {OrderRole.STOP_LOSS: [], OrderRole.TAKE_PROFIT: []}
    for order in state.orders_of(position.symbol):
        if order.role in triggers and order.terms.trigger_price is not None:
            triggers[order.role].append(order.terms.trigger_price)
    stops, targets = triggers[OrderRole.STOP_LOSS], triggers[OrderRole.TAKE_PROFIT]
    is_long = position.quantity > 0
    if stops:
        message.stop_loss.value = text(max(stops) if is_long else min(stops))
    if targets:
        message.take_profit.value = text(min(targets) if is_long else max(targets))


def _share_message(bot_id: str, share: Position) -> position_pb2.PositionShare:
    message = position_pb2.PositionShare(bot=names.bot(bot_id))
    message.quantity.value = text(share.quantity)
    average = share.average_price
    if average is not None:
        message.average_price.value = rounded(average)
    message.realized_pnl.value = rounded(share.realized_pnl)
    return message
