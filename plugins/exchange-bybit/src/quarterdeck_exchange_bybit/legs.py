"""Owns batches: several orders in one request, and the outcome that each of them has by itself."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.orders import Params
from quarterdeck_exchange_bybit.codec.row import Malformed, Row
from quarterdeck_exchange_bybit.written import NOTHING, Batch, Written


def batch_of(category: str, orders: Sequence[Params]) -> Batch:
    """The body of one request for all of these, which are of one category."""
    legs = [{name: value for name, value in order.items() if name != "category"} for order in orders]
    return {"category": category, "request": legs}


def outcomes_of(written: Written, count: int) -> Sequence[Written]:
    """What came of each order of a batch: what of the whole, unless Bybit has taken that.

    Then two lists stand side by side, of the orders and of the codes. Where they don't have an entry for each order,
    nothing is known of any.
    """
    if written.verdict is not Verdict.TAKEN:
        return [written] * count
    try:
        extra = Row(written.extra, "retExtInfo")
        read = [_outcome(row, leg) for row, leg in zip(written.result.rows("list"), extra.rows("list"), strict=True)]
    except (Malformed, ValueError) as error:
        return [_doubt(str(error))] * count
    return read if len(read) == count else [_doubt(f"{len(read)} outcomes of {count} orders")] * count


def _outcome(order: Row, leg: Row) -> Written:
    code = leg.integer("code")
    return Written(codes.verdict(code), True, code, leg.text_or("msg"), order)


def _doubt(text: str) -> Written:
    return Written(Verdict.UNKNOWN, True, 0, text, NOTHING)
