"""Owns the newest events as the messages that streams send: each is made once, however many read it.

A `StreamEventsResponse` is put together from the bytes of its parts, because the envelope is bytes already: the
journal's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import structlog

from quarterdeck.domain.errors import InvalidRequest, RefusedByState
from quarterdeck.rpc.bell import Bell
from quarterdeck.rpc.facade import EventLog, LoggedEvent
from quarterdeck.v1.event_service_pb2 import Batch, Progress, StreamEventsResponse

#: Messages kept ready; a reader further behind reads the journal at its own pace.
KEPT = 8_192

#: Batches kept for readers who come to the same place a moment later.
_BATCHES_KEPT = 16

log = structlog.get_logger(__name__)


class Frame(NamedTuple):
    """One event as a stream sends it: `message` is the serialized response.

    Without `prev_sequence`, as `previous` says, unless it was made by `after`.
    """

    sequence: int
    type: str
    message: bytes
    previous: int = 0

    def after(self, previous: int) -> Frame:
        """The same for a stream whose message before this one was that of `previous`."""
        return Frame(self.sequence, self.type, with_previous(self.message, previous), previous)


class Tape:
    """Follows the event log. One task reads it; every stream reads from here.

    Every `heartbeat` seconds the streams are woken, so that those with nothing to send can say so.
    """

    def __init__(self, events: EventLog, journal_id: str, heartbeat: float) -> None:
        self._events = events
        self._heartbeat = heartbeat
        self._frames: list[Frame] = []
        self._batches: dict[tuple[int, int], bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.tokens = Tokens(journal_id)
        self.bell = Bell()
        self.head = events.head
        """The last event that streams may know of."""
        self._readers = 0
        self.beats = 0
        """How many heartbeats there were."""

    def start(self) -> None:
        """Begin to follow the log."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._follow(), name="tape")
        self._task.add_done_callback(self._ended)
        self._timer = loop.call_later(self._heartbeat, self._beat)

    async def stop(self) -> None:
        """Follow to the last event, then stop and let the streams end with it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat):
                while self.head < self._events.head and not self.bell.is_closed:
                    await self.bell.wait()
        self.bell.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _beat(self) -> None:
        self.beats += 1
        self.bell.ring()
        if not self.bell.is_closed:
            self._timer = asyncio.get_running_loop().call_later(self._heartbeat, self._beat)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error("the event streams can't go on", exc_info=task.exception())
        self.bell.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What a stream does. While nobody reads no messages are made; who comes later begins with the journal."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    def after(self, sequence: int, limit: int) -> Sequence[Frame] | None:
        """At most `limit` frames after a sequence; None if what comes next is not kept here any more."""
        behind = self.head - sequence
        if behind <= 0:
            return ()
        start = len(self._frames) - behind
        return None if start < 0 else self._frames[start : start + limit]

    async def read(self, after: int, limit: int) -> Sequence[Frame]:
        """At most `limit` frames after a sequence, from the journal."""
        return [self._frame(event) for event in await self._events.read(after, limit) if event.sequence <= self.head]

    def progress(self, sequence: int) -> bytes:
        """The message that nothing more has happened up to a sequence, still without its `prev_sequence`."""
        hashed = self._events.hash_at(sequence)
        progress = Progress(sequence=sequence, head_sequence=self.head, head_hash=hashed)
        return StreamEventsResponse(progress=progress, resume_token=self.tokens.make(sequence)).SerializeToString()

    def batch(self, frames: Sequence[Frame], *, shared: bool) -> bytes:
        """One message with all of these frames. If they are `shared`, as they are in the journal, it is made once."""
        place = frames[0].sequence, frames[-1].sequence
        message = self._batches.get(place) if shared else None
        if message is None:
            items = b"".join([part for each in frames for part in (_ITEM, varint(len(each.message)), each.message)])
            token = self.tokens.make(place[1])
            whole = b"".join((_BATCH, varint(len(items)), items, _TOKEN, varint(len(token)), token))
            message = with_previous(whole, frames[0].previous)
            if shared:
                if len(self._batches) >= _BATCHES_KEPT:
                    self._batches.clear()
                self._batches[place] = message
        return message

    async def _follow(self) -> None:
        while True:
            await self._events.wait_beyond(self.head)
            self._extend(self._events.recent(self.head))
            self.bell.ring()

    def _extend(self, news: Sequence[LoggedEvent] | None) -> None:
        """Take in what is new. If that is more than is in memory, whoever reads has to begin with the journal."""
        frames = self._frames
        self._batches.clear()
        if not self._readers or news is None:
            frames.clear()
        else:
            frames.extend([self._frame(event) for event in news])
            if len(frames) > 2 * KEPT:  # trimmed by halves, so that slices from the end stay cheap
                del frames[:-KEPT]
        self.head = news[-1].sequence if news else self._events.head

    def _frame(self, event: LoggedEvent) -> Frame:
        body, token = event.body, self.tokens.make(event.sequence)
        message = b"".join((_ENVELOPE, varint(len(body)), body, _TOKEN, varint(len(token)), token))
        return Frame(event.sequence, event.type, message)


class Tokens:
    """Resume tokens: opaque to callers, they name the journal as well as the place in it."""

    def __init__(self, journal_id: str) -> None:
        self._journal_id = journal_id
        self._prefix = f"1:{journal_id}:".encode()

    def make(self, sequence: int) -> bytes:
        """The token of a place."""
        return b"%b%d" % (self._prefix, sequence)

    def read(self, token: bytes) -> int:
        """The place a token names.

        Raises:
            RefusedByState: it belongs to another journal.
            InvalidRequest: it is no token of ours.
        """
        version, _, rest = token.partition(b":")
        journal_id, _, place = rest.rpartition(b":")
        if version != b"1" or not journal_id or not place.isdigit():
            raise InvalidRequest("resume_token", "is none that this service gave out")
        if not token.startswith(self._prefix):
            raise mismatch(self._journal_id)
        return int(place)


def mismatch(journal_id: str) -> RefusedByState:
    """What refuses a place in another journal than this one."""
    text = f"the position belongs to another journal; this one is {journal_id}"
    return RefusedByState("JOURNAL_MISMATCH", text, {"journalId": journal_id})


def varint(number: int) -> bytes:
    """A length or a positive number as protobuf writes it."""
    if number < 0x80:
        return bytes((number,))
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def length_tag(number: int) -> bytes:
    """What stands before a field of bytes, text or a message."""
    return varint(number << 3 | 2)


def number_tag(number: int) -> bytes:
    """What stands before a field that is a whole number."""
    return varint(number << 3)


def _field(name: str) -> int:
    return StreamEventsResponse.DESCRIPTOR.fields_by_name[name].number


_ENVELOPE = length_tag(_field("envelope"))
_BATCH = length_tag(_field("batch"))
_ITEM = length_tag(Batch.DESCRIPTOR.fields_by_name["messages"].number)
_TOKEN = length_tag(_field("resume_token"))
_PREVIOUS = number_tag(_field("prev_sequence"))


def with_previous(message: bytes, sequence: int) -> bytes:
    """The message with its `prev_sequence`."""
    return message + _PREVIOUS + varint(sequence) if sequence else message
