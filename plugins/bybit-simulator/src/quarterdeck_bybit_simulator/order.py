"""Owns Bybit's record of one order, and how a row of it looks on REST and in the order topic."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from quarterdeck.domain.amounts import ZERO, amount_text, plain
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import CONDITIONAL_TYPES, OrderTerms, OrderType, TimeInForce

MILLISECOND = 1_000_000

#: Every id the simulated Bybit gives is made within it, so that it is the same in every run.
NAMESPACE = uuid.UUID("6f0c2c3e-6f5a-4f1e-9b3c-2d7f3a3b9b10")

_TIMES_IN_FORCE = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})

#: Statuses from which nothing more comes.
CLOSED = frozenset({"Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated"})

#: Statuses of which Bybit's history forgets after a day.
FORGOTTEN = frozenset({"Cancelled", "Rejected", "Deactivated"})


def text(value: Decimal | None) -> str:
    """A number as Bybit writes it; nothing where there is none."""
    return "" if value is None else amount_text(plain(value))


def category_of(instrument: Instrument) -> str:
    """What Bybit calls the instrument's kind."""
    return "spot" if instrument.kind is InstrumentKind.SPOT else "linear"


def side_text(side: Side) -> str:
    """`Buy` or `Sell`."""
    return "Buy" if side is Side.BUY else "Sell"


@dataclass(slots=True)
class SimOrder:
    """One order. `key` is what the matching venue knows it by; `link_id` is the client's, empty for the venue's own.

    `visible_time` is when queries begin to find it; `create_type` and `stop_type` are Bybit's words for what made it
    and what it protects.
    """

    key: str
    order_id: str
    link_id: str
    instrument: Instrument
    terms: OrderTerms
    create_time: int
    visible_time: int
    parent_link_id: str = ""
    create_type: str = "CreateByUser"
    stop_type: str = ""
    status: str = "New"
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    update_time: int = 0
    reject_reason: str = "EC_NoError"
    cancel_type: str = "UNKNOWN"
    was_triggered: bool = False
    execution_type: str = "Trade"
    """Bybit's word for what its trades are."""
    seen: list[dict[str, Any]] = field(default_factory=list)
    """Every row as it was, for reads that lag behind."""

    def __post_init__(self) -> None:
        if self.terms.type in CONDITIONAL_TYPES:
            self.status = "Untriggered"
            self.stop_type = self.stop_type or "Stop"
        self.update_time = self.create_time

    @property
    def is_open(self) -> bool:
        """Whether anything may still come of it."""
        return self.status not in CLOSED

    @property
    def is_conditional(self) -> bool:
        """Whether it waits for, or once waited for, a trigger: Bybit's `StopOrder`."""
        return self.terms.type in CONDITIONAL_TYPES

    @property
    def leaves(self) -> Decimal:
        """What may still trade."""
        return self.terms.quantity - self.filled if self.is_open else ZERO

    def end(self, status: str, time: int, reject_reason: str = "", cancel_type: str = "") -> None:
        """It is over."""
        partly = status == "Cancelled" and self.filled and self.instrument.kind is InstrumentKind.SPOT
        self.status = "PartiallyFilledCanceled" if partly else status
        if status == "Cancelled" and self.is_conditional and not self.was_triggered:
            self.status = "Deactivated"
        self.reject_reason = reject_reason or self.reject_reason
        self.cancel_type = cancel_type or self.cancel_type
        self.update_time = time

    def row(self) -> dict[str, Any]:
        """It, as Bybit tells it now."""
        terms, instrument = self.terms, self.instrument
        is_spot = instrument.kind is InstrumentKind.SPOT
        waits = self.is_conditional
        rises = (terms.type in _STOPS) is (terms.side is Side.BUY)
        return {
            "category": category_of(instrument),
            "symbol": instrument.venue_symbol,
            "orderId": self.order_id,
            "orderLinkId": self.link_id,
            "parentOrderLinkId": self.parent_link_id,
            "blockTradeId": "",
            "side": side_text(terms.side),
            "positionIdx": 0,
            "orderStatus": self.status,
            "cancelType": self.cancel_type,
            "rejectReason": self.reject_reason,
            "timeInForce": _TIMES_IN_FORCE[terms.time_in_force] if terms.limit_price else "IOC",
            "isLeverage": "0" if is_spot else "",
            "price": text(terms.limit_price) or "0",
            "qty": text(terms.quantity),
            "avgPrice": text(self.value / self.filled) if self.filled else "",
            "leavesQty": text(self.leaves),
            "leavesValue": text(self.leaves * (terms.limit_price or ZERO)),
            "cumExecQty": text(self.filled),
            "cumExecValue": text(self.value),
            "cumExecFee": text(self.fee),
            "cumFeeDetail": {},
            "orderType": "Limit" if terms.limit_price else "Market",
            "stopOrderType": self.stop_type,
            "createType": "" if is_spot else self.create_type,
            "orderIv": "",
            "triggerPrice": text(terms.trigger_price),
            "takeProfit": text(terms.take_profit),
            "stopLoss": text(terms.stop_loss),
            "tpslMode": "Partial" if terms.stop_loss or terms.take_profit else "",
            "tpLimitPrice": "0" if terms.take_profit else "",
            "slLimitPrice": "0" if terms.stop_loss else "",
            "tpTriggerBy": "LastPrice" if terms.take_profit else "",
            "slTriggerBy": "LastPrice" if terms.stop_loss else "",
            "triggerDirection": (1 if rises else 2) if waits else 0,
            "triggerBy": "LastPrice" if waits else "",
            "lastPriceOnCreated": "",
            "reduceOnly": terms.reduce_only,
            "closeOnTrigger": terms.reduce_only and waits,
            "placeType": "",
            "smpType": "None",
            "smpGroup": 0,
            "smpOrderId": "",
            "marketUnit": "baseCoin" if is_spot else "",
            "slippageToleranceType": "UNKNOWN",
            "slippageTolerance": "",
            "closedPnl": "",
            "feeCurrency": "",
            "rpiTakerAccess": False,
            "rpiMatchedQty": "0",
            "createdTime": str(self.create_time // MILLISECOND),
            "updatedTime": str(self.update_time // MILLISECOND),
        }
