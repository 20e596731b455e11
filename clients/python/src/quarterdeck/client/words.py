"""Owns the contract's words: every enum as the plain strings a caller writes and reads, such as `"BUY"`.

They are the contract's value names without their prefix. Enums the daemon answers with may gain values: a value newer
than this client is shown by its number, such as `"13"`.
"""

from __future__ import annotations

from typing import Literal

Side = Literal["BUY", "SELL"]
OrderType = Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "TRAILING_STOP"]
TimeInForce = Literal["GTC", "IOC", "FOK", "POST_ONLY"]
OrderRole = Literal["ENTRY", "EXIT", "STOP_LOSS", "TAKE_PROFIT", "LIQUIDATION", "EXTERNAL"]
OrderState = Literal[
    "PREPARED",
    "SENT",
    "ACKED",
    "UNKNOWN",
    "OPEN",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCELED",
    "REJECTED",
    "EXPIRED",
    "NOT_SENT",
    "ABSENT",
]
Liquidity = Literal["MAKER", "TAKER"]
LedgerBook = Literal["WALLET", "TRADING", "FEES", "FUNDING", "TRANSFERS"]
FillCause = Literal["ORDER", "LIQUIDATION", "AUTO_DELEVERAGING"]
InstrumentKind = Literal["SPOT", "LINEAR"]
BotState = Literal["STOPPED", "RUNNING", "PAUSED", "FAILED"]
PositionPolicy = Literal["KEEP", "FLATTEN"]
KillMode = Literal["CANCEL_ONLY", "FLATTEN"]
TradingState = Literal["ACTIVE", "REDUCING", "HALTED"]
SignalAction = Literal["ENTER_LONG", "ENTER_SHORT", "EXIT"]
Mode = Literal["DEMO", "PAPER", "TESTNET", "EXCHANGE_DEMO", "LIVE"]
DaemonState = Literal["READY", "SYNCING", "SAFE", "KILLED", "FENCED", "FAILED"]
FindingVerdict = Literal["OK", "WARNING", "FAILED", "NOT_APPLICABLE"]
DiagnosisDepth = Literal["QUICK", "FULL"]
PluginKind = Literal[
    "EXCHANGE", "FEED", "STRATEGY", "SIZER", "SCALER", "RISK", "INDICATOR", "SINK", "SERVICE", "COMMAND"
]

CLOSED_STATES: frozenset[OrderState] = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "NOT_SENT", "ABSENT"})
"""The states of an order that is over. A late fill may still be recorded after CANCELED or EXPIRED."""
