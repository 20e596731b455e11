"""Owns the events of the account, its bots and the daemon on the wire, each written and read by a pair of functions.

`account` is the name of the account, such as `accounts/main`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from quarterdeck.domain.bot import BotState
from quarterdeck.domain.risk import TradingState
from quarterdeck.domain.signal import Action
from quarterdeck.engine import events as e
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.bots import BOT_STATE_OF, BOT_STATES, read_spec, write_spec
from quarterdeck.rpc.convert.market import instrument_message, read_instrument
from quarterdeck.rpc.convert.order_events import Codec
from quarterdeck.rpc.convert.values import (
    choices,
    mode_number,
    mode_text,
    numbers,
    prose,
    read_amount,
    rounded,
    set_time,
    text,
    time_of,
)
from quarterdeck.v1 import event_pb2, risk_pb2, signal_pb2

ACTIONS = numbers(Action, signal_pb2.SignalAction, "SIGNAL_ACTION")
ACTION_OF = choices(ACTIONS)
TRADING_STATES = numbers(TradingState, risk_pb2.TradingState, "TRADING_STATE")
TRADING_STATE_OF = choices(TRADING_STATES)


# ---------------------------------------------------------------- account


def _write_account_opened(message: event_pb2.AccountOpened, event: e.AccountOpened, account: str) -> None:
    message.account = account
    message.mode = mode_number(event.mode)
    message.settle = event.settle
    for currency, amount in event.balances:
        balance = message.balances.add()
        balance.currency = currency
        balance.wallet.value = text(amount)


def _read_account_opened(message: event_pb2.AccountOpened) -> e.AccountOpened:
    balances = tuple([(each.currency, Decimal(each.wallet.value)) for each in message.balances])
    return e.AccountOpened(mode_text(message.mode), message.settle, balances)


def _write_balance_adjusted(message: event_pb2.BalanceAdjusted, event: e.BalanceAdjusted, _account: str) -> None:
    message.currency = event.currency
    message.amount.value = text(event.amount)
    message.wallet.value = text(event.wallet)
    message.reason = prose(event.reason)
    message.adjustment_id = event.adjustment_id
    message.unexplained = event.unexplained


def _read_balance_adjusted(message: event_pb2.BalanceAdjusted) -> e.BalanceAdjusted:
    return e.BalanceAdjusted(
        message.currency,
        Decimal(message.amount.value),
        Decimal(message.wallet.value),
        message.reason,
        message.adjustment_id,
        message.unexplained,
    )


def _write_position_adjusted(message: event_pb2.PositionAdjusted, event: e.PositionAdjusted, _account: str) -> None:
    message.adjustment_id = event.adjustment_id
    message.instrument = names.instrument(event.symbol)
    if event.bot_id:
        message.bot = names.bot(event.bot_id)
    message.quantity.value = text(event.quantity)
    message.price.value = text(event.price)
    message.position_quantity.value = text(event.position_quantity)
    if event.position_average_price is not None and (spelt := rounded(event.position_average_price)):
        message.position_average_price.value = spelt
    message.reason = prose(event.reason)


def _read_position_adjusted(message: event_pb2.PositionAdjusted) -> e.PositionAdjusted:
    return e.PositionAdjusted(
        message.adjustment_id,
        names.symbol_of(message.instrument),
        names.bot_id_of(message.bot),
        Decimal(message.quantity.value),
        Decimal(message.price.value),
        Decimal(message.position_quantity.value),
        read_amount(message.position_average_price),
        message.reason,
    )


def _write_instrument(message: event_pb2.InstrumentChanged, event: e.InstrumentChanged, _account: str) -> None:
    message.instrument.CopyFrom(instrument_message(event.instrument))


def _read_instrument(message: event_pb2.InstrumentChanged) -> e.InstrumentChanged:
    return e.InstrumentChanged(read_instrument(message.instrument))


def _write_funding_paid(message: event_pb2.FundingPaid, event: e.FundingPaid, _account: str) -> None:
    message.funding_id = event.funding_id
    message.instrument = names.instrument(event.symbol)
    message.amount.value = text(event.amount)
    message.rate.value = rounded(event.rate)
    message.position_quantity.value = text(event.position_quantity)
    set_time(message.exchange_time, event.exchange_time)


def _read_funding_paid(message: event_pb2.FundingPaid) -> e.FundingPaid:
    return e.FundingPaid(
        message.funding_id,
        names.symbol_of(message.instrument),
        Decimal(message.amount.value),
        Decimal(message.rate.value),
        Decimal(message.position_quantity.value),
        time_of(message.exchange_time),
    )


def _write_snapshot(message: event_pb2.PortfolioSnapshotTaken, event: e.PortfolioSnapshotTaken, _account: str) -> None:
    message.equity.value = text(event.equity)
    message.wallet_balance.value = text(event.wallet)
    message.unrealized_pnl.value = text(event.unrealized_pnl)
    message.realized_pnl.value = text(event.realized_pnl)
    message.fees.value = text(event.fees)
    message.funding.value = text(event.funding)
    message.peak_equity.value = text(event.peak_equity)
    message.drawdown.value = rounded(event.drawdown)
    message.open_positions = event.open_positions
    message.risk_ratio.value = rounded(event.risk_ratio)


def _read_snapshot(message: event_pb2.PortfolioSnapshotTaken) -> e.PortfolioSnapshotTaken:
    return e.PortfolioSnapshotTaken(
        equity=Decimal(message.equity.value),
        wallet=Decimal(message.wallet_balance.value),
        unrealized_pnl=Decimal(message.unrealized_pnl.value),
        realized_pnl=Decimal(message.realized_pnl.value),
        fees=Decimal(message.fees.value),
        funding=Decimal(message.funding.value),
        peak_equity=Decimal(message.peak_equity.value),
        drawdown=Decimal(message.drawdown.value),
        open_positions=message.open_positions,
        risk_ratio=Decimal(message.risk_ratio.value),
    )


def _write_trading_state(message: event_pb2.TradingStateChanged, event: e.TradingStateChanged, _account: str) -> None:
    message.state = TRADING_STATES[event.state]
    message.reason = prose(event.reason)
    message.automatic = event.automatic
    message.flatten = event.flatten


def _read_trading_state(message: event_pb2.TradingStateChanged) -> e.TradingStateChanged:
    return e.TradingStateChanged(TRADING_STATE_OF[message.state], message.reason, message.automatic, message.flatten)


# ---------------------------------------------------------------- bots


def _write_signal_raised(message: event_pb2.SignalRaised, event: e.SignalRaised, _account: str) -> None:
    message.bot = names.bot(event.bot_id)
    message.instrument = names.instrument(event.symbol)
    message.action = ACTIONS[event.action]
    if event.stop_price is not None:
        message.stop_price.value = text(event.stop_price)
    if event.take_profit is not None:
        message.take_profit.value = text(event.take_profit)
    message.reason = prose(event.reason)


def _read_signal_raised(message: event_pb2.SignalRaised) -> e.SignalRaised:
    return e.SignalRaised(
        names.bot_id_of(message.bot),
        names.symbol_of(message.instrument),
        ACTION_OF[message.action],
        read_amount(message.stop_price),
        read_amount(message.take_profit),
        message.reason,
    )


def _write_signal_dropped(message: event_pb2.SignalDropped, event: e.SignalDropped, _account: str) -> None:
    message.bot = names.bot(event.bot_id)
    message.instrument = names.instrument(event.symbol)
    message.action = ACTIONS[event.action]
    message.reason = prose(event.reason)


def _read_signal_dropped(message: event_pb2.SignalDropped) -> e.SignalDropped:
    return e.SignalDropped(
        names.bot_id_of(message.bot), names.symbol_of(message.instrument), ACTION_OF[message.action], message.reason
    )


def _write_bot_created(message: event_pb2.BotCreated, event: e.BotCreated, account: str) -> None:
    write_spec(message.bot, event.spec, account)
    message.bot.state = BOT_STATES[BotState.STOPPED]


def _read_bot_created(message: event_pb2.BotCreated) -> e.BotCreated:
    return e.BotCreated(read_spec(message.bot, names.bot_id_of(message.bot.name)))


def _write_bot_state(message: event_pb2.BotStateChanged, event: e.BotStateChanged, _account: str) -> None:
    message.bot = names.bot(event.bot_id)
    message.state = BOT_STATES[event.state]
    message.failure = prose(event.failure)


def _read_bot_state(message: event_pb2.BotStateChanged) -> e.BotStateChanged:
    return e.BotStateChanged(names.bot_id_of(message.bot), BOT_STATE_OF[message.state], message.failure)


# ---------------------------------------------------------------- daemon


def _write_started(message: event_pb2.DaemonStarted, event: e.DaemonStarted, _account: str) -> None:
    message.version = event.version
    message.mode = mode_number(event.mode)
    message.plugins.extend(event.plugins)
    message.epoch = event.epoch


def _read_started(message: event_pb2.DaemonStarted) -> e.DaemonStarted:
    return e.DaemonStarted(message.version, mode_text(message.mode), tuple(message.plugins), message.epoch)


def _write_stopped(message: event_pb2.DaemonStopped, event: e.DaemonStopped, _account: str) -> None:
    message.reason = prose(event.reason)


ACCOUNT_EVENTS: Sequence[Codec] = (
    Codec(e.AccountOpened, "account_opened", _write_account_opened, _read_account_opened),
    Codec(e.BalanceAdjusted, "balance_adjusted", _write_balance_adjusted, _read_balance_adjusted),
    Codec(e.PositionAdjusted, "position_adjusted", _write_position_adjusted, _read_position_adjusted),
    Codec(e.InstrumentChanged, "instrument_changed", _write_instrument, _read_instrument),
    Codec(e.FundingPaid, "funding_paid", _write_funding_paid, _read_funding_paid),
    Codec(e.PortfolioSnapshotTaken, "portfolio_snapshot_taken", _write_snapshot, _read_snapshot),
    Codec(e.TradingStateChanged, "trading_state_changed", _write_trading_state, _read_trading_state),
    Codec(e.SignalRaised, "signal_raised", _write_signal_raised, _read_signal_raised),
    Codec(e.SignalDropped, "signal_dropped", _write_signal_dropped, _read_signal_dropped),
    Codec(e.BotCreated, "bot_created", _write_bot_created, _read_bot_created),
    Codec(e.BotStateChanged, "bot_state_changed", _write_bot_state, _read_bot_state),
    Codec(e.DaemonStarted, "daemon_started", _write_started, _read_started),
    Codec(e.DaemonStopped, "daemon_stopped", _write_stopped, lambda m: e.DaemonStopped(m.reason)),
)
