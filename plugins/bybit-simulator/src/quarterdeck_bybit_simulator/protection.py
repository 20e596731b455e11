"""Owns the judgement whether a position was ever without a stop: by the truth, whatever the client believes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from quarterdeck_bybit_simulator.truth import Truth

_STOPS = frozenset({"StopLoss", "PartialStopLoss", "TrailingStop", "Stop"})
_WAITING = "Untriggered"


def unprotected(truth: Truth, after: int = 0) -> Iterator[str]:
    """Where a perpetual's position had no stop at the moment a request was answered, in words.

    Requests are carried out whole, and so is what the market does between them, so nothing is half done then. `after`
    is the number of the fact from which on it counts.
    """
    held: dict[str, Decimal] = {}
    stops: dict[str, set[str]] = {}
    for entry in truth:
        row: Mapping[str, Any] = entry.data.get("row", {})
        if entry.kind == "execution" and row["category"] == "linear" and row["execType"] != "Funding":
            sign = 1 if row["side"] == "Buy" else -1
            held[row["symbol"]] = held.get(row["symbol"], Decimal(0)) + sign * Decimal(row["execQty"])
        elif entry.kind == "state" and row["stopOrderType"] in _STOPS and row["reduceOnly"]:
            working = stops.setdefault(row["symbol"], set())
            (working.add if row["orderStatus"] == _WAITING else working.discard)(row["orderId"])
        elif entry.kind in ("request", "operation") and entry.number > after:
            for symbol, quantity in held.items():
                if quantity and not stops.get(symbol):
                    what = entry.data.get("path") or entry.data.get("op")
                    yield f"{symbol}: {quantity} had no stop when {what} was answered (fact {entry.number})"
