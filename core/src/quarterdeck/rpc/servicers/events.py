"""Owns EventService: everything that happened, as a stream and as a list, from the tape or the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from quarterdeck.domain.errors import CallerError, InvalidRequest, Unavailable
from quarterdeck.rpc import names, pages
from quarterdeck.rpc.convert.envelope import EVENT_TYPES
from quarterdeck.rpc.facade import Deck, LoggedEvent
from quarterdeck.rpc.servicers.base import Context, Servicer
from quarterdeck.rpc.stall import Stall
from quarterdeck.rpc.tape import Frame, Tape, length_tag, varint, with_previous
from quarterdeck.v1.event_service_pb2 import ListEventsRequest, ListEventsResponse, StreamEventsRequest

#: Events read from the journal at once: by a stream that is behind, and by a list that looks for some types only.
READ_AT_ONCE = 512

_ENVELOPES = length_tag(ListEventsResponse.DESCRIPTOR.fields_by_name["envelopes"].number)

Write = Callable[[bytes], Awaitable[None]]


class EventServicer(Servicer):
    """The events. What it answers is put together from the journal's bytes, so it is serialized already.

    A stream is ended whose reader takes nothing for `patience` seconds.
    """

    def __init__(self, deck: Deck, tape: Tape, patience: float) -> None:
        super().__init__(deck)
        self._tape = tape
        self._patience = patience

    # ------------------------------------------------------------ stream

    async def StreamEvents(self, request: StreamEventsRequest, context: Context) -> None:  # noqa: N802 - the contract's name
        """Send every event after a position, and go on as they are recorded."""
        names.check_account(request.parent, self._account, "parent")
        wanted = _wanted(request.event_types)
        position = self._start(request)
        with self._tape.reading(), Stall(self._patience) as stall:
            await self._send(position, wanted, context.write, stall)

    def _start(self, request: StreamEventsRequest) -> int:
        """The position to send from."""
        head = self._deck.events.head
        match request.WhichOneof("start"):
            case "resume_token":
                position = self._tape.tokens.read(request.resume_token)
            case "after_sequence":
                position = request.after_sequence
            case _:
                return head
        _check_reached(position, head)
        return position

    async def _send(self, position: int, wanted: frozenset[str], write: Write, stall: Stall) -> None:
        tape = self._tape
        previous = position  # of the message before, for readers of some types only
        is_idle, beats = True, tape.beats - 1
        while True:
            frames = tape.after(position)
            if frames is None:
                frames = await tape.read(position, READ_AT_ONCE)
                _check_kept(position, frames)
            if frames:
                stall.is_writing = True
                if not wanted:
                    for frame in frames:
                        await write(frame.message)
                        stall.written += 1
                    is_idle = False
                else:
                    for frame in frames:
                        if frame.type in wanted:
                            await write(with_previous(frame.message, previous))
                            stall.written += 1
                            previous, is_idle = frame.sequence, False
                stall.is_writing = False
                position = frames[-1].sequence
                continue
            if tape.beats != beats:
                if is_idle:
                    message = tape.progress(position)
                    stall.is_writing = True
                    await write(with_previous(message, previous) if wanted else message)
                    stall.is_writing = False
                    previous = position
                is_idle, beats = True, tape.beats
            if tape.bell.is_closed:
                raise Unavailable("NOT_READY", "the daemon is stopping", {"state": "STOPPING"})
            await tape.bell.wait()

    # ------------------------------------------------------------ list

    async def ListEvents(self, request: ListEventsRequest, _context: Context) -> bytes:  # noqa: N802 - the contract's name
        """A page of what has been recorded, oldest first."""
        names.check_account(request.parent, self._account, "parent")
        wanted = _wanted(request.event_types)
        token = pages.read_token(request)
        head = self._deck.events.head
        if token is None:
            position, last = request.after_sequence, head
            _check_reached(position, head)
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
            _check_kept(position, events)
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


def _check_kept(position: int, found: Sequence[LoggedEvent | Frame]) -> None:
    if found and found[0].sequence != position + 1:
        oldest = found[0].sequence
        text = f"the journal does not keep what followed position {position}: it begins with {oldest}"
        raise CallerError("POSITION_COMPACTED", text, {"oldestSequence": str(oldest)})
