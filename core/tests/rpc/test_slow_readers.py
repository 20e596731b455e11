"""Hundreds of readers that hardly read cost the core nothing: counted in calls and in what is held, not in seconds."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any, cast

import grpc
import pytest

from core.tests.rpc.calls import MAIN, failure_of
from core.tests.rpc.conftest import LoopThread
from core.tests.rpc.deck import FakeDeck
from core.tests.rpc.station import Station
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.domain.errors import QuarterdeckError
from quarterdeck.rpc.limits import PAGE, Limits
from quarterdeck.rpc.servicers import events as servicer
from quarterdeck.rpc.servicers.events import EventServicer
from quarterdeck.rpc.tape import Tape
from quarterdeck.testing.stream_laws import Transcript, broken_laws
from quarterdeck.v1.event_service_pb2 import StreamEventsRequest

SLOW = 200
CONNECTIONS = 8


@pytest.fixture
def station(tmp_path: Path, server_loop: LoopThread) -> Iterator[Station]:
    station = Station(tmp_path, server_loop, Limits(patience=1.5))
    yield station
    station.close()


def subscribe(station: Station, count: int, stack: ExitStack, **more: Any) -> list[Any]:
    """Open so many streams over a few connections, and wait until each has said something."""
    stubs = [stack.enter_context(station.stub()) for _ in range(CONNECTIONS)]
    request = StreamEventsRequest(parent=MAIN, **more)
    calls = [stubs[number % CONNECTIONS].StreamEvents(request, timeout=60) for number in range(count)]
    for call in calls:
        next(call)
    return calls


def calls_of_a_commit(station: Station) -> Counter[str]:
    """Every function that runs while news of a commit is passed on, and how often."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, kind: str, what: Any) -> None:
        if kind in ("call", "c_call"):
            counted[what.__name__ if kind == "c_call" else frame.f_code.co_qualname] += 1

    real = EventLog.extend

    def extend(log: EventLog, entries: Any) -> None:
        sys.setprofile(count)
        try:
            real(log, entries)
        finally:
            sys.setprofile(None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventLog, "extend", extend)
        station.append(1)
    return counted


def test_a_commit_does_the_same_however_many_read(station: Station) -> None:
    station.append(1)
    alone = calls_of_a_commit(station)
    with ExitStack() as stack:
        subscribe(station, SLOW, stack)
        assert calls_of_a_commit(station) == alone
    assert sum(alone.values()) < 20


def under_way(name: str) -> list[FrameType]:
    """What is being awaited of this name."""
    running = [one for one in gc.get_objects() if isinstance(one, CoroutineType) and one.__qualname__ == name]
    return [one.cr_frame for one in running if one.cr_frame]


def held() -> list[list[Any]]:
    """What each stream holds of the journal while it waits for its reader."""
    return [frame.f_locals.get("frames") or [] for frame in under_way("EventServicer._send")]


def test_slow_readers_hold_a_page_each_and_are_cut_off(
    station: Station, server_loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Counter[int] = Counter()
    frame = Tape._frame
    monkeypatch.setattr(Tape, "_frame", lambda tape, entry: (made.update([entry.sequence]), frame(tape, entry))[1])
    with ExitStack() as stack:
        slow = subscribe(station, SLOW, stack)
        transcript = Transcript()
        transcript.opened(0)
        quick = stack.enter_context(station.stub()).StreamEvents(
            StreamEventsRequest(parent=MAIN, after_sequence=0, batch_size=100), timeout=60
        )
        for _ in range(4):
            station.append(1_000, size=2_000)
        while not transcript.events or transcript.events[-1].sequence < 4_000:
            transcript.received(next(quick), station.journal.head)
        quick.cancel()
        assert broken_laws(transcript, station.journal.read(0, 10_000)) == []

        holding = server_loop.call(held)
        assert len(holding) >= SLOW
        assert max(len(frames) for frames in holding) <= PAGE
        assert sum(made.values()) < 4_000 + 2 * SLOW * PAGE, "events are made into messages once, not once a reader"

        wait_until(lambda: station.server.guard.streams == 0)  # they took nothing for so long
        wait_until(lambda: not server_loop.call(under_way, "Guard._abort"))  # and need not hear of it
        ends = []
        for call in slow:
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            ends.append(failure_of(caught.value))
        assert {end[:2] for end in ends} == {("RESOURCE_EXHAUSTED", "SLOW_READER")}
        assert all(0 < int(end.metadata["lastSequence"]) < 4_000 for end in ends)
    assert server_loop.call(held) == []


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reader_that_reads_slowly_loses_nothing(tmp_path: Path, server_loop: LoopThread) -> None:
    """It is served from the disk long after memory has forgotten, and is never cut as long as it takes something."""
    station = Station(tmp_path, server_loop, Limits(patience=20.0))  # far above its pauses, however busy the machine
    transcript = Transcript()
    transcript.opened(0)

    def produce() -> None:
        for _ in range(6):
            station.append(500, size=3_000)

    with station.stub() as stub:
        call = stub.StreamEvents(StreamEventsRequest(parent=MAIN, after_sequence=0), timeout=60)
        producer = threading.Thread(target=produce)
        producer.start()
        while not transcript.events or transcript.events[-1].sequence < 3_000:
            transcript.received(next(call), station.journal.head)
            if len(transcript.events) % 300 == 0:
                time.sleep(0.3)
        producer.join()
        call.cancel()
    assert broken_laws(transcript, station.journal.read(0, 10_000)) == []
    station.close()


def test_one_that_falls_ever_further_behind_is_cut_off(
    tmp_path: Path, server_loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "PAGE", 4)
    station = Station(tmp_path, server_loop, Limits(lag=100))
    try:
        station.append(300, size=40_000)
        with station.stub() as stub:
            call = stub.StreamEvents(StreamEventsRequest(parent=MAIN, after_sequence=0), timeout=60)
            seen = [next(call).envelope.sequence for _ in range(3)]  # 300 behind is no fault of its own
            station.append(290)
            with pytest.raises(grpc.RpcError) as caught:
                seen.extend(message.envelope.sequence for message in call)
        end = failure_of(caught.value)
        assert end[:2] == ("RESOURCE_EXHAUSTED", "SLOW_READER")
        assert int(end.metadata["lastSequence"]) == seen[-1]
        assert seen == list(range(1, len(seen) + 1))
    finally:
        station.close()


async def test_one_that_never_took_anything_is_told_where_it_began() -> None:
    """Else it would come back for the whole journal."""
    deck = FakeDeck()
    tape = Tape(deck.events, deck.journal_id, 0.02)
    tape.start()

    class Stuck:
        async def write(self, _: bytes) -> None:
            await asyncio.sleep(60)

    with pytest.raises(QuarterdeckError) as caught:
        await EventServicer(deck, tape, Limits(patience=0.05)).StreamEvents(
            StreamEventsRequest(parent=MAIN, after_sequence=deck.events.head), cast("Any", Stuck())
        )
    await tape.stop()
    assert deck.events.head > 0
    assert caught.value.data == {"lastSequence": str(deck.events.head)}
