"""The laws of the stream find each way in which a server could break them, and nothing in a good transcript."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from quarterdeck.testing.stream_laws import LAWS, Transcript, broken_laws
from quarterdeck.v1.event_pb2 import Envelope
from quarterdeck.v1.event_service_pb2 import Batch, Progress, StreamEventsResponse

KINDS = ("OrderSent", "OrderAcked")


class Line(NamedTuple):
    sequence: int
    type: str
    body: bytes


JOURNAL = [Line(n, KINDS[n % 2], Envelope(sequence=n).SerializeToString(deterministic=True)) for n in range(1, 9)]
EVEN = frozenset({KINDS[0]})


def event(sequence: int, previous: int = 0) -> StreamEventsResponse:
    envelope = Envelope(sequence=sequence)
    return StreamEventsResponse(envelope=envelope, resume_token=b"t%d" % sequence, prev_sequence=previous)


def nothing(sequence: int, previous: int = 0) -> StreamEventsResponse:
    progress = Progress(sequence=sequence)
    return StreamEventsResponse(progress=progress, resume_token=b"t%d" % sequence, prev_sequence=previous)


def told(*messages: StreamEventsResponse, after: int = 0, wanted: frozenset[str] = frozenset()) -> Transcript:
    transcript = Transcript(wanted)
    transcript.opened(after)
    for message in messages:
        transcript.received(message, durable=8)
    return transcript


def test_a_good_transcript_breaks_none() -> None:
    several = StreamEventsResponse(batch=Batch(messages=[event(2), event(3)]), resume_token=b"t3")
    good = told(nothing(0), event(1), several, nothing(3))
    good.opened()
    for message in (nothing(3), event(4), event(5), event(6), event(7), event(8), nothing(8)):
        good.received(message, durable=8)
    assert broken_laws(good, JOURNAL) == []
    assert [each.sequence for each in good.events] == list(range(1, 9))


def test_a_good_transcript_of_some_types_breaks_none() -> None:
    good = told(event(2, 1), nothing(3, 2), event(4, 3), nothing(5, 4), after=1, wanted=EVEN)
    good.opened()
    good.received(event(6, 5), durable=6)
    assert broken_laws(good, JOURNAL) == []


def late() -> Transcript:
    transcript = Transcript()
    transcript.opened(0)
    transcript.received(event(1), durable=0)
    return transcript


def again() -> Transcript:
    transcript = told(event(1), event(2))
    transcript.opened()
    transcript.connections[-1].after = 1
    transcript.received(event(2), durable=8)
    return transcript


def resumed(first: StreamEventsResponse) -> Transcript:
    transcript = told(event(1), event(2))
    transcript.opened()
    transcript.received(first, durable=8)
    return transcript


def other_content() -> Transcript:
    changed = event(1)
    changed.envelope.correlation_id = "x"
    return told(changed)


BROKEN: dict[str, tuple[str, Callable[[], Transcript]]] = {
    "backwards": ("ordered", lambda: told(event(2), event(1), after=1)),
    "progress that goes back": ("ordered", lambda: told(event(1), event(2), nothing(1))),
    "twice on one connection": ("unique", lambda: told(event(1), event(1))),
    "twice over two": ("unique", again),
    "one left out": ("gapless", lambda: told(event(1), event(3))),
    "one left out by progress": ("gapless", lambda: told(event(1), nothing(3))),
    "one left out of some types": ("gapless", lambda: told(event(2), event(6, 2), wanted=EVEN)),
    "a chain that lies": ("chained", lambda: told(event(2), event(4), wanted=EVEN)),
    "a chain where none belongs": ("chained", lambda: told(event(1), event(2, 1))),
    "resumed too late": ("resumable", lambda: resumed(event(4))),
    "resumed too early": ("resumable", lambda: resumed(event(2))),
    "no token": ("resumable", lambda: told(StreamEventsResponse(envelope=Envelope(sequence=1)))),
    "told too early": ("bookmarked", lambda: told(nothing(2), event(1), event(2))),
    "before it was durable": ("durable_before_visible", late),
    "lost by a crash": ("durable_before_visible", lambda: told(event(9), after=8)),
    "other bytes": ("durable_before_visible", other_content),
    "not asked for": ("durable_before_visible", lambda: told(event(1), event(2, 1), wanted=EVEN)),
}


@pytest.mark.parametrize(("law", "make"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_a_law_is_found(law: str, make: Callable[[], Transcript]) -> None:
    assert law in {problem.partition(":")[0] for problem in broken_laws(make(), JOURNAL)}


def test_every_law_is_seen_broken() -> None:
    assert {law for law, _ in BROKEN.values()} == {law.__name__ for law in LAWS}


def test_what_is_compacted_by_now_was_there_then() -> None:
    assert broken_laws(told(event(1), event(2), event(3)), JOURNAL[2:]) == []
