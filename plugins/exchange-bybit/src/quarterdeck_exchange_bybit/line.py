"""Owns one WebSocket to Bybit: built, watched, and built anew whenever it can't be trusted to tell everything.

pybit carries the frames; it does not decide when a socket is alive. A connection that answers pings and yet says
nothing is as dead as one that is closed, so whoever knows that something should have been heard says so (`suspect`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from pybit.unified_trading import WebSocket

from quarterdeck.plugin import KeepFrame
from quarterdeck_exchange_bybit.codec.frames import Frame, Reply, Topic, read_frame
from quarterdeck_exchange_bybit.codec.row import Malformed
from quarterdeck_exchange_bybit.credentials import Credentials
from quarterdeck_exchange_bybit.server_clock import ServerClock

log = structlog.get_logger(__name__)

PING_SECONDS = 5
PONG_SECONDS = 4

#: Without a single frame for this long, pongs included, the connection is gone.
SILENCE_SECONDS = 12.0

#: How long building, logging in and subscribing may take in all.
PATIENCE_SECONDS = 10.0

#: Waits between attempts: at random up to a bound that doubles.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0

#: Topics of one request; spot takes no more.
_TOPICS_AT_ONCE = 10

_LOGIN_SECONDS = 10


class Broken(Exception):
    """The connection can't be trusted any more."""


class _Wire(WebSocket):  # type: ignore[misc]  # pybit has no types
    """pybit's socket, which hands on what comes as it came, and neither reconnects nor raises in its thread."""

    def __init__(
        self,
        base: str,
        channel: str,
        credentials: Credentials | None,
        clock: ServerClock,
        sink: Callable[[str], None],
    ) -> None:
        self._base = base
        self._clock = clock
        self._sink = sink
        self.failure: object = None
        super().__init__(
            channel_type=channel,
            testnet=False,
            api_key=credentials.key.reveal() if credentials else None,
            api_secret=credentials.secret.reveal() if credentials else None,
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            retries=2,  # one attempt: with 1, pybit raises even when it has connected
            restart_on_error=False,
        )

    def _connect(self, url: str) -> None:
        super()._connect(self._base + url[url.index("/v5/") :])
        app = self.ws.sock  # the library forgets the socket of a lost connection without closing it
        self.socket = app.sock if app is not None else None

    def _on_message(self, message: str) -> None:
        self._sink(message)

    def _on_error(self, error: object) -> None:
        self.failure = error

    def _auth(self) -> None:
        expires = self._clock.stamp() + _LOGIN_SECONDS * 1000
        signed = _signature(self.api_secret, f"GET/realtime{expires}")
        self.ws.send(json.dumps({"op": "auth", "args": [self.api_key, expires, signed]}))

    def ask(self, topics: Sequence[str]) -> None:
        """Subscribe."""
        for at in range(0, len(topics), _TOPICS_AT_ONCE):
            some = list(topics[at : at + _TOPICS_AT_ONCE])
            self.ws.send(json.dumps({"op": "subscribe", "req_id": f"s{at}", "args": some}))


def _signature(secret: str, payload: str) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


class Line:
    """One socket's life. `hear` gets every message of a topic; `up` and `down` tell when it can be trusted.

    `keep` gets the same messages before, as they came, and those that can't be understood.
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
        credentials: Credentials | None = None,
        up: Callable[[], None] = lambda: None,
        down: Callable[[str], None] = lambda _: None,
        keep: KeepFrame = lambda *_: None,
    ) -> None:
        self.name = name
        self.topics = tuple(topics)
        self.is_up = False
        self.connections = 0
        """How often it has been built."""
        self.quarantined: list[str] = []
        """Messages that could not be understood, in few words each."""
        self.last_frame: float = 0.0
        self.frames = 0
        """Heard so far, pongs and answers included."""
        self._base = base
        self._channel = channel
        self._clock = clock
        self._hear = hear
        self._credentials = credentials
        self._up = up
        self._down = down
        self._keep = keep
        self._generation = 0
        self._suspicion = ""
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()
        self._random = random.Random()  # noqa: S311 - spreads attempts, keeps no secret

    def suspect(self, reason: str) -> None:
        """Something should have been heard and was not: build the connection anew."""
        self._suspicion = reason

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
        self._generation += 1
        self._suspicion = ""
        self._replies = asyncio.Queue()
        loop = asyncio.get_running_loop()
        building = loop.run_in_executor(None, self._build, self._generation, loop)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                wire = await asyncio.shield(building)
                await self._log_in(wire)
            self.connections += 1
            self.is_up = True
            log.info("line_up", line=self.name, connection=self.connections)
            self._up()
            await self._watch(wire)
        except TimeoutError as error:
            raise Broken(f"not up after {PATIENCE_SECONDS:g} s") from error
        finally:
            self._generation += 1  # what still comes from the old connection is not heard
            building.add_done_callback(_end_built)

    def _build(self, generation: int, loop: asyncio.AbstractEventLoop) -> _Wire:
        def sink(text: str) -> None:  # in pybit's thread: hands on, and nothing else
            with suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(self._take, generation, text)

        return _Wire(self._base, self._channel, self._credentials, self._clock, sink)

    async def _log_in(self, wire: _Wire) -> None:
        if self._credentials is not None:
            await self._expect("auth")
        await asyncio.to_thread(wire.ask, self.topics)
        for _ in range(0, len(self.topics), _TOPICS_AT_ONCE):
            await self._expect("subscribe")

    async def _expect(self, operation: str) -> None:
        while (reply := await self._replies.get()).operation != operation:
            pass
        if not reply.succeeded:
            raise Broken(f"{operation} was refused: {reply.code} {reply.text}")

    async def _watch(self, wire: _Wire) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self._suspicion:
                raise Broken(self._suspicion)
            if wire.failure is not None:
                raise Broken(f"{type(wire.failure).__name__}: {wire.failure}")
            if not wire.is_connected():
                raise Broken("the connection was closed")
            if time.monotonic() - self.last_frame > SILENCE_SECONDS:
                raise Broken(f"no frame for {SILENCE_SECONDS:g} s")

    def _take(self, generation: int, text: str) -> None:
        if generation != self._generation:
            return
        self.last_frame = time.monotonic()
        self.frames += 1
        try:
            frame = self._read(text)
            if isinstance(frame, Reply):
                self._replies.put_nowait(frame)
            else:
                self._hear(frame)
        except Malformed as error:
            self._quarantine(str(error))
        except Exception as error:
            log.exception("line_handler_raised", line=self.name)
            self._quarantine(f"{type(error).__name__}: {error}")

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
        log.error("line_quarantine", line=self.name, reason=reason)
        del self.quarantined[:-99]
        self.quarantined.append(reason)
        self.suspect(f"a message could not be understood: {reason}")


def _end_built(building: asyncio.Future[_Wire]) -> None:
    """Close a connection as soon as it has been built. pybit's own `exit` may wait for ever."""
    if building.cancelled() or building.exception() is not None:
        return
    wire = building.result()
    wire.exited = True
    threading.Thread(target=_close, args=(wire,), name="bybit-close", daemon=True).start()


def _close(wire: Any) -> None:  # noqa: ANN401 - pybit's class has no types
    with suppress(Exception):  # it is over either way
        wire._stop_custom_ping_timer()  # noqa: SLF001 - else its thread lives on
        wire.ws.close()
    with suppress(Exception):
        if wire.socket is not None:
            wire.socket.close()
