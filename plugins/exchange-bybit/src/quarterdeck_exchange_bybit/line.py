"""Owns one WebSocket to Bybit: built, watched, and built anew whenever it can't be trusted to tell everything.

It lives on the event loop: what comes is heard, and what is sent leaves, without another thread in between. A
connection that answers pings and yet says nothing is as dead as one that is closed, so whoever knows that something
should have been heard says so (`suspect`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import aiohttp
import certifi
import structlog

from quarterdeck.plugin import KeepFrame
from quarterdeck_exchange_bybit.codec.frames import LONGEST_FRAME, Frame, Reply, Topic, read_frame
from quarterdeck_exchange_bybit.codec.row import Malformed
from quarterdeck_exchange_bybit.credentials import Credentials
from quarterdeck_exchange_bybit.server_clock import ServerClock

log = structlog.get_logger(__name__)

PING_SECONDS = 5.0

#: Without a single frame for this long, pongs included, the connection is gone.
SILENCE_SECONDS = 12.0

#: How long building, logging in and subscribing may take in all.
PATIENCE_SECONDS = 10.0

#: Waits between attempts: at random up to a bound that doubles.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0

#: How often the connection is looked at.
_LOOK_SECONDS = 0.5

#: Topics of one request; spot takes no more.
_TOPICS_AT_ONCE = 10

_LOGIN_SECONDS = 10

_PATHS = {"private": "/v5/private", "trade": "/v5/trade"}
_PING = json.dumps({"op": "ping"})

#: How long the other side may take to agree that it is over; a dead one never does.
_GOODBYE = aiohttp.ClientWSTimeout(ws_close=0.5)

_Wire = aiohttp.ClientWebSocketResponse


class Broken(Exception):
    """The connection can't be trusted any more."""


@cache
def _trust() -> ssl.SSLContext:
    """Whom to believe that it is Bybit: the same as for REST."""
    return ssl.create_default_context(cafile=certifi.where())


class Line:
    """One socket's life. `hear` gets every message of a topic; `up` and `down` tell when it can be trusted.

    `answered` gets the answers to what is sent by `send`, and `keep` every message as it came before it is heard,
    and those that can't be understood. Topics that are `welcome` are asked for, and may be refused. `doubt` is told of
    what can't be understood where the connection can be lived with all the same; else it is built anew.
    """

    def __init__(  # noqa: PLR0913 - where it leads, what it carries, who hears
        self,
        name: str,
        base: str,
        channel: str,
        topics: Sequence[str],
        clock: ServerClock,
        hear: Callable[[Topic], None],
        *,
        welcome: Sequence[str] = (),
        credentials: Credentials | None = None,
        answered: Callable[[Reply], None] = lambda _: None,
        up: Callable[[], None] = lambda: None,
        down: Callable[[str], None] = lambda _: None,
        keep: KeepFrame = lambda *_: None,
        doubt: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.topics = tuple(topics)
        self.is_up = False
        self.connections = 0
        """How often it has been built."""
        self.quarantined: list[str] = []
        """Messages that could not be understood, in few words each."""
        self.refused: dict[str, str] = {}
        """Welcome topics that were refused, with Bybit's reason."""
        self.last_frame: float = 0.0
        self.frames = 0
        """Heard so far, pongs and answers included."""
        self._url = base + _PATHS.get(channel, f"/v5/public/{channel}")
        self._welcome = tuple(welcome)
        self._clock = clock
        self._hear = hear
        self._credentials = credentials
        self._answered = answered
        self._up = up
        self._down = down
        self._keep = keep
        self._doubt = doubt
        self._wire: _Wire | None = None
        self._suspicion = ""
        self._random = random.Random()  # noqa: S311 - spreads attempts, keeps no secret

    def suspect(self, reason: str) -> None:
        """Something should have been heard and was not: build the connection anew."""
        self._suspicion = reason

    async def send(self, text: str) -> None:
        """Put a message on the wire; it leaves before anything else is done.

        Raises:
            Broken: the line is not up, so nothing has left.
            ConnectionError, RuntimeError: it may have left.
        """
        if self._wire is None or not self.is_up:
            raise Broken(f"the {self.name} line is down")
        await self._wire.send_str(text)

    async def renew(self, topics: Sequence[str]) -> None:
        """Have topics begin anew on the connection there is. Bybit refuses to subscribe to what is subscribed to.

        Raises:
            Broken, ConnectionError, RuntimeError: as `send`.
        """
        for operation in ("unsubscribe", "subscribe"):
            for at in range(0, len(topics), _TOPICS_AT_ONCE):
                some = list(topics[at : at + _TOPICS_AT_ONCE])
                await self.send(json.dumps({"op": operation, "req_id": some[0], "args": some}))

    async def run(self) -> None:
        """Keep the line up until cancelled."""
        bound = FIRST_WAIT
        while True:
            began = time.monotonic()
            try:
                await self._live()
            except asyncio.CancelledError:
                self.is_up = False
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, the answer is a new connection
                log.warning("line_down", line=self.name, reason=str(error) or type(error).__name__)
                self._fall(str(error) or type(error).__name__)
            if time.monotonic() - began > LONGEST_WAIT:
                bound = FIRST_WAIT
            await asyncio.sleep(self._random.uniform(0, bound))
            bound = min(2 * bound, LONGEST_WAIT)

    def _fall(self, reason: str) -> None:
        if self.is_up:
            self.is_up = False
            self._down(reason)

    async def _live(self) -> None:
        """Build the connection and watch it until it fails."""
        self._suspicion = ""
        patience = asyncio.timeout(PATIENCE_SECONDS)
        try:
            async with patience, self._connected() as wire:
                await self._log_in(wire)
                patience.reschedule(None)
                self.connections += 1
                self.is_up = True
                log.info("line_up", line=self.name, connection=self.connections)
                self._up()
                await self._watch(wire)
        except TimeoutError as error:
            raise Broken(f"not up after {PATIENCE_SECONDS:g} s") from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Wire]:
        """A connection, closed in the end."""
        async with aiohttp.ClientSession(trust_env=True) as session:
            trust = _trust() if self._url.startswith("wss:") else True
            async with session.ws_connect(
                self._url, timeout=_GOODBYE, max_msg_size=LONGEST_FRAME + 1, ssl=trust
            ) as wire:
                self._wire = wire
                try:
                    yield wire
                finally:
                    self._wire = None

    async def _log_in(self, wire: _Wire) -> None:
        if self._credentials is not None:
            await wire.send_str(_login(self._credentials, self._clock))
            reply = await self._reply(wire, "auth")
            if not reply.succeeded:
                raise Broken(f"auth was refused: {reply.code} {reply.text}")
        for at in range(0, len(self.topics), _TOPICS_AT_ONCE):
            await self._subscribe(wire, self.topics[at : at + _TOPICS_AT_ONCE])
        self.refused.clear()
        for topic in self._welcome:
            try:
                await self._subscribe(wire, [topic])
            except Broken as refusal:
                self.refused[topic] = str(refusal)

    async def _subscribe(self, wire: _Wire, topics: Sequence[str]) -> None:
        await wire.send_str(json.dumps({"op": "subscribe", "req_id": topics[0], "args": list(topics)}))
        reply = await self._reply(wire, "subscribe")
        if not reply.succeeded:
            raise Broken(f"subscribe was refused: {reply.code} {reply.text}")

    async def _reply(self, wire: _Wire, operation: str) -> Reply:
        """The answer to an operation; topics that come before are heard."""
        while True:
            frame = self._take(await _text(wire))
            if isinstance(frame, Reply) and frame.operation == operation:
                return frame

    async def _watch(self, wire: _Wire) -> None:
        """Hear all that comes until the connection can't be trusted any more."""
        reading = asyncio.create_task(self._read_all(wire))
        try:
            pinged = time.monotonic()
            while True:
                await asyncio.wait({reading}, timeout=_LOOK_SECONDS)
                if self._suspicion:
                    raise Broken(self._suspicion)
                if reading.done():
                    reading.result()
                now = time.monotonic()
                if now - self.last_frame > SILENCE_SECONDS:
                    raise Broken(f"no frame for {SILENCE_SECONDS:g} s")
                if now - pinged > PING_SECONDS:
                    pinged = now
                    await _within(SILENCE_SECONDS, wire.send_str(_PING))
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read_all(self, wire: _Wire) -> None:
        while True:
            frame = self._take(await _text(wire))
            if isinstance(frame, Reply):
                self._answered(frame)

    def _take(self, text: str) -> Frame | None:
        """Understand and hear one message; None where it can't be understood."""
        self.last_frame = time.monotonic()
        self.frames += 1
        try:
            frame = self._read(text)
            if isinstance(frame, Topic):
                self._hear(frame)
        except Malformed as error:
            self._quarantine(str(error))
        except Exception as error:
            log.exception("line_handler_raised", line=self.name)
            self._quarantine(f"{type(error).__name__}: {error}")
        else:
            return frame
        return None

    def _read(self, text: str) -> Frame:
        """What a frame is; kept, unless it is understood to be an answer."""
        frame: Frame | None = None
        try:
            frame = read_frame(text)
        finally:
            if not isinstance(frame, Reply):
                self._keep(self.name, text.encode())
        return frame

    def _quarantine(self, reason: str) -> None:
        """What can't be understood may have been a fill: whoever listens agrees with Bybit again."""
        if self._doubt is not None:
            self._doubt(reason)
            return
        log.error("line_quarantine", line=self.name, reason=reason)
        del self.quarantined[:-99]
        self.quarantined.append(reason)
        self.suspect(f"a message could not be understood: {reason}")


def _login(credentials: Credentials, clock: ServerClock) -> str:
    expires = clock.stamp() + _LOGIN_SECONDS * 1000
    signed = hmac.new(credentials.secret.reveal().encode(), f"GET/realtime{expires}".encode(), hashlib.sha256)
    return json.dumps({"op": "auth", "args": [credentials.key.reveal(), expires, signed.hexdigest()]})


async def _within(seconds: float, sending: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await sending
    except TimeoutError as error:
        raise Broken(f"nothing could be written for {seconds:g} s") from error


async def _text(wire: _Wire) -> str:
    """The next message. Raises Broken when there is none any more."""
    message = await wire.receive()
    if message.type is aiohttp.WSMsgType.TEXT:
        return str(message.data)
    if message.type is aiohttp.WSMsgType.ERROR:
        raise Broken(f"{type(message.data).__name__}: {message.data}")
    raise Broken("the connection was closed" if message.type is not aiohttp.WSMsgType.BINARY else "not a text")
