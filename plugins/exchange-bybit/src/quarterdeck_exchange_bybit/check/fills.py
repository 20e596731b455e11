"""Owns the questions that only a trade answers: what it costs, who tells of it, what protects the position."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

from quarterdeck.domain.market import Side
from quarterdeck_exchange_bybit.check.desk import Desk, Heard
from quarterdeck_exchange_bybit.check.report import Answer, Question, different, settled, unknown
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.listing import LINEAR, SPOT
from quarterdeck_exchange_bybit.codec.orders import trailing_params

_TRAIL = Decimal("0.1")

#: Within so long the wallet has to show a trade.
_WALLET_SECONDS = 2.0

_CHILDREN = ("PartialStopLoss", "PartialTakeProfit")
_ENDED = frozenset({"Deactivated", "Cancelled", "Filled"})


async def _opened(desk: Desk) -> tuple[str, str] | None:
    """The one protected position of a check: its order's link id and Bybit's; None if it could not be opened."""
    known = [each for each in desk.heard if each.topic == "execution" and each.row.text_or("orderLinkId")]
    if known:
        return known[0].row.text_or("orderLinkId"), known[0].row.text_or("orderId")
    link = desk.new_link()
    written = await desk.trade(Side.BUY, desk.quantity(desk.last * (1 - _TRAIL)), link=link)
    if written.verdict is not Verdict.TAKEN:
        return None
    filled = await desk.told("execution", lambda row: row.text_or("orderLinkId") == link)
    return (link, filled.row.text_or("orderId")) if filled else None


_NOT_OPENED = unknown("no position could be opened")


async def _fill(desk: Desk) -> Answer:
    opened = await _opened(desk)
    if opened is None:
        return _NOT_OPENED
    link, order_id = opened
    done = await desk.told(
        "order", lambda row: row.text_or("orderId") == order_id and row.text_or("orderStatus") == "Filled"
    )
    executions = _executions(desk, order_id)
    if done is None:
        return different("the order topic never told that it was filled")
    total = sum((each.row.number("execQty") for each in executions), Decimal(0))
    first = "first" if executions[0].at < done.at or _before(desk, executions[0], done) else "last"
    text = f"{len(executions)} executions of {total} in all, told {first}; the order says {done.row.text('cumExecQty')}"
    return settled(total == done.row.number("cumExecQty") and executions[0].row.text_or("orderLinkId") == link, text)


def _before(desk: Desk, one: Heard, other: Heard) -> bool:
    return desk.heard.index(one) < desk.heard.index(other)


def _executions(desk: Desk, order_id: str) -> list[Heard]:
    return [each for each in desk.heard if each.topic == "execution" and each.row.text_or("orderId") == order_id]


async def _fees(desk: Desk) -> Answer:
    opened = await _opened(desk)
    if opened is None:
        return _NOT_OPENED
    row = _executions(desk, opened[1])[0].row
    text = ", ".join(f"{name} {row.text_or(name)!r}" for name in ("execFee", "feeCurrency", "feeRate"))
    return settled(row.number_or("execFee") is not None, text)


async def _children(desk: Desk) -> Answer:
    opened = await _opened(desk)
    if opened is None:
        return _NOT_OPENED
    texts, right = [], True
    for kind in _CHILDREN:
        told = await desk.told("order", lambda row, kind=kind: row.text_or("stopOrderType") == kind)  # type: ignore[misc]  # bound early
        parent = told.row.text_or("parentOrderLinkId") if told else ""
        texts.append(f"{kind}: " + (f"parentOrderLinkId {parent!r}" if told else "not told"))
        right = right and parent == opened[0]
    return settled(right, ", ".join(texts))


async def _trailing(desk: Desk) -> Answer:
    if await _opened(desk) is None:
        return _NOT_OPENED
    distance = desk.price(_TRAIL)
    written = await desk.rest.write("set_trading_stop", trailing_params(desk.instrument, distance), reduces=True)
    if written.verdict is not Verdict.TAKEN:
        return unknown(f"refused: {written.code} {written.text}")
    told = await desk.told("order", lambda row: row.text_or("stopOrderType") == "TrailingStop")
    if told is None:
        return different("no row of type TrailingStop was told")
    link = told.row.text_or("orderLinkId")
    return settled(not link, f"told as TrailingStop, orderLinkId {link!r}, {told.row.text_or('orderStatus')}")


async def _sequence(desk: Desk) -> Answer:
    opened = await _opened(desk)
    row = await desk.position_row()
    if opened is None or row is None:
        return _NOT_OPENED
    rows = await desk.rest.pages("get_executions", **desk.where, limit=100)
    numbers = [each.integer("seq") for each in rows if "seq" in each]
    if not numbers or "seq" not in row:
        return unknown("there are no sequence numbers")
    text = f"position {row.integer('seq')}, latest execution {max(numbers)}"
    return settled(row.integer("seq") == max(numbers), text)


async def _ends(desk: Desk) -> Answer:
    if await _opened(desk) is None:
        return _NOT_OPENED
    written = await desk.trade(Side.SELL, await desk.position(), reduce_only=True)
    if written.verdict is not Verdict.TAKEN:
        return unknown(f"the position could not be closed: {written.code} {written.text}")
    left = []
    for kind in (*_CHILDREN, "TrailingStop"):
        if not any(each.row.text_or("stopOrderType") == kind for each in desk.heard):
            continue
        ended = await desk.told(
            "order",
            lambda row, kind=kind: row.text_or("stopOrderType") == kind and row.text_or("orderStatus") in _ENDED,  # type: ignore[misc]  # bound early
        )
        if ended is None:
            left.append(kind)
    return settled(not left, f"{', '.join(left)} was not told to end" if left else "all of it was told to end")


async def _unit(desk: Desk) -> Answer:
    opened = await _opened(desk)
    if opened is None:
        return _NOT_OPENED
    asked = desk.quantity(desk.last * (1 - _TRAIL))
    await desk.told("order", lambda row: row.text_or("orderId") == opened[1] and row.text_or("orderStatus") == "Filled")
    filled = sum((each.row.number("execQty") for each in _executions(desk, opened[1])), Decimal(0))
    return settled(filled == asked, f"{asked} was asked for, {filled} was bought")


async def _coin(desk: Desk) -> Answer:
    opened = await _opened(desk)
    if opened is None:
        return _NOT_OPENED
    rows = [each.row for each in _executions(desk, opened[1])]
    base = desk.instrument.base
    coins = {row.text_or("feeCurrency") or base for row in rows}
    bought = sum((row.number("execQty") for row in rows), Decimal(0))
    fee = sum((row.number_or("execFee") or Decimal(0) for row in rows), Decimal(0))
    kept = bought - fee if coins == {base} else bought
    gained, end = await desk.gained(), time.monotonic() + _WALLET_SECONDS
    while gained != kept and time.monotonic() < end:
        await asyncio.sleep(0.1)
        gained = await desk.gained()
    text = f"fee {fee} in {', '.join(sorted(coins))}; {bought} bought, {gained} more is held"
    return settled(gained == kept, text)


QUESTIONS = (
    Question("fill", "Executions tell every fill of an order, by its id", _fill, needs="fill"),
    Question("fee", "An execution tells its fee", _fees, needs="fill"),
    Question("children", "Attached protection names its parent in parentOrderLinkId", _children, "fill", LINEAR),
    Question("sequence", "A position's seq is that of its latest execution", _sequence, "fill", LINEAR),
    Question("trailing", "A trailing stop is told as TrailingStop, without a link id", _trailing, "fill", LINEAR),
    Question("protection-ends", "Protection ends with its position", _ends, "fill", LINEAR),
    Question(
        "market-unit", "A market order of a pair counts in the base, where marketUnit says so", _unit, "fill", SPOT
    ),
    Question("fee-coin", "The fee of a buy is told in the coin it is taken of", _coin, "fill", SPOT),
)
