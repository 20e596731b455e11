"""Owns Bybit's batches: several orders in one request, each with an outcome of its own, in two lists side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quarterdeck_bybit_simulator.faults import Faults
from quarterdeck_bybit_simulator.params import Params
from quarterdeck_bybit_simulator.refusals import PARAMETER, TOO_MANY, Refusal

#: What each order of a batch is by itself.
SINGLE: Mapping[str, str] = {
    "/v5/order/create-batch": "/v5/order/create",
    "/v5/order/amend-batch": "/v5/order/amend",
    "/v5/order/cancel-batch": "/v5/order/cancel",
}

#: Orders of one request at most, by category.
MOST: Mapping[str, int] = {"linear": 20, "spot": 10}


def legs_of(path: str, params: Params) -> int:
    """How many places of its method's limit a request takes: a batch one for each order."""
    legs = params.get("request")
    return max(1, len(legs)) if path in SINGLE and isinstance(legs, list) else 1


def carry_out(
    path: str,
    params: Params,
    method: Callable[[Params], dict[str, Any]],
    admitted: int,
    faults: Faults,
    now: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Do one order after the other, `admitted` of them; returns the results and the list of codes beside them.

    `now` is in milliseconds.

    Raises:
        Refusal: it is no batch; nothing was done.
    """
    legs, most = params.get("request"), MOST.get(str(params.get("category")), 0)
    if not isinstance(legs, list) or not 1 <= len(legs) <= most or not all(isinstance(leg, Mapping) for leg in legs):
        raise Refusal(PARAMETER, f"params error: request must hold 1 to {most} orders")
    results: list[dict[str, Any]] = []
    codes: list[dict[str, Any]] = []
    for number, leg in enumerate(legs, start=1):
        whole = {**leg, "category": params.get("category")}
        done = {"orderId": "", "orderLinkId": str(leg.get("orderLinkId", ""))}
        code, text, is_done = 0, "OK", False
        rule = faults.of_leg(path, number, str(leg.get("symbol", "")))
        try:
            if number > admitted:
                raise Refusal(TOO_MANY, "Too many visits. Exceeded the API Rate Limit.")
            if rule is None or rule.after:
                answer = method(whole)
                done, is_done = (answer, True) if rule is None else (done, False)
        except Refusal as refusal:
            code, text = refusal.code, refusal.text
        if rule is not None:
            code, text = rule.code, rule.body or "faulty"
        row = {"category": params.get("category"), "symbol": str(leg.get("symbol", ""))} | done
        if path == "/v5/order/create-batch":
            row["createAt"] = str(now) if is_done else ""
        results.append(row)
        codes.append({"code": code, "msg": text})
    return {"list": results}, {"list": codes}
