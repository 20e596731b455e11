"""Owns a server over a real journal, for tests that stop it, start it again, and forget its oldest events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import grpc
from sqlalchemy import delete

from core.tests.rpc.conftest import LIMITS, LoopThread
from core.tests.rpc.deck import START, FakeDeck
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.journal import Entry, Journal
from quarterdeck.daemon.journal.schema import event
from quarterdeck.engine import events as e
from quarterdeck.rpc.convert.envelope import encode, event_type
from quarterdeck.rpc.limits import Limits, Pace
from quarterdeck.rpc.server import Server
from quarterdeck.v1.event_service_pb2_grpc import EventServiceStub

PACE = Pace(heartbeat=0.005, market=0.01, farewell=0.2)

_CHANNEL = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]


class Station:
    """A journal in a folder, and a server that streams it. Its events come by turns of four kinds."""

    def __init__(self, folder: Path, loop: LoopThread, limits: Limits = LIMITS) -> None:
        self.folder = folder
        self._loop = loop
        self._limits = limits
        self.open()

    def open(self) -> None:
        """Open the journal, and serve it."""
        self.journal = Journal.open(f"sqlite:///{self.folder / 'journal.db'}", "main", sync=False)
        self.log = EventLog(self.journal)
        self.server = self._loop.run(self._serve())

    async def _serve(self) -> Server:
        deck = FakeDeck()
        deck.journal_id, deck.events = str(self.journal.journal_id), self.log  # type: ignore[assignment]  # the real one
        server = Server([deck], PACE, self._limits)
        self.address = await server.start(f"unix:{self.folder / 'socket'}")
        return server

    def close(self) -> None:
        """Stop serving, and close the journal."""
        self.silence()
        self.journal.close()

    def silence(self) -> None:
        """Stop serving; the journal stays."""
        self._loop.run(self.server.stop())

    def restart(self) -> None:
        """Another process takes over the journal."""
        self.close()
        self.open()

    def append(self, count: int, size: int = 0) -> None:
        """Record so many events, in one commit; each with so many bytes of text."""
        self._loop.run(self._append(count, size))

    async def _append(self, count: int, size: int) -> None:
        entries = [_entry(self.log.head + number, size) for number in range(1, count + 1)]
        await self.journal.append(entries)
        self.log.extend(entries)

    def forget(self, oldest: int) -> None:
        """Compact: drop what is before a sequence."""
        gone = delete(event).where(event.c.sequence < oldest)
        self.journal.write(self.journal.head, lambda rows: rows.execute(gone)).result(10)
        self.journal.oldest = oldest

    @contextmanager
    def stub(self) -> Iterator[EventServiceStub]:
        """A client with a connection of its own, which takes in little more than it reads."""
        with grpc.insecure_channel(self.address, _CHANNEL) as channel:
            yield EventServiceStub(channel)


def _entry(sequence: int, size: int) -> Entry:
    about = f"order-{sequence}"
    what: tuple[e.Event, ...] = (
        e.OrderAcked(about, "x"),
        e.OrderTriggered(about),
        e.BalanceAdjusted("USDT", Decimal(1), Decimal(sequence), "x" * size),
        e.OrderCancelRequested(about),
    )
    recorded = e.Recorded(sequence, START + sequence, what[sequence % 4])
    return Entry(sequence, recorded.time, event_type(recorded.event), encode(recorded, "main"))
