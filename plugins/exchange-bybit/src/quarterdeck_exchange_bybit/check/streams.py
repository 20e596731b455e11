"""Owns the questions about the private stream and what Bybit does when it is gone."""

from __future__ import annotations

import asyncio
from secrets import token_hex

from quarterdeck_exchange_bybit.check.desk import Desk
from quarterdeck_exchange_bybit.check.report import Answer, Question, different, settled, unknown
from quarterdeck_exchange_bybit.codec.codes import NO_SUCH_ORDER, Verdict
from quarterdeck_exchange_bybit.codec.frames import Topic
from quarterdeck_exchange_bybit.codec.listing import LINEAR
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook, OutOfStep
from quarterdeck_exchange_bybit.codec.row import Malformed
from quarterdeck_exchange_bybit.line import Line
from quarterdeck_exchange_bybit.trade import TradeSocket

#: Levels of the book that are listened to, and for how long: level 1 is told again after three seconds.
TOP, DEEP = 1, 50
BOOK_SECONDS = 5.0

#: Seconds beyond its window in which disconnection protection has to have acted.
_LATE = 5.0


async def _stream(desk: Desk) -> Answer:
    return settled(desk.is_listening, "order, execution, position and wallet were subscribed to")


async def _dcp_is_off(desk: Desk) -> Answer:
    infos = list((await desk.rest.read("query_dcp_info")).rows("dcpInfos"))
    on = [info for info in infos if info.text_or("dcpStatus") == "ON"]
    text = ", ".join(f"{info.text_or('product')} {info.raw('timeWindow')} s" for info in on)
    return settled(not on, f"it is on: {text}; a lost stream cancels orders" if on else "it is off")


async def _dcp_keeps_stops(desk: Desk) -> Answer:
    written = await desk.rest.write("set_dcp", {"product": "DERIVATIVES", "timeWindow": desk.dcp_window}, reduces=True)
    if written.verdict is not Verdict.TAKEN:
        return unknown(f"it is not available: {written.code} {written.text}")
    await desk.hang_up()
    try:
        if not await desk.listen("dcp.future"):
            return unknown("dcp.future can't be subscribed to")
        plain, waiting = desk.new_link(), desk.new_link()
        for terms, link in ((desk.resting(), plain), (desk.conditional(), waiting)):
            written = await desk.place(terms, link)
            if written.verdict is not Verdict.TAKEN:
                return unknown(f"an order was refused: {written.code} {written.text}")
        await desk.hang_up()
        await asyncio.sleep(desk.dcp_window + _LATE)
    finally:
        if not desk.is_listening:
            await desk.hang_up()
            await desk.listen()
    left = {row.text_or("orderLinkId") for row in await desk.open_orders()}
    if plain in left:
        return unknown(f"nothing was canceled {desk.dcp_window + _LATE:g} s after the stream had ended")
    return settled(waiting in left, "the conditional order stayed" if waiting in left else "it went with the plain one")


async def _book(desk: Desk) -> Answer:
    """Whether what the book relies on holds: ids that rise by one, and level 1 told again after three seconds."""
    name, seen, faults = desk.instrument.venue_symbol, {TOP: 0, DEEP: 0}, []
    books = {depth: LiveBook(desk.instrument.symbol, depth) for depth in seen}

    def hear(topic: Topic) -> None:
        depth = int(topic.name.split(".")[1])
        try:
            books[depth].take(topic.message)
        except (OutOfStep, Malformed) as error:
            faults.append(str(error))
        seen[depth] += 1

    line = Line("check public", desk.settings.site.public, desk.category, [f"orderbook.{at}.{name}" for at in seen],
                desk.clock, hear)  # fmt: skip
    task = asyncio.create_task(line.run())
    try:
        await asyncio.sleep(BOOK_SECONDS)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    text = f"{seen[TOP]} messages of level {TOP} and {seen[DEEP]} of {DEEP} levels in {BOOK_SECONDS:g} s"
    if faults:
        return different(f"{text}; {len(faults)} did not fit, the first: {faults[0]}")
    if not all(book.is_ready for book in books.values()):
        return unknown(f"{text}: there was no snapshot")
    return settled(seen[TOP] > 1, text if seen[TOP] > 1 else f"{text}: level {TOP} was not told again")


async def _trade_socket(desk: Desk) -> Answer:
    if not desk.settings.has_trade_socket:
        return unknown("the demo has none")
    up = asyncio.Event()
    socket = TradeSocket(desk.settings, desk.credentials, desk.clock, desk.rest.budget, up=up.set)
    running = asyncio.create_task(socket.line.run())
    try:
        async with asyncio.timeout(15):
            await up.wait()
        absent = {
            "category": desk.category,
            "symbol": desk.instrument.venue_symbol,
            "orderLinkId": f"chk-{token_hex(8)}",
        }
        written = await socket.write("cancel_order", absent, reduces=True)
    except TimeoutError:
        return different("it did not come up")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return settled(written.code in NO_SUCH_ORDER, f"a cancel of nothing: {written.code} {written.text}")


QUESTIONS = (
    Question("book", "The book's update ids rise by one, and its best level is told again when it is quiet", _book),
    Question("stream", "The private topics can be subscribed to", _stream),
    Question("trade-socket", "The trade socket lets the key in and refuses with REST's codes", _trade_socket),
    Question("dcp-off", "Disconnection protection is off: nothing relies on it", _dcp_is_off),
    Question(
        "dcp-stops", "Disconnection protection leaves conditional orders", _dcp_keeps_stops, needs="dcp", of=LINEAR
    ),
)
