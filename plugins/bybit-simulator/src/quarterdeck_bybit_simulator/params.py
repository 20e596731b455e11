"""Owns reading the parameters of Bybit's methods: texts as they came, refused as Bybit refuses them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import DAY, Side
from quarterdeck.domain.order import OrderTerms, OrderType, TimeInForce
from quarterdeck_bybit_simulator.order import MILLISECOND, category_of
from quarterdeck_bybit_simulator.refusals import PARAMETER, Refusal

Params = Mapping[str, Any]

_TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}


def category_in(params: Params) -> str:
    """`linear` or `spot`. Raises Refusal."""
    category = str(params.get("category", ""))
    if category not in ("linear", "spot"):
        raise Refusal(PARAMETER, f"params error: category {category!r} is not simulated")
    return category


def concerns(params: Params, instrument: Instrument) -> bool:
    """Whether a query about a symbol, a base coin or a settle coin is about this instrument."""
    return (
        params.get("symbol") in (None, "", instrument.venue_symbol)
        and params.get("baseCoin") in (None, "", instrument.base)
        and params.get("settleCoin") in (None, "", instrument.settle)
    )


def amount_in(params: Params, name: str) -> Decimal | None:
    """A number of a request. Bybit takes digits only: an exponent is an error."""
    value = params.get(name)
    if value in (None, ""):
        return None
    if not isinstance(value, str | int) or isinstance(value, bool) or "e" in str(value).lower():
        raise Refusal(PARAMETER, f"params error: {name} {value!r} is invalid")
    try:
        parsed = Decimal(str(value))
    except InvalidOperation:
        raise Refusal(PARAMETER, f"params error: {name} {value!r} is invalid") from None
    if not parsed.is_finite() or parsed < 0:
        raise Refusal(PARAMETER, f"params error: {name} {value!r} is invalid")
    return parsed


def _price(params: Params, name: str) -> Decimal | None:
    return amount_in(params, name) or None


def terms_in(params: Params, instrument: Instrument) -> OrderTerms:
    """The terms of a new order. Raises Refusal."""
    side = {"Buy": Side.BUY, "Sell": Side.SELL}.get(str(params.get("side")))
    kind = str(params.get("orderType"))
    quantity = amount_in(params, "qty")
    if side is None or kind not in ("Market", "Limit") or quantity is None:
        raise Refusal(PARAMETER, "params error: side, orderType and qty are required")
    is_limit = kind == "Limit"
    limit = _price(params, "price") if is_limit else None
    if is_limit and limit is None:
        raise Refusal(PARAMETER, "params error: price")
    time_in_force = _TIMES_IN_FORCE.get(str(params.get("timeInForce") or "GTC"))
    if time_in_force is None:
        raise Refusal(PARAMETER, "params error: timeInForce")
    trigger = _price(params, "triggerPrice")
    reduce_only = params.get("reduceOnly") is True or params.get("reduceOnly") == "true"
    stop_loss, take_profit = _price(params, "stopLoss"), _price(params, "takeProfit")
    if reduce_only and (stop_loss or take_profit):
        raise Refusal(PARAMETER, "params error: reduce-only orders take no stop-loss or take-profit")
    if (
        category_of(instrument) == "spot"
        and not is_limit
        and params.get("marketUnit") != "baseCoin"
        and side is Side.BUY
    ):
        raise Refusal(PARAMETER, "params error: only marketUnit=baseCoin is simulated")
    return OrderTerms(
        instrument.symbol,
        side,
        _type(limit, trigger, side, params),
        quantity,
        limit,
        trigger,
        time_in_force=time_in_force if is_limit else TimeInForce.IOC,
        reduce_only=reduce_only,
        stop_loss=stop_loss,
        take_profit=take_profit,
    )


def _type(limit: Decimal | None, trigger: Decimal | None, side: Side, params: Params) -> OrderType:
    if trigger is None:
        return OrderType.MARKET if limit is None else OrderType.LIMIT
    direction = str(params.get("triggerDirection", "")) or ("1" if side is Side.BUY else "2")
    if direction not in ("1", "2"):
        raise Refusal(PARAMETER, "params error: triggerDirection")
    is_stop = (direction == "1") is (side is Side.BUY)
    if is_stop:
        return OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return OrderType.TAKE_PROFIT if limit is None else OrderType.TAKE_PROFIT_LIMIT


def time_range(params: Params, now: int) -> tuple[int, int]:
    """The window of a query in milliseconds: at most seven days, the last seven without any."""
    week = 7 * DAY // MILLISECOND
    end = int(params["endTime"]) if params.get("endTime") else None
    start = int(params["startTime"]) if params.get("startTime") else None
    if start is None and end is None:
        end = now // MILLISECOND + 1_000
        start = end - week
    elif start is None:
        start = (end or 0) - week
    elif end is None:
        end = start + week
    assert end is not None, "one of the branches above has set it"
    if end - start > week + 1_000:
        raise Refusal(PARAMETER, "params error: the time range must not exceed 7 days")
    return start, end


def cursor_in(params: Params) -> int:
    """Where a page begins. Raises Refusal."""
    cursor = str(params.get("cursor") or "")
    if not cursor:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(cursor)))
    except ValueError:
        raise Refusal(PARAMETER, "params error: cursor") from None
