"""Owns what came of a request that changes something, whichever way it went, and how long one may wait to leave."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.row import Row

#: Longest that a request may wait for its turn, in seconds: a stale one is worth less than none.
PATIENCE = 0.25

#: What takes risk away, or reads, waits longer.
LONG_PATIENCE = 5.0

NOTHING = Row({}, "result")

#: The body of a request for several orders.
Batch = dict[str, str | list[dict[str, str | int | bool]]]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a request that changes something, and whether it `left` at all.

    `retry_after` in seconds, where Bybit says so; `time` is the server's in nanoseconds, 0 if it was not told; `extra`
    is what stands beside the result, such as the codes of a batch.
    """

    verdict: Verdict
    left: bool
    code: int
    text: str
    result: Row
    retry_after: float = 0.0
    time: int = 0
    extra: object = None


def not_sent(text: str) -> Written:
    """It has not left, for certain."""
    return Written(Verdict.REFUSED, False, 0, text, NOTHING)


def places_of(params: Mapping[str, object]) -> int:
    """How many places of its method's budget a request takes: a batch one for each order."""
    legs = params.get("request")
    return len(legs) if isinstance(legs, list) else 1


def patience_of(*, reduces: bool) -> float:
    """How long it may wait for its turn."""
    return LONG_PATIENCE if reduces else PATIENCE


def seconds_until_reset(headers: object) -> float:
    """Seconds until the limit is whole again, as the headers say; 1 where they don't."""
    if not isinstance(headers, Mapping):
        return 1.0
    try:
        return max(0.0, int(headers.get("X-Bapi-Limit-Reset-Timestamp", 0)) / 1000 - time.time())
    except (TypeError, ValueError):
        return 1.0
