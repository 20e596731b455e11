"""Owns the trade socket: requests that change orders, each with its answer, told apart by the id it goes by.

A request goes out once. One whose answer does not come, because it is late or the socket ends, may have been carried
out: its outcome is not known, and the connection is built anew.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from quarterdeck_exchange_bybit.budget import Budget
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.frames import Reply
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed, Row
from quarterdeck_exchange_bybit.credentials import Credentials
from quarterdeck_exchange_bybit.line import Broken, Line
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings
from quarterdeck_exchange_bybit.written import NOTHING, Written, not_sent, patience_of, places_of, seconds_until_reset

#: What goes over the socket, by pybit's names for the methods; everything else is REST's alone.
OPERATIONS: Mapping[str, str] = {
    "place_order": "order.create",
    "amend_order": "order.amend",
    "cancel_order": "order.cancel",
    "place_batch_order": "order.create-batch",
    "amend_batch_order": "order.amend-batch",
    "cancel_batch_order": "order.cancel-batch",
}

#: Requests without an answer at a time: more is a sign that nobody reads, and would pile up on this side.
MOST_UNANSWERED = 50


class TradeSocket:
    """One account's trade socket."""

    def __init__(
        self,
        settings: BybitSettings,
        credentials: Credentials,
        clock: ServerClock,
        budget: Budget,
        up: Callable[[], None] = lambda: None,
    ) -> None:
        self.line = Line(
            "trade",
            settings.site.private,
            "trade",
            (),
            clock,
            lambda _: None,
            credentials=credentials,
            answered=self._answered,
            up=up,
            down=self._lost,
        )
        self._clock = clock
        self._budget = budget
        self._window = str(settings.receive_window)
        self._timeout = settings.read_timeout
        self._series = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Written]] = {}

    @property
    def is_up(self) -> bool:
        """Whether a request could leave."""
        return self.line.is_up

    async def write(self, method: str, params: Mapping[str, Any], *, reduces: bool = False) -> Written:
        """Ask for a change, once; see `Rest.write`."""
        if not self._clock.is_trusted:
            return not_sent("the time of Bybit's server is not known well enough to sign")
        category = str(params.get("category", ""))
        if not self.is_up:
            return not_sent("the trade socket is down")
        if len(self._waiting) >= MOST_UNANSWERED:
            return not_sent(f"{MOST_UNANSWERED} requests wait for their answers")
        if not await self._budget.take(
            method,
            category,
            reduces=reduces,
            patience=patience_of(reduces=reduces),
            by_socket=True,
            places=places_of(params),
        ):
            return not_sent(f"{method} is over its rate budget")
        written = await self._ask(OPERATIONS[method], params)
        if written.code in codes.LIMITED:
            self._budget.refused(method, category, written.retry_after)
        elif written.code in codes.MAINTENANCE:
            self.line.suspect(f"the trade service answers {written.code}")  # a new connection is led elsewhere
        return written

    async def _ask(self, operation: str, params: Mapping[str, Any]) -> Written:
        request = f"{self._series}-{next(self._numbers)}"
        header = {"X-BAPI-TIMESTAMP": str(self._clock.stamp()), "X-BAPI-RECV-WINDOW": self._window}
        message = {"reqId": request, "header": header, "op": operation, "args": [dict(params)]}
        answer = self._waiting[request] = asyncio.get_running_loop().create_future()
        sent = time.monotonic_ns()
        try:
            await self.line.send(json.dumps(message))
            async with asyncio.timeout(self._timeout):
                written: Written = await answer
        except Broken as error:
            return not_sent(str(error))
        except TimeoutError:
            self.line.suspect(f"no answer to {operation} for {self._timeout:g} s")
            return _unknown(f"no answer for {self._timeout:g} s")
        except (ConnectionError, RuntimeError) as error:
            return _unknown(type(error).__name__)
        finally:
            self._waiting.pop(request, None)
        self._learn_time(sent, written)
        return written

    def _answered(self, reply: Reply) -> None:
        waiting = self._waiting.get(reply.request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(_understood(reply))

    def _lost(self, reason: str) -> None:
        """The socket has ended: what was asked on it may have been done."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(_unknown(f"the trade socket ended: {reason}"))

    def _learn_time(self, sent: int, written: Written) -> None:
        if written.time:
            self._clock.sample(sent, written.time, time.monotonic_ns())


def _understood(reply: Reply) -> Written:
    message = reply.message
    try:
        code = message.integer("retCode")
        data, header = message.raw("data"), message.raw("header")
        headers = header if isinstance(header, Mapping) else {}
        clock = str(headers.get("Timenow", ""))
        return Written(
            codes.verdict(code),
            True,
            code,
            message.text_or("retMsg"),
            Row(data if isinstance(data, Mapping) else {}, f"{reply.operation}.data"),
            seconds_until_reset(headers),
            int(clock) * MILLISECOND if clock.isdecimal() else 0,
            extra=message.raw("retExtInfo"),
        )
    except Malformed as error:
        return _unknown(str(error))


def _unknown(text: str) -> Written:
    return Written(Verdict.UNKNOWN, True, 0, text, NOTHING)
