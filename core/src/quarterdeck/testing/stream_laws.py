"""Owns what a stream of events promises, one function per promise, over a reader's transcript and the journal.

    transcript = Transcript(wanted=frozenset({"OrderFilled"}))
    transcript.opened(after=0)
    for message in stub.StreamEvents(request):
        transcript.received(message, durable=journal.head)
    assert broken_laws(transcript, journal) == []

A law gives back a sentence for every place where it was broken. A transcript may span crashes of either side: `opened`
begins each new connection. The journal is read when all is over, so that what a crash took away is missing from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from quarterdeck.v1.event_service_pb2 import StreamEventsResponse


class Line(Protocol):
    """One entry of the journal."""

    @property
    def sequence(self) -> int:
        """Its place, dense from 1."""

    @property
    def type(self) -> str:
        """The event's name."""

    @property
    def body(self) -> bytes:
        """The serialized envelope."""


class Received(NamedTuple):
    """One message as it came. `body` is empty for word that nothing happened; `durable` is how far the journal was."""

    sequence: int
    body: bytes
    previous: int
    token: bytes
    durable: int


@dataclass(slots=True)
class Connection:
    """What one opening of the stream was asked for, and what came. `follows` says the reader goes on where it was."""

    after: int
    follows: bool
    messages: list[Received] = field(default_factory=list)

    @property
    def events(self) -> list[Received]:
        """What came and is an event."""
        return [each for each in self.messages if each.body]

    @property
    def reached(self) -> int:
        """Up to where the reader knows that it has seen everything."""
        return self.messages[-1].sequence if self.messages else self.after


@dataclass(slots=True)
class Transcript:
    """All that one reader saw. `wanted` are the types it asked for, all if there are none."""

    wanted: frozenset[str] = frozenset()
    connections: list[Connection] = field(default_factory=list)

    def opened(self, after: int | None = None) -> None:
        """The stream is opened after a position, or where the reader was."""
        follows = after is None
        place = after if after is not None else self.connections[-1].reached
        self.connections.append(Connection(place, follows))

    def received(self, message: StreamEventsResponse, durable: int) -> None:
        """A message came while the journal was durable up to a sequence. Many in one are taken one by one."""
        kind = message.WhichOneof("item")
        if kind == "batch":
            for each in message.batch.messages:
                self.received(each, durable)
        elif kind is not None:
            body = message.envelope.SerializeToString(deterministic=True) if kind == "envelope" else b""
            place = getattr(message, kind).sequence
            self.connections[-1].messages.append(
                Received(place, body, message.prev_sequence, message.resume_token, durable)
            )

    @property
    def events(self) -> list[Received]:
        """Every event that came, over all connections."""
        return [event for connection in self.connections for event in connection.events]


Law = Callable[[Transcript, Mapping[int, Line]], Iterator[str]]


def ordered(transcript: Transcript, _: Mapping[int, Line]) -> Iterator[str]:
    """On one connection sequences only rise, and word that nothing happened never goes back."""
    for connection in transcript.connections:
        last = connection.after
        for each in connection.messages:
            if each.sequence < last or (each.body and each.sequence == last):
                yield f"{each.sequence} came after {last}"
            last = each.sequence


def unique(transcript: Transcript, _: Mapping[int, Line]) -> Iterator[str]:
    """No event comes twice: neither on one connection, nor on the next if that goes on where the reader was."""
    seen: set[int] = set()
    for connection in transcript.connections:
        if not connection.follows:
            seen = set()
        for each in connection.events:
            if each.sequence in seen:
                yield f"{each.sequence} came twice"
            seen.add(each.sequence)


def gapless(transcript: Transcript, journal: Mapping[int, Line]) -> Iterator[str]:
    """Between where a connection begins and what it told last, every event that is wanted came."""
    for connection in transcript.connections:
        came = {each.sequence for each in connection.events}
        for place in range(connection.after + 1, connection.reached + 1):
            if _is_wanted(transcript, journal.get(place)) and place not in came:
                yield f"{place} is missing between {connection.after} and {connection.reached}"


def chained(transcript: Transcript, _: Mapping[int, Line]) -> Iterator[str]:
    """With a filter each message names the one before it; without one it names none."""
    for connection in transcript.connections:
        before = connection.after
        for each in connection.messages:
            expected = before if transcript.wanted else 0
            if each.previous != expected:
                yield f"{each.sequence} says that {each.previous} came before it, and {expected} did"
            before = each.sequence


def resumable(transcript: Transcript, journal: Mapping[int, Line]) -> Iterator[str]:
    """A connection begins with the first wanted event after its start, and every message has a token of its own."""
    tokens: dict[bytes, int] = {}
    oldest = min(journal, default=1)
    for connection in transcript.connections:
        events = connection.events
        if events and connection.after >= oldest - 1:
            wanted = (place for place in sorted(journal) if place > connection.after)
            first = next((place for place in wanted if _is_wanted(transcript, journal[place])), None)
            if events[0].sequence != first:
                yield f"opened after {connection.after} it began with {events[0].sequence}, not with {first}"
        for each in connection.messages:
            if not each.token or tokens.setdefault(each.token, each.sequence) != each.sequence:
                yield f"{each.sequence} has no token that leads back to it"


def bookmarked(transcript: Transcript, journal: Mapping[int, Line]) -> Iterator[str]:
    """Where the stream says that nothing happened up to a position, every wanted event up to there had come before."""
    for connection in transcript.connections:
        came: set[int] = set()
        next_place = connection.after + 1
        for each in connection.messages:
            if each.body:
                came.add(each.sequence)
                continue
            for place in range(next_place, each.sequence + 1):
                if _is_wanted(transcript, journal.get(place)) and place not in came:
                    yield f"told of {each.sequence} before {place} had come"
            next_place = max(next_place, each.sequence + 1)


def durable_before_visible(transcript: Transcript, journal: Mapping[int, Line]) -> Iterator[str]:
    """Nothing came before it was durable, and all that came is still there, byte for byte, whatever crashed since."""
    oldest = min(journal, default=1)
    for connection in transcript.connections:
        for each in connection.messages:
            if each.sequence > each.durable:
                yield f"{each.sequence} came while the journal was at {each.durable}"
        for each in connection.events:
            line = journal.get(each.sequence)
            if line is None and each.sequence >= oldest:
                yield f"{each.sequence} came and is not in the journal"
            elif line is not None and line.body != each.body:
                yield f"{each.sequence} came with another content than the journal has"
            if line is not None and not _is_wanted(transcript, line):
                yield f"{each.sequence} came, and {line.type} was not asked for"


LAWS: tuple[Law, ...] = (ordered, unique, gapless, chained, resumable, bookmarked, durable_before_visible)


def broken_laws(transcript: Transcript, journal: Iterable[Line], laws: Sequence[Law] = LAWS) -> list[str]:
    """Which laws a transcript breaks, and where; `journal` is what it holds in the end."""
    lines = {line.sequence: line for line in journal}
    return [f"{law.__name__}: {problem}" for law in laws for problem in law(transcript, lines)]


def _is_wanted(transcript: Transcript, line: Line | None) -> bool:
    return line is not None and (not transcript.wanted or line.type in transcript.wanted)
