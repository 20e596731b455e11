"""Owns Bybit's REST methods as the plugin calls them: through pybit, in threads of its own, within the budget.

Reads are retried, since asking twice does no harm. What changes something is sent once, and what came of it is told in
three values; a doubt is never made into an answer here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import structlog
import tenacity
import urllib3
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP

from quarterdeck_exchange_bybit.budget import Banned, Budget
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Malformed, Row
from quarterdeck_exchange_bybit.credentials import Credentials
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings
from quarterdeck_exchange_bybit.written import (
    LONG_PATIENCE,
    NOTHING,
    Written,
    not_sent,
    patience_of,
    places_of,
    seconds_until_reset,
)

log = structlog.get_logger(__name__)

#: pybit retries some codes by itself unless it is given others; this one does not exist.
_NO_CODE = {-999_999}

#: Pages of one listing; more than that is a listing that never ends.
_MOST_PAGES = 200

_WORKERS = 4
_EMERGENCY_WORKERS = 8


class Unreachable(Exception):
    """Bybit did not answer, or not in a way that can be believed."""


class _Client(HTTP):  # type: ignore[misc]  # pybit has no types
    """pybit's client, signing with Bybit's own time."""

    def __init__(self, clock: ServerClock, **options: Any) -> None:  # noqa: ANN401 - pybit's options
        super().__init__(**options)
        self.server_clock = clock

    def _prepare_headers(
        self, payload: str, recv_window: int, content_type: str = "application/json"
    ) -> dict[str, str]:
        stamp = self.server_clock.stamp()
        return {
            "Content-Type": content_type,
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-SIGN": self._auth(payload=payload, recv_window=recv_window, timestamp=stamp),
            "X-BAPI-SIGN-TYPE": "2",
            "X-BAPI-TIMESTAMP": str(stamp),
            "X-BAPI-RECV-WINDOW": str(recv_window),
        }


class Rest:
    """One account's REST methods, by pybit's names for them."""

    def __init__(
        self, settings: BybitSettings, credentials: Credentials | None, clock: ServerClock, budget: Budget
    ) -> None:
        self.clock = clock
        self.budget = budget
        self.last_answer: float | None = None
        """Steady time of the latest answer, for its age."""
        self._settings = settings
        self._credentials = credentials
        self._clients = threading.local()
        self._made: list[_Client] = []
        self._normal = ThreadPoolExecutor(_WORKERS, "bybit")
        self._emergency = ThreadPoolExecutor(_EMERGENCY_WORKERS, "bybit-emergency")

    @property
    def banned_for(self) -> float:
        """Seconds for which nothing may leave this way; 0 when it may."""
        return self.budget.banned_for

    def close(self) -> None:
        """Let the threads go; a request under way is not waited for."""
        self._normal.shutdown(wait=False, cancel_futures=True)
        self._emergency.shutdown(wait=False, cancel_futures=True)
        for client in self._made:
            client.client.close()

    # ------------------------------------------------------------ reading

    async def read(self, method: str, **params: Any) -> Row:  # noqa: ANN401 - what the method takes
        """Ask for something, again if need be; returns the answer's result.

        Raises:
            Unreachable: nothing that can be believed came back, or Bybit refused to say.
            Banned: this address is turned away.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unreachable),
            stop=tenacity.stop_after_attempt(3),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=2.0, jitter=0.2),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await self._read_once(method, params)
        raise AssertionError("tenacity returns or raises")

    async def pages(self, method: str, **params: Any) -> list[Row]:  # noqa: ANN401 - what the method takes
        """Everything a listing holds, page after page.

        Raises:
            Unreachable: a page could not be read: then nothing of the listing is told.
        """
        rows: list[Row] = []
        seen: set[str] = set()
        cursor = ""
        for _ in range(_MOST_PAGES):
            result = await self.read(method, **params, **({"cursor": cursor} if cursor else {}))
            try:
                rows += result.rows("list")
                cursor = result.text_or("nextPageCursor")
            except Malformed as error:
                raise Unreachable(f"{method}: {error}") from error
            if not cursor:
                return rows
            if cursor in seen:
                raise Unreachable(f"{method}: the page {cursor!r} was given twice")
            seen.add(cursor)
        raise Unreachable(f"{method}: more than {_MOST_PAGES} pages")

    async def _read_once(self, method: str, params: Mapping[str, Any]) -> Row:
        written = await self._send(method, params, reduces=False, patience=LONG_PATIENCE, pool=self._normal)
        if written.verdict is not Verdict.TAKEN:
            raise Unreachable(f"{method}: {written.code} {written.text}")
        return written.result

    # ------------------------------------------------------------ writing

    async def write(self, method: str, params: Mapping[str, Any], *, reduces: bool = False) -> Written:
        """Ask for a change, once. `reduces` says that it takes risk away: it then goes first and may wait longer."""
        if not self.clock.is_trusted:
            return not_sent("the time of Bybit's server is not known well enough to sign")
        pool = self._emergency if reduces else self._normal
        try:
            return await self._send(method, params, reduces=reduces, patience=patience_of(reduces=reduces), pool=pool)
        except Banned as error:
            return not_sent(str(error))

    async def _send(
        self, method: str, params: Mapping[str, Any], *, reduces: bool, patience: float, pool: ThreadPoolExecutor
    ) -> Written:
        category = str(params.get("category", ""))
        if not await self.budget.take(method, category, reduces=reduces, patience=patience, places=places_of(params)):
            return not_sent(f"{method} is over its rate budget")
        queued = time.monotonic()
        loop = asyncio.get_running_loop()
        written = await loop.run_in_executor(pool, self._call, method, dict(params), queued + patience)
        if written.code in codes.LIMITED:
            self.budget.refused(method, category, written.retry_after)
        elif written.code == codes.FORBIDDEN:
            self.budget.ban()
            log.error("bybit_banned", method=method, seconds=self.budget.banned_for)
        return written

    # ------------------------------------------------------------ in a thread

    def _client(self) -> _Client:
        client: _Client | None = getattr(self._clients, "client", None)
        if client is None:
            key = self._credentials
            client = _Client(
                self.clock,
                testnet=False,
                api_key=key.key.reveal() if key else None,
                api_secret=key.secret.reveal() if key else None,
                timeout=(self._settings.connect_timeout, self._settings.read_timeout),
                recv_window=self._settings.receive_window,
                max_retries=1,
                retry_codes=_NO_CODE,
                force_retry=False,
                log_requests=False,
                return_response_headers=True,
            )
            client.endpoint = self._settings.site.rest
            self._clients.client = client
            self._made.append(client)
        return client

    def _call(self, method: str, params: dict[str, Any], deadline: float) -> Written:
        """Send one request and say what came of it. Raises nothing."""
        if time.monotonic() > deadline:
            return not_sent(f"{method} waited too long for a thread")
        sent = time.monotonic_ns()
        try:
            answer, _, headers = getattr(self._client(), method)(**params)
        except InvalidRequestError as error:
            self.last_answer = time.monotonic()
            code = int(error.status_code)
            return Written(
                codes.verdict(code), True, code, str(error.message), NOTHING, seconds_until_reset(error.resp_headers)
            )
        except FailedRequestError as error:
            status = int(error.status_code)
            return Written(codes.http_verdict(status), True, status, f"HTTP {status}", NOTHING)
        except requests.exceptions.RequestException as error:
            left = not _never_left(error)
            verdict = Verdict.UNKNOWN if left else Verdict.REFUSED
            return Written(verdict, left, 0, type(error).__name__, NOTHING)
        except Exception as error:  # noqa: BLE001 - whatever pybit makes of an odd answer proves nothing
            return Written(Verdict.UNKNOWN, True, 0, f"{type(error).__name__} in pybit", NOTHING)
        self.last_answer = time.monotonic()
        return self._understood(method, answer, sent, headers)

    def _understood(self, method: str, answer: object, sent: int, headers: object) -> Written:
        try:
            row = Row(answer, method)
            if "time" in row:
                self.clock.sample(sent, row.integer("time") * MILLISECOND, time.monotonic_ns())
            result = row.raw("result")
            code = row.integer("retCode")
            body = Row(result if isinstance(result, Mapping) else {}, f"{method}.result")
            text, extra = row.text_or("retMsg"), row.raw("retExtInfo")
            return Written(codes.verdict(code), True, code, text, body, seconds_until_reset(headers), extra=extra)
        except Malformed as error:
            return Written(Verdict.UNKNOWN, True, 0, str(error), NOTHING)


def _never_left(error: requests.exceptions.RequestException) -> bool:
    """Whether a request is certain not to have left: there was no connection to send it on."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)
