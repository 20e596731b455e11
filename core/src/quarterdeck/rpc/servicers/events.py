"""Owns EventService: everything that happened, as a stream and as a list, from the tape or the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from quarterdeck.domain.errors import CallerError, InvalidRequest, Unavailable
from quarterdeck.rpc import pages
from quarterdeck.rpc.convert.envelope import EVENT_TYPES
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.limits import BATCH_BYTES, BATCH_EVENTS, PAGE, Limits
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.rpc.stall import Stall, slow_reader
from quarterdeck.rpc.tape import Frame, Tape, length_tag, mismatch, varint, with_previous
from quarterdeck.v1.event_service_pb2 import ListEventsRequest, ListEventsResponse, StreamEventsRequest

#: Events read from the journal at once by a list that looks for some types only.
READ_AT_ONCE = 512

_ENVELOPES = length_tag(ListEventsResponse.DESCRIPTOR.fields_by_name["envelopes"].number)

Write = Callable[[bytes], Awaitable[None]]


class _Wish(NamedTuple):
    """What a reader asked for: events of these types, or all if there are none, so many in a message."""

    types: frozenset[str]
    at_once: int

    def choose(self, frames: Sequence[Frame], previous: int) -> Sequence[Frame]:
        """Those that are wanted; where that is not all, each names the one before it."""
        if not self.types:
            return frames
        chosen = []
        for frame in frames:
            if frame.type in self.types:
                chosen.append(frame.after(previous))
                previous = frame.sequence
        return chosen


class EventServicer(Servicer):
    """The events. What it answers is put together from the journal's bytes, so it is serialized already."""

    def __init__(self, deck: Deck, tape: Tape, limits: Limits) -> None:
        super().__init__(deck)
        self._tape = tape
        self._limits = limits

    # ------------------------------------------------------------ stream

    async def StreamEvents(self, request: StreamEventsRequest, context: Context) -> None:  # noqa: N802 - the contract's name
        """Send every event after a position, and go on as they are recorded."""
        wanted = _wanted(request.event_types)
        position = self._start(request)
        at_once = min(request.batch_size, BATCH_EVENTS)
        with self._tape.reading(), Stall(self._limits.patience) as stall:
            await self._send(position, _Wish(wanted, at_once), context.write, stall)

    def _start(self, request: StreamEventsRequest) -> int:
        """The position to send from."""
        events, journal_id = self._deck.events, self._deck.journal_id
        if request.journal_id and request.journal_id != journal_id:
            raise mismatch(journal_id)
        match request.WhichOneof("start"):
            case "resume_token":
                position = self._tape.tokens.read(request.resume_token)
            case "after_sequence":
                position = request.after_sequence
            case _:
                return events.head
        _check_reached(position, events.head)
        _check_kept(position, events.oldest)
        return position

    async def _send(self, position: int, wish: _Wish, write: Write, stall: Stall) -> None:
        tape = self._tape
        previous = stall.position = position  # `previous` is of the message before, for readers of some types only
        page = max(PAGE, wish.at_once)
        nearest = tape.head - position
        is_idle, beats = True, tape.beats - 1
        while True:
            frames = tape.after(position, page)
            if frames is None:
                frames = await tape.read(position, page)
                self._check_next(position, frames)
            if frames:
                wanted = wish.choose(frames, previous)
                if wanted:
                    await self._write(wanted, wish, write, stall)
                    previous, is_idle = wanted[-1].sequence, False
                stall.position = position = frames[-1].sequence
                behind = tape.head - position
                nearest = min(nearest, behind)
                if behind - nearest > self._limits.lag:
                    raise slow_reader(f"the reader fell {behind} events behind", position)
            if tape.beats != beats:
                if is_idle:
                    message = tape.progress(position)
                    stall.is_writing = True
                    await write(with_previous(message, previous) if wish.types else message)
                    stall.is_writing = False
                    previous = position
                is_idle, beats = True, tape.beats
            if not frames:
                if tape.bell.is_closed:
                    raise Unavailable("NOT_READY", "the daemon is stopping", {"state": "STOPPING"})
                await tape.bell.wait()

    async def _write(self, frames: Sequence[Frame], wish: _Wish, write: Write, stall: Stall) -> None:
        stall.is_writing = True
        if wish.at_once <= 1:
            for frame in frames:
                await write(frame.message)
                stall.written += 1
                stall.position = frame.sequence
        else:
            for run in _runs(frames, wish.at_once):
                await write(self._tape.batch(run, shared=not wish.types) if len(run) > 1 else run[0].message)
                stall.written += 1
                stall.position = run[-1].sequence
        stall.is_writing = False

    def _check_next(self, position: int, frames: Sequence[Frame]) -> None:
        """What was read must be what follows the position."""
        if not frames or frames[0].sequence != position + 1:
            _check_kept(position, self._deck.events.oldest)
            raise RuntimeError(f"the journal has no event {position + 1}, and begins with {self._deck.events.oldest}")

    # ------------------------------------------------------------ list

    async def ListEvents(self, request: ListEventsRequest, _context: Context) -> bytes:  # noqa: N802 - the contract's name
        """A page of what has been recorded, oldest first."""
        wanted = _wanted(request.event_types)
        token = pages.read_token(request)
        head = self._deck.events.head
        if token is None:
            position, last = request.after_sequence, head
            _check_reached(position, head)
            _check_kept(position, self._deck.events.oldest)
        else:
            position, last = token.number, token.sequence
            if last > head:  # a token of another journal
                raise pages.mismatch()
        found, position = await self._find(position, last, wanted, pages.size_of(request))
        more = pages.make_token(request, pages.Token(last, str(position))) if position < last else ""
        rest = ListEventsResponse(next_page_token=more, snapshot_sequence=last).SerializeToString()
        return b"".join([part for body in found for part in (_ENVELOPES, varint(len(body)), body)]) + rest

    async def _find(self, position: int, last: int, wanted: frozenset[str], limit: int) -> tuple[list[bytes], int]:
        """At most `limit` wanted events after a position and not after `last`, and the position looked at last."""
        found: list[bytes] = []
        while position < last and len(found) < limit:
            at_once = READ_AT_ONCE if wanted else limit - len(found)
            events = await self._deck.events.read(position, at_once)
            _check_kept(position, self._deck.events.oldest)
            if not events:
                return found, last
            for event in events:
                if event.sequence > last:
                    return found, last
                position = event.sequence
                if not wanted or event.type in wanted:
                    found.append(event.body)
                    if len(found) == limit:
                        break
        return found, position


def _wanted(event_types: Sequence[str]) -> frozenset[str]:
    for place, name in enumerate(event_types):
        if name not in EVENT_TYPES:
            raise InvalidRequest(f"event_types[{place}]", f"there is no event {name!r}")
    return frozenset(event_types)


def _check_reached(position: int, head: int) -> None:
    if position > head:
        text = f"the journal has not reached position {position}: it is at {head}"
        raise CallerError("POSITION_AHEAD", text, {"headSequence": str(head)})


def _check_kept(position: int, oldest: int) -> None:
    if position + 1 < oldest:
        text = f"the journal does not keep what followed position {position}: it begins with {oldest}"
        raise CallerError("POSITION_COMPACTED", text, {"oldestSequence": str(oldest)})


def _runs(frames: Sequence[Frame], most: int) -> Iterator[Sequence[Frame]]:
    """The frames in runs, each of which fits into one message."""
    begin = weight = 0
    for place, frame in enumerate(frames):
        size = len(frame.message)
        weight += size
        if place > begin and (weight > BATCH_BYTES or place - begin == most):
            yield frames[begin:place]
            begin, weight = place, size
    yield frames[begin:]
