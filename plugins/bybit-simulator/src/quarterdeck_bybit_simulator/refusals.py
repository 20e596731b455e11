"""Owns Bybit's refusals: the codes a request can end with, and which of them a venue's reason becomes."""

from __future__ import annotations

from quarterdeck.matching import Reason

PARAMETER = 10001
TIME_WINDOW = 10002
BAD_KEY = 10003
BAD_SIGNATURE = 10004
PERMISSION = 10005
TOO_MANY = 10006
RESTARTING = 10019
ADDRESS_LIMIT = 10403
OPERATION = 10404
REPEATED_LOGIN = 20001
REPEATED_REQUEST = 20006
ROUTE = 10017
NO_ORDER = 110001
NO_BALANCE = 110007
ENDED = 110008
TRUNCATED = 110017
TOO_MANY_CONDITIONAL = 110009
TOO_MANY_ORDERS = 110020
ONLY_REDUCES = 110023
MODE_UNCHANGED = 110025
LEVERAGE_UNCHANGED = 110043
BELOW_FILLED = 110064
DUPLICATE_LINK = 110072
TOO_SMALL = 110094
SPOT_NO_BALANCE = 170131
SPOT_TOO_SMALL = 170140
SPOT_DUPLICATE_LINK = 170141
SPOT_NO_ORDER = 170213
NOT_MODIFIED = 34040


class Refusal(Exception):
    """A request that Bybit answers with a code other than 0."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


_LINEAR: dict[Reason, tuple[int, str]] = {
    Reason.INSUFFICIENT_MARGIN: (NO_BALANCE, "ab not enough for new order"),
    Reason.INSUFFICIENT_BALANCE: (NO_BALANCE, "ab not enough for new order"),
    Reason.NOTHING_TO_REDUCE: (TRUNCATED, "orderQty will be truncated to zero"),
    Reason.NOTIONAL_TOO_SMALL: (TOO_SMALL, "Order does not meet minimum order value"),
    Reason.QUANTITY_BELOW_FILLED: (BELOW_FILLED, "The modified contract quantity cannot be less than the filled one"),
    Reason.UNKNOWN_ORDER: (NO_ORDER, "order not exists or too late to cancel"),
    Reason.ORDER_CLOSED: (NO_ORDER, "order not exists or too late to cancel"),
    Reason.NO_PRICE: (110118, "Unable to retrieve a price of the market order due to low liquidity"),
}

_SPOT: dict[Reason, tuple[int, str]] = {
    Reason.INSUFFICIENT_MARGIN: (SPOT_NO_BALANCE, "Insufficient balance."),
    Reason.INSUFFICIENT_BALANCE: (SPOT_NO_BALANCE, "Insufficient balance."),
    Reason.NOTIONAL_TOO_SMALL: (SPOT_TOO_SMALL, "Order value exceeded lower limit."),
    Reason.QUANTITY_TOO_SMALL: (170136, "Order quantity exceeded lower limit."),
    Reason.QUANTITY_TOO_LARGE: (170124, "Order amount too large."),
    Reason.QUANTITY_NOT_ON_LOT: (170137, "Order quantity has too many decimals."),
    Reason.PRICE_NOT_ON_TICK: (170134, "Order price has too many decimals."),
    Reason.UNKNOWN_ORDER: (SPOT_NO_ORDER, "Order does not exist."),
    Reason.ORDER_CLOSED: (SPOT_NO_ORDER, "Order does not exist."),
}


def refusal_of(reason: str, *, is_spot: bool) -> Refusal:
    """What Bybit says where the venue refuses for this reason."""
    known = (_SPOT if is_spot else _LINEAR).get(Reason(reason), (PARAMETER, f"params error: {reason}"))
    return Refusal(*known)


#: Reasons for which Bybit takes an order in and rejects it a moment later, on the stream.
LATER = frozenset({Reason.POST_ONLY_WOULD_CROSS})

#: What the order topic says of a reason for which an order ended.
REJECT_REASONS: dict[str, str] = {
    Reason.POST_ONLY_WOULD_CROSS: "EC_PostOnlyWillTakeLiquidity",
    Reason.NOT_FILLED_AT_ONCE: "EC_NoImmediateQtyToFill",
    Reason.CANCELED_ON_REQUEST: "EC_PerCancelRequest",
}
CANCEL_TYPES: dict[str, str] = {
    Reason.CANCELED_ON_REQUEST: "CancelByUser",
    Reason.NOTHING_TO_REDUCE: "CancelByReduceOnly",
    Reason.OTHER_SIDE_FILLED: "CancelByTpSlTsClear",
    Reason.PROTECTION_ENDED: "CancelByTpSlTsClear",
    Reason.LIQUIDATION: "CancelAllBeforeLiq",
}
