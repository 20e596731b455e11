"""However often a reader hangs up, and whatever the daemon goes through meanwhile: each event once and in order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.tests.rpc.calls import MAIN, failure
from core.tests.rpc.conftest import LoopThread
from core.tests.rpc.station import Station
from quarterdeck.daemon import event_log
from quarterdeck.rpc import limits, tape
from quarterdeck.rpc.servicers import events as servicer
from quarterdeck.rpc.tape import Tokens
from quarterdeck.testing.stream_laws import Transcript, broken_laws
from quarterdeck.v1.event_service_pb2 import ListEventsRequest, StreamEventsRequest

FILTERS = ((), ("BalanceAdjusted",), ("OrderAcked", "OrderCancelRequested"), ("OrderFilled",))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little is kept in memory that every reader is served from the tape, the log and the disk in turn."""
    monkeypatch.setattr(tape, "KEPT", 6)
    monkeypatch.setattr(event_log, "RECENT", 9)
    monkeypatch.setattr(servicer, "PAGE", 4)
    monkeypatch.setattr(servicer, "BATCH_BYTES", 400)


@pytest.fixture
def station(tmp_path: Path, server_loop: LoopThread) -> Iterator[Station]:
    station = Station(tmp_path, server_loop)
    yield station
    station.close()


@dataclass
class Reader:
    """A client that keeps a transcript. It comes back with its last token, or with the number of its last place."""

    types: tuple[str, ...]
    batch: int
    by_token: bool
    token: bytes = b""
    transcript: Transcript = field(init=False)

    def __post_init__(self) -> None:
        self.transcript = Transcript(frozenset(self.types))

    def read(self, station: Station, messages: int) -> None:
        """Open the stream, take so many messages, and hang up."""
        transcript = self.transcript
        transcript.opened(None if transcript.connections else 0)
        place = transcript.connections[-1].after
        start: dict[str, Any] = (
            {"resume_token": self.token} if self.by_token and self.token else {"after_sequence": place}
        )
        request = StreamEventsRequest(parent=MAIN, event_types=self.types, batch_size=self.batch, **start)
        with station.stub() as stub:
            call = stub.StreamEvents(request, timeout=10)
            for _, message in zip(range(messages), call, strict=False):
                transcript.received(message, station.journal.head)
                self.token = message.resume_token
            call.cancel()

    def finish(self, station: Station) -> None:
        """Read to the end."""
        while not self.transcript.connections or self.transcript.connections[-1].reached < station.journal.head:
            self.read(station, 7)


ACTIONS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 12)),
    st.tuples(st.just("read"), st.tuples(st.integers(0, 3), st.integers(0, 9))),
    st.tuples(st.just("restart"), st.none()),
)
READERS = st.lists(
    st.tuples(st.sampled_from(FILTERS), st.sampled_from([0, 1, 2, 5, 1000]), st.booleans()), min_size=1, max_size=4
)


@settings(max_examples=15, deadline=None)
@given(readers=READERS, plan=st.lists(ACTIONS, max_size=14))
@example(readers=[((), 0, True)], plan=[("append", 12), *[("read", (0, 1))] * 12])
@example(readers=[(FILTERS[1], 5, False)], plan=[("append", 12), ("read", (0, 1)), ("restart", None), ("append", 12)])
def test_each_event_once_and_in_order(
    server_loop: LoopThread, readers: list[tuple[tuple[str, ...], int, bool]], plan: list[tuple[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        station = Station(Path(folder), server_loop)
        there = [Reader(*each) for each in readers]
        try:
            for action, value in plan:
                if action == "append":
                    station.append(value)
                elif action == "restart":
                    station.restart()
                else:
                    there[value[0] % len(there)].read(station, value[1])
            station.append(3)
            for reader in there:
                reader.finish(station)
                assert broken_laws(reader.transcript, station.journal.read(0, 10_000)) == []
        finally:
            station.close()


@pytest.mark.parametrize("batch", [0, 3])
@pytest.mark.parametrize("types", FILTERS)
def test_every_place_can_be_resumed_from_after_a_restart(station: Station, types: tuple[str, ...], batch: int) -> None:
    station.append(20)
    token_of = Tokens(str(station.journal.journal_id)).make
    station.restart()
    for place in range(21):
        reader = Reader(types, batch, by_token=True, token=token_of(place))
        reader.transcript.opened(place)
        reader.finish(station)
        assert broken_laws(reader.transcript, station.journal.read(0, 100)) == []
        wanted = [line.sequence for line in station.journal.read(place, 100) if not types or line.type in types]
        assert [each.sequence for each in reader.transcript.events] == wanted


def test_many_events_come_in_few_messages(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "BATCH_BYTES", limits.BATCH_BYTES)
    station.append(100)
    for batch, messages in ((0, 100), (1, 100), (10, 10), (100, 1), (5000, 1)):
        request = StreamEventsRequest(parent=MAIN, after_sequence=0, batch_size=batch)
        with station.stub() as stub:
            call = stub.StreamEvents(request, timeout=10)
            count = seen = 0
            while seen < 100:
                message = next(call)
                count += message.HasField("envelope") or message.HasField("batch")
                seen += message.HasField("envelope") + len(message.batch.messages)
            call.cancel()
        assert count == messages


def test_a_message_stays_small_however_large_its_events(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "BATCH_BYTES", 100_000)
    for _ in range(4):
        station.append(10, size=40_000)
    with station.stub() as stub:
        call = stub.StreamEvents(StreamEventsRequest(parent=MAIN, after_sequence=0, batch_size=1000), timeout=10)
        seen = 0
        while seen < 40:
            message = next(call)
            assert message.ByteSize() < 110_000
            seen += message.HasField("envelope") + len(message.batch.messages)
        call.cancel()


def test_what_is_forgotten_can_not_be_resumed(station: Station) -> None:
    station.append(20)
    token_of = Tokens(str(station.journal.journal_id)).make
    station.forget(8)
    station.restart()
    with station.stub() as stub:
        for start in ({"after_sequence": 0}, {"after_sequence": 6}, {"resume_token": token_of(3)}):
            request = StreamEventsRequest(parent=MAIN, event_types=["OrderFilled"], **start)
            found = failure(stub.StreamEvents, request, timeout=10)
            assert (found.code, found.reason) == ("OUT_OF_RANGE", "POSITION_COMPACTED")
            assert found.metadata == {"oldestSequence": "8"}
        assert failure(stub.ListEvents, ListEventsRequest(parent=MAIN)).metadata == {"oldestSequence": "8"}
    reader = Reader((), 0, by_token=True, token=token_of(7))
    reader.transcript.opened(7)
    reader.finish(station)
    assert [each.sequence for each in reader.transcript.events] == list(range(8, 21))


def test_a_journal_that_forgot_everything_says_so(station: Station) -> None:
    station.append(5)
    station.forget(6)
    with station.stub() as stub:
        found = failure(stub.StreamEvents, StreamEventsRequest(parent=MAIN, after_sequence=2), timeout=10)
        assert (found.reason, found.metadata) == ("POSITION_COMPACTED", {"oldestSequence": "6"})


def test_a_reader_whose_next_event_is_forgotten_meanwhile_is_told(station: Station) -> None:
    station.append(40, size=200_000)
    with station.stub() as stub:
        call = stub.StreamEvents(StreamEventsRequest(parent=MAIN, after_sequence=0), timeout=20)
        next(call)  # more than the connection's buffers take is on its way
        station.forget(37)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ({"after_sequence": 21}, "POSITION_AHEAD"),
        ({"after_sequence": 2**62}, "POSITION_AHEAD"),
        ({"resume_token": "ahead"}, "POSITION_AHEAD"),
        ({"resume_token": "other"}, "JOURNAL_MISMATCH"),
        ({"after_sequence": 3, "journal_id": "other"}, "JOURNAL_MISMATCH"),
        ({"journal_id": "other"}, "JOURNAL_MISMATCH"),
    ],
    ids=str,
)
def test_a_place_that_is_not_here_is_never_begun_from(station: Station, start: dict[str, Any], reason: str) -> None:
    station.append(20)
    journal_id = str(station.journal.journal_id)
    tokens = {"ahead": Tokens(journal_id).make(21), "other": Tokens("other").make(3)}
    if "resume_token" in start:
        start = {"resume_token": tokens[start["resume_token"]]}
    with station.stub() as stub:
        found = failure(stub.StreamEvents, StreamEventsRequest(parent=MAIN, **start), timeout=10)
    expected = {"headSequence": "20"} if reason == "POSITION_AHEAD" else {"journalId": journal_id}
    assert (found.reason, found.metadata) == (reason, expected)


def test_the_right_journal_is_let_in(station: Station) -> None:
    station.append(2)
    request = StreamEventsRequest(parent=MAIN, after_sequence=1, journal_id=str(station.journal.journal_id))
    with station.stub() as stub:
        call = stub.StreamEvents(request, timeout=10)
        assert next(call).envelope.sequence == 2
        call.cancel()


def test_a_reader_of_rare_events_is_told_how_far_it_is_while_it_catches_up(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bookmarks come while there is always more to look through, not only when the end is reached."""
    station.append(3000)
    monkeypatch.setattr(servicer, "PAGE", 1)  # so that looking through takes some heartbeats
    with station.stub() as stub:
        request = StreamEventsRequest(parent=MAIN, after_sequence=0, event_types=["OrderFilled"])
        call = stub.StreamEvents(request, timeout=20)
        places = [next(call).progress for _ in range(4)]
        call.cancel()
    assert all(a.sequence < b.sequence for a, b in pairwise(places))
    assert places[1].sequence < 3000
    assert {place.head_sequence for place in places} == {3000}
    assert not any(place.head_hash for place in places if place.sequence < 3000)


def test_a_reader_that_is_up_to_date_is_told_the_journals_hash(station: Station) -> None:
    station.append(7)
    with station.stub() as stub:
        call = stub.StreamEvents(StreamEventsRequest(parent=MAIN, event_types=["OrderFilled"]), timeout=20)
        place = next(call).progress
        call.cancel()
    head = station.journal.chain_head
    assert (place.sequence, place.head_hash) == (head.sequence, head.hash) == (7, place.head_hash)
    assert len(place.head_hash) == 32
