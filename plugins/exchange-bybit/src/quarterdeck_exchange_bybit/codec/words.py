"""Owns Bybit's vocabulary in ours, both ways. A word that is not here is kept as it came, and understood as nothing."""

from __future__ import annotations

from quarterdeck.domain.market import DAY, MINUTE, Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderType, TimeInForce
from quarterdeck_exchange_bybit.codec.row import Malformed, Row

SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
SIDE_WORDS = {side: word for word, side in SIDES.items()}

TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
    "RPI": TimeInForce.POST_ONLY,
}
TIME_IN_FORCE_WORDS = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}

#: A derivative's `Cancelled` may have traded in part; spot has a word of its own for that.
STATES = {
    "New": OrderState.OPEN,
    "Untriggered": OrderState.OPEN,
    "Triggered": OrderState.OPEN,
    "PartiallyFilled": OrderState.PARTIALLY_FILLED,
    "Filled": OrderState.FILLED,
    "Cancelled": OrderState.CANCELED,
    "PartiallyFilledCanceled": OrderState.CANCELED,
    "Deactivated": OrderState.CANCELED,
    "Rejected": OrderState.REJECTED,
}

#: A conditional order that waits for its trigger, or was canceled while it did.
UNTRIGGERED = frozenset({"Untriggered", "Deactivated"})
TRIGGERED = "Triggered"

#: What protects a position, by `stopOrderType`.
PROTECTION = {
    "StopLoss": OrderRole.STOP_LOSS,
    "PartialStopLoss": OrderRole.STOP_LOSS,
    "TrailingStop": OrderRole.STOP_LOSS,
    "TakeProfit": OrderRole.TAKE_PROFIT,
    "PartialTakeProfit": OrderRole.TAKE_PROFIT,
}
PROTECTION_TYPES = {
    "StopLoss": OrderType.STOP,
    "PartialStopLoss": OrderType.STOP,
    "TrailingStop": OrderType.TRAILING_STOP,
    "TakeProfit": OrderType.TAKE_PROFIT,
    "PartialTakeProfit": OrderType.TAKE_PROFIT,
}

#: Orders the venue makes to take a position away, by `createType`.
TAKEN_OVER = frozenset(
    {"CreateByLiq", "CreateByTakeOver_PassThrough", "CreateByAdl_PassThrough", "CreateByAdminClosing"}
)

#: Reasons for which the time in force ended an order, by `rejectReason`.
TIMED_OUT = frozenset({"EC_NoImmediateQtyToFill", "EC_CancelForNoFullFill", "EC_NoEnoughQtyToFill"})

#: Nothing was wrong.
NO_REASON = frozenset({"", "EC_NoError", "UNKNOWN"})

#: A cancellation that came too late is told as a second `Filled` with this reason.
TOO_LATE = frozenset({"EC_OrigClOrdIDDoesNotExist", "EC_TooLateToCancel"})

#: Bybit's candle intervals in nanoseconds. A week and a month have no fixed place in a day-based series.
INTERVALS = {
    **{str(minutes): minutes * MINUTE for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": DAY,
}
INTERVAL_WORDS = {interval: word for word, interval in INTERVALS.items()}


def side(row: Row, name: str = "side") -> Side:
    """Which side a row is on. A third side does not exist."""
    word = row.text(name)
    if word not in SIDES:
        raise Malformed(f"{row.where}.{name}", word, f"one of {', '.join(SIDES)}")
    return SIDES[word]
