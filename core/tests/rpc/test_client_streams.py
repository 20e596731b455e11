"""The client over a real server: many events in a message, connections that grow old, journals that forget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.rpc.conftest import LoopThread
from core.tests.rpc.station import Station
from quarterdeck.client import Backoff, JournalMismatch, Options, PositionAhead, PositionCompacted, SyncClient
from quarterdeck.client.cursor import EventCursor
from quarterdeck.client.errors import StreamGap, UnknownEvent
from quarterdeck.rpc.limits import Limits
from quarterdeck.v1.event_pb2 import DaemonStopped, Envelope
from quarterdeck.v1.event_service_pb2 import Batch, StreamEventsResponse

HASTY = Options(backoff=Backoff(0.005, 0.02))


@pytest.fixture
def station(tmp_path: Path, server_loop: LoopThread) -> Iterator[Station]:
    station = Station(tmp_path, server_loop)
    yield station
    station.close()


@pytest.mark.parametrize("batch_size", [0, 1, 2, 7, 500])
@pytest.mark.parametrize("types", [(), ("OrderAcked", "BalanceAdjusted")])
def test_every_event_once_over_restarts(station: Station, batch_size: int, types: tuple[str, ...]) -> None:
    station.append(50)
    seen: list[int] = []
    with (
        SyncClient.connect(station.address, options=HASTY) as client,
        client.events.stream(after=0, types=types, batch_size=batch_size) as stream,
    ):
        for wanted in (3, 11, 40):  # the stream breaks in the midst of a message with many
            while len(seen) < wanted:
                seen.append(next(stream).sequence)
            station.restart()
            station.append(20)
        expected = [line.sequence for line in station.journal.read(0, 1000) if not types or line.type in types]
        while len(seen) < len(expected):
            seen.append(next(stream).sequence)
    assert seen == expected


def test_a_token_from_the_midst_of_a_message_goes_on_there(station: Station) -> None:
    station.append(30)
    with SyncClient.connect(station.address, options=HASTY) as client:
        with client.events.stream(after=0) as stream:
            tokens = [next(stream).resume_token for _ in range(30)]
        for place in (1, 13, 29):
            with client.events.stream(after=tokens[place - 1]) as stream:
                assert next(stream).sequence == place + 1


def test_connections_that_grow_old_lose_nothing(tmp_path: Path, server_loop: LoopThread) -> None:
    station = Station(tmp_path, server_loop, Limits(connection=0.2, grace=0.05))
    try:
        with (
            SyncClient.connect(station.address, options=HASTY) as client,
            client.events.stream(after=0, batch_size=0) as stream,
        ):
            connections = set()
            for place in range(1, 61):
                station.append(1)
                assert next(stream).sequence == place
                connections.add(id(stream._open))
                time.sleep(0.02)
            assert len(connections) > 2, "no connection grew old"
    finally:
        station.close()


def test_a_dead_place_is_told_with_where_there_is_life(station: Station) -> None:
    station.append(20)
    with SyncClient.connect(station.address, options=HASTY) as client:
        with client.events.stream(after=0) as stream:
            token = next(stream).resume_token
        station.forget(8)
        for after in (0, 6, token):
            with pytest.raises(PositionCompacted) as gone:
                next(client.events.stream(after=after))
            assert gone.value.oldest_sequence == 8
        with pytest.raises(PositionAhead) as ahead:
            next(client.events.stream(after=21))
        assert ahead.value.head_sequence == 20
        with pytest.raises(JournalMismatch):
            next(client.events.stream(after=10, journal_id="another"))
        with client.events.stream(after=7) as stream:
            assert next(stream).sequence == 8


def test_a_stream_that_comes_back_too_late_is_told_so(station: Station) -> None:
    station.append(10)
    with SyncClient.connect(station.address, options=HASTY) as client:
        stream = client.events.stream(after=0)
        assert [next(stream).sequence for _ in range(10)] == list(range(1, 11))
        station.silence()
        station.append(10)
        station.forget(18)
        station.restart()
        with pytest.raises(PositionCompacted) as gone:
            next(stream)
        assert gone.value.oldest_sequence == 18


def stopped(sequence: int) -> StreamEventsResponse:
    envelope = Envelope(sequence=sequence, account="accounts/main", daemon_stopped=DaemonStopped(reason="x"))
    envelope.record_time.seconds = 1
    return StreamEventsResponse(envelope=envelope, resume_token=b"t%d" % sequence)


def test_what_is_before_a_fault_in_a_message_is_read() -> None:
    unknown = StreamEventsResponse(envelope=Envelope(sequence=3), resume_token=b"t3")
    for fault, error in ((unknown, UnknownEvent), (stopped(4), StreamGap)):
        cursor = EventCursor("accounts/main", 0, (), "", 10)
        events = cursor.accept(StreamEventsResponse(batch=Batch(messages=[stopped(1), stopped(2), fault])))
        assert [next(events).sequence, next(events).sequence] == [1, 2]
        with pytest.raises(error):
            next(events)
        assert cursor.request().resume_token == b"t2"


def test_a_message_that_is_read_halfway_is_asked_for_from_there() -> None:
    cursor = EventCursor("accounts/main", 0, (), "", 10)
    events = cursor.accept(StreamEventsResponse(batch=Batch(messages=[stopped(n) for n in (1, 2, 3)])))
    assert next(events).sequence == 1
    assert cursor.request().resume_token == b"t1"
