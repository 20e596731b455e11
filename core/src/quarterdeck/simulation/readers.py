"""Owns those who read a simulated daemon's stream of events: they lose the connection and go on, or begin anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import cast

from quarterdeck.daemon.deck import DaemonDeck
from quarterdeck.domain.errors import QuarterdeckError
from quarterdeck.rpc import names
from quarterdeck.rpc.limits import Limits
from quarterdeck.rpc.servicers.base import Context
from quarterdeck.rpc.servicers.events import EventServicer
from quarterdeck.rpc.tape import Tape
from quarterdeck.simulation.callers import Line
from quarterdeck.simulation.disk import Disk
from quarterdeck.testing.stream_laws import Transcript
from quarterdeck.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse

#: Seconds between two heartbeats of a stream.
HEARTBEAT = 600.0

#: Seconds until a reader that takes nothing is cut off, at the latest after twice as many.
PATIENCE = 600.0

#: What readers of some events only ask for.
TYPES = ("OrderFilled", "OrderSent", "OrderCanceled", "BotStateChanged", "PortfolioSnapshotTaken")


class Streams:
    """The streaming side of one daemon process."""

    def __init__(self, deck: DaemonDeck) -> None:
        self._deck = deck
        self._tape = Tape(deck.events, deck.journal_id, HEARTBEAT)
        self._tape.start()
        self._servicer = EventServicer(deck, self._tape, Limits(patience=PATIENCE))

    async def serve(self, request: StreamEventsRequest, wire: _Wire) -> None:
        """Send a stream until it ends."""
        request.parent = names.account(self._deck.account_id)
        try:
            await self._servicer.StreamEvents(request, cast("Context", wire))
        except QuarterdeckError as error:
            wire.end = error.reason
            wire.told = int(error.data.get("oldestSequence") or error.data.get("lastSequence") or 0)
        except Exception as error:  # noqa: BLE001 - a stream has nothing else to raise
            asyncio.get_running_loop().call_exception_handler({"message": "a stream failed", "exception": error})


def _at_once() -> float:
    return 0.0


class _Wire:
    """A stream's connection, as the servicer writes to it."""

    def __init__(self, transcript: Transcript, disk: Disk, pace: Callable[[], float]) -> None:
        self.end = ""
        """Why the daemon ended the stream."""
        self.told = 0
        """The position it named then."""
        self._transcript = transcript
        self._disk = disk
        self._pace = pace

    async def write(self, message: bytes) -> None:
        """Take one message, as fast as the reader is."""
        seconds = self._pace()
        if seconds:
            await asyncio.sleep(seconds)
        self._transcript.received(StreamEventsResponse.FromString(message), self._disk.head)


class Reader:
    """One who reads, and comes back."""

    def __init__(self, line: Line, disk: Disk, dice: Random, slow: float) -> None:
        """`slow` is how likely a connection is slow, and a tenth as likely each message is never taken."""
        wanted = frozenset(dice.sample(TYPES, 2)) if dice.random() < 0.4 else frozenset[str]()
        self.transcript = Transcript(wanted)
        self.complaints: list[str] = []
        """What the daemon said when it ended a stream, and is not so."""
        self._line = line
        self._disk = disk
        self._dice = dice
        self._slow = slow
        self._oldest = 0

    async def live(self) -> None:
        """Read as long as the run goes on."""
        while self._line.is_trading:
            process, streams = self._line.process, self._line.streams
            if streams is None or process is None or not process.is_alive:
                await asyncio.sleep(1 + 5 * self._dice.random())
                continue
            wire = _Wire(self.transcript, self._disk, self._pace())
            reading = self._line.loop.start(process, streams.serve(self._request(), wire))
            await asyncio.wait([reading], timeout=self._dice.expovariate(1 / 1800))
            reading.cancel()
            self._hear(wire)
            await asyncio.sleep(1)

    def _pace(self) -> Callable[[], float]:
        dice, slow = self._dice, self._slow
        if not slow or dice.random() >= slow:
            return _at_once
        return lambda: 10 * PATIENCE if dice.random() < slow / 10 else dice.random() * PATIENCE / 2

    def _hear(self, wire: _Wire) -> None:
        """Take the daemon's word for why a stream was ended, if it is true."""
        connection = self.transcript.connections[-1]
        if wire.end == "POSITION_COMPACTED":
            if connection.after + 1 >= wire.told:
                self.complaints.append(f"{connection.after} was refused though the journal begins with {wire.told}")
            self._oldest = wire.told
        elif wire.end == "SLOW_READER" and not self._is_all(connection.reached, wire.told):
            self.complaints.append(f"a slow reader was told of {wire.told}, and had {connection.reached}")

    def _is_all(self, reached: int, told: int) -> bool:
        """Whether a reader that has reached one position has all up to another."""
        wanted = self.transcript.wanted
        missed = {self._disk.type_of(place) for place in range(reached + 1, told + 1)}
        return told >= reached and (not missed or (bool(wanted) and not missed & wanted))

    def _request(self) -> StreamEventsRequest:
        transcript, dice = self.transcript, self._dice
        request = StreamEventsRequest(
            event_types=sorted(transcript.wanted), batch_size=dice.choice((0, 1, 10, 100)), after_sequence=0
        )
        if not transcript.connections:
            transcript.opened(0)
        elif self._oldest:  # what followed is forgotten: it takes up what is kept
            transcript.opened(self._oldest - 1)
            self._oldest = 0
        elif dice.random() < 0.8:
            transcript.opened()
            messages = [one for connection in transcript.connections for one in connection.messages]
            if messages and transcript.connections[-1].after == messages[-1].sequence and dice.random() < 0.5:
                request.resume_token = messages[-1].token
                return request
        else:
            transcript.opened(dice.randint(0, transcript.connections[-1].reached))
        request.after_sequence = transcript.connections[-1].after
        return request
