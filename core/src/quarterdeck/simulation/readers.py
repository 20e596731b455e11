"""Owns those who read a simulated daemon's stream of events: they lose the connection and go on, or begin anew."""

from __future__ import annotations

import asyncio
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

#: Seconds between two heartbeats of a stream, and until a reader that takes nothing is cut off.
HEARTBEAT = 600.0

#: What readers of some events only ask for.
TYPES = ("OrderFilled", "OrderSent", "OrderCanceled", "BotStateChanged", "PortfolioSnapshotTaken")


class Streams:
    """The streaming side of one daemon process."""

    def __init__(self, deck: DaemonDeck) -> None:
        self._deck = deck
        self._tape = Tape(deck.events, deck.journal_id, HEARTBEAT)
        self._tape.start()
        self._servicer = EventServicer(deck, self._tape, Limits(patience=HEARTBEAT))

    async def serve(self, request: StreamEventsRequest, wire: _Wire) -> None:
        """Send a stream until it ends."""
        request.parent = names.account(self._deck.account_id)
        try:
            await self._servicer.StreamEvents(request, cast("Context", wire))
        except QuarterdeckError as error:
            wire.errors.append(error.reason)
        except Exception as error:  # noqa: BLE001 - a stream has nothing else to raise
            asyncio.get_running_loop().call_exception_handler({"message": "a stream failed", "exception": error})


class _Wire:
    """A stream's connection, as the servicer writes to it."""

    def __init__(self, transcript: Transcript, disk: Disk) -> None:
        self.errors: list[str] = []
        self._transcript = transcript
        self._disk = disk

    async def write(self, message: bytes) -> None:
        """Take one message; a reader is as fast as the daemon here."""
        self._transcript.received(StreamEventsResponse.FromString(message), self._disk.head)


class Reader:
    """One who reads, and comes back."""

    def __init__(self, line: Line, disk: Disk, dice: Random) -> None:
        wanted = frozenset(dice.sample(TYPES, 2)) if dice.random() < 0.4 else frozenset[str]()
        self.transcript = Transcript(wanted)
        self._line = line
        self._disk = disk
        self._dice = dice

    async def live(self) -> None:
        """Read as long as the run goes on."""
        while self._line.is_trading:
            process, streams = self._line.process, self._line.streams
            if streams is None or process is None or not process.is_alive:
                await asyncio.sleep(1 + 5 * self._dice.random())
                continue
            reading = self._line.loop.start(process, streams.serve(self._request(), _Wire(self.transcript, self._disk)))
            await asyncio.sleep(self._dice.expovariate(1 / 1800))
            reading.cancel()

    def _request(self) -> StreamEventsRequest:
        transcript, dice = self.transcript, self._dice
        request = StreamEventsRequest(
            event_types=sorted(transcript.wanted), batch_size=dice.choice((0, 1, 10, 100)), after_sequence=0
        )
        if not transcript.connections:
            transcript.opened(0)
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
