"""Owns the questions about keys, clocks and what Bybit says to requests."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

from quarterdeck.domain.market import SECOND
from quarterdeck.domain.order import TimeInForce
from quarterdeck_exchange_bybit.check.desk import Desk
from quarterdeck_exchange_bybit.check.report import Answer, Question, different, settled, unknown
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.account import read_key_info
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.row import MILLISECOND
from quarterdeck_exchange_bybit.exchange import VISIBILITY
from quarterdeck_exchange_bybit.rest import Rest
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.written import Written

_SHIFT = 2_000

#: How far beyond the best ask an order to buy has to be, to be sure to take.
_ACROSS = Decimal("1.002")


async def _key(desk: Desk) -> Answer:
    key = read_key_info(await desk.rest.read("get_api_key_information"))
    faults = {
        "it may only read": key.is_read_only,
        "the account is not unified": not key.is_unified,
        "it may not trade contracts": not desk.is_spot and not key.can_trade_contracts,
        "it may not trade pairs": desk.is_spot and not key.can_trade_spot,
        "it may withdraw": key.can_withdraw,
        "it may transfer": key.can_transfer,
        "it is bound to no address": not key.is_bound,
    }
    found = [text for text, holds in faults.items() if holds]
    ends = f"ends {key.expires:%Y-%m-%d}" if key.expires else "does not end"
    return settled(not found, "; ".join([f"account {key.user_id}, the key {ends}", *found]))


async def _clock(desk: Desk) -> Answer:
    offset = desk.clock.offset / MILLISECOND
    return settled(desk.clock.is_trusted, f"Bybit's clock is {offset:+.1f} ms from this machine's")


class _Shifted(ServerClock):
    """Another clock's time, wrong on purpose. Milliseconds."""

    def __init__(self, right: ServerClock, shift: int) -> None:
        super().__init__()
        self._right = right
        self._shift = shift

    @property
    def is_trusted(self) -> bool:
        return True

    def sample(self, sent: int, server: int, received: int) -> None:
        """It does not learn."""

    def stamp(self) -> int:
        return self._right.stamp() + self._shift


async def _window(desk: Desk) -> Answer:
    seen = []
    for shift in (-desk.settings.receive_window - _SHIFT, _SHIFT):
        rest = Rest(desk.settings, desk.credentials, _Shifted(desk.clock, shift), desk.rest.budget)
        written = await rest.write("get_account_info", {}, reduces=True)
        rest.close()
        seen.append((shift, written.code))
    text = ", ".join(f"stamped {shift:+d} ms: {code}" for shift, code in seen)
    return settled({code for _, code in seen} <= codes.CLOCK, text)


async def _visible(desk: Desk) -> Answer:
    link = desk.new_link()
    began = time.monotonic()
    written = await desk.place(desk.resting(), link)
    if written.verdict is not Verdict.TAKEN:
        return _refused(written)
    acknowledged = time.monotonic()
    while not await desk.open_orders(orderLinkId=link):
        if time.monotonic() - acknowledged > 2 * VISIBILITY / SECOND:
            return different(f"not found {time.monotonic() - acknowledged:.1f} s after the acknowledgement")
        await asyncio.sleep(0.02)
    found = time.monotonic() - acknowledged
    told = await desk.told("order", lambda row: row.text_or("orderLinkId") == link)
    heard = f"told by the stream {(told.at - began) * 1000:.0f} ms after sending" if told else "not told by the stream"
    text = f"acknowledged after {(acknowledged - began) * 1000:.0f} ms, found {found * 1000:.0f} ms later, {heard}"
    return settled(found * SECOND <= VISIBILITY and told is not None, text)


async def _open_link(desk: Desk) -> Answer:
    link = desk.new_link()
    first = await desk.place(desk.resting(), link)
    if first.verdict is not Verdict.TAKEN:
        return _refused(first)
    second = await desk.place(desk.resting(), link)
    if second.verdict is Verdict.TAKEN:
        await desk.cancel_and_wait(link)
        return different("a second open order got the same id")
    return settled(second.code in codes.DUPLICATES, f"refused with {second.code}: {second.text}")


async def _closed_link(desk: Desk) -> Answer:
    link = desk.new_link()
    first = await desk.place(desk.resting(), link)
    if first.verdict is not Verdict.TAKEN:
        return _refused(first)
    if not await desk.cancel_and_wait(link):
        return unknown("the first order did not end")
    second = await desk.place(desk.resting(), link)
    if second.verdict is Verdict.TAKEN:
        return different("accepted: ids are unique among open orders only, so an order repeated late could trade twice")
    if second.code not in codes.DUPLICATES:
        return _refused(second)
    return settled(True, f"refused with {second.code}: {second.text}")


async def _history(desk: Desk) -> Answer:
    link = desk.new_link()
    first = await desk.place(desk.resting(), link)
    if first.verdict is not Verdict.TAKEN:
        return _refused(first)
    await desk.cancel_and_wait(link)
    began = time.monotonic()
    while time.monotonic() - began < VISIBILITY / SECOND:
        rows = await desk.rest.pages("get_order_history", **desk.where, orderLinkId=link)
        if rows:
            status = rows[0].text_or("orderStatus")
            return settled(status == "Cancelled", f"{status} after {(time.monotonic() - began) * 1000:.0f} ms")
        await asyncio.sleep(0.1)
    return different(f"not found within {VISIBILITY // SECOND} s")


async def _post_only(desk: Desk) -> Answer:
    link = desk.new_link()
    (ticker,) = (await desk.rest.read("get_tickers", **desk.where)).rows("list")
    across = ticker.positive("ask1Price") / desk.last * _ACROSS  # by the book of now, wherever the last trade was
    written = await desk.place(desk.resting(TimeInForce.POST_ONLY, across), link)
    if written.verdict is not Verdict.TAKEN:
        return different(f"refused at once with {written.code}: {written.text}")
    ended = await desk.told(
        "order",
        lambda row: row.text_or("orderLinkId") == link and row.text_or("orderStatus") in ("Cancelled", "Rejected"),
    )
    if ended is None and await desk.open_orders(orderLinkId=link):
        return unknown("it rests: the market has moved away from it")
    if ended is None:
        return different("acknowledged, and its end was not told")
    return settled(True, f"acknowledged, then {ended.row.text_or('orderStatus')}: {ended.row.text_or('rejectReason')}")


async def _no_such_order(desk: Desk) -> Answer:
    written = await desk.cancel(f"chk-none-{time.time_ns() // MILLISECOND}")
    return settled(written.code in codes.NO_SUCH_ORDER, f"{written.code}: {written.text}")


async def _cancel_all(desk: Desk) -> Answer:
    plain, waiting = desk.new_link(), desk.new_link()
    for terms, link in ((desk.resting(), plain), (desk.conditional(), waiting)):
        written = await desk.place(terms, link)
        if written.verdict is not Verdict.TAKEN:
            return _refused(written)
    for link in (plain, waiting):
        if await desk.told("order", lambda row, link=link: row.text_or("orderLinkId") == link) is None:  # type: ignore[misc]  # bound early
            return unknown("the stream told of no new order")
    written = await desk.rest.write("cancel_all_orders", {**desk.where, "orderFilter": "Order"}, reduces=True)
    if written.verdict is not Verdict.TAKEN:
        return _refused(written)
    await desk.told(
        "order",
        lambda row: row.text_or("orderLinkId") == plain and row.text_or("orderStatus") == "Cancelled",
    )
    left = {row.text_or("orderLinkId") for row in await desk.open_orders()} & {plain, waiting}
    words = {plain: "the plain order", waiting: "the conditional order"}
    text = " and ".join(words[link] for link in sorted(left)) or "nothing"
    return settled(left == {waiting}, f"{text} is left")


def _refused(written: Written) -> Answer:
    return unknown(f"an order was refused: {written.code} {written.text}")


QUESTIONS = (
    Question("key", "The key may trade and no more, and is bound to an address", _key),
    Question("clock", "Bybit's time is known well enough to sign", _clock),
    Question("window", "A request stamped outside of its window is refused with 10002", _window),
    Question("visible", "An acknowledged order is found within 20 s and told by the stream", _visible),
    Question("link-open", "The id of an open order can't be used again", _open_link),
    Question("link-closed", "The id of an order that has ended can't be used again", _closed_link),
    Question("history", "A canceled order is found in the history by its id", _history),
    Question("post-only", "A post-only order that would take is acknowledged, and its end told", _post_only),
    Question("no-such-order", "Canceling what is not there has a code of its own", _no_such_order),
    Question("cancel-all", "Cancel-all with orderFilter=Order leaves conditional orders", _cancel_all),
)
