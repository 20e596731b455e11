from __future__ import annotations

import asyncio
import threading
import time
import weakref

import grpc
import pytest

from clients.python.tests.conftest import HASTY, Face
from clients.python.tests.fake_daemon import FakeDaemon, refuse
from clients.python.tests.messages import at, envelope, history
from quarterdeck.client import (
    Client,
    ContractBroken,
    InternalError,
    JournalMismatch,
    NotFound,
    Options,
    PositionAhead,
    PositionCompacted,
    ResourceExhausted,
    StreamGap,
    SyncClient,
    Unavailable,
    UnknownEvent,
    events,
)
from quarterdeck.v1 import event_pb2
from quarterdeck.v1.event_service_pb2 import ListEventsResponse
from quarterdeck.v1.market_data_service_pb2 import StreamCandlesResponse, StreamQuotesResponse
from quarterdeck.v1.market_pb2 import Candle, Quote

LENGTH = 8


def sequences(seen: list[events.Event]) -> list[int]:
    return [event.sequence for event in seen]


async def test_every_event_once_and_in_order(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(3))
    seen = await face.items(face.client.events.stream(after=0), 3)
    assert sequences(seen) == [1, 2, 3]
    assert [event.body for event in seen] == [events.DaemonStopped(f"r{n}") for n in (1, 2, 3)]
    assert (seen[0].type, seen[0].account) == ("DaemonStopped", "accounts/main")


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("position", range(LENGTH + 1))
async def test_a_stream_broken_anywhere_goes_on_there(
    face: Face, daemon: FakeDaemon, position: int, overlap: int
) -> None:
    daemon.record(*history(LENGTH))
    daemon.interruptions.append(position)
    daemon.overlap = overlap
    seen = await face.items(face.client.events.stream(after=0), LENGTH)
    assert sequences(seen) == list(range(1, LENGTH + 1))


async def test_a_stream_broken_everywhere_goes_on(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(LENGTH))
    daemon.interruptions.extend([1, 0, 1, 0, 0, 1, 1, 2])
    daemon.overlap = 0
    seen = await face.items(face.client.events.stream(after=0), LENGTH)
    assert sequences(seen) == list(range(1, LENGTH + 1))
    assert len(daemon.requests["StreamEvents"]) == 9


async def test_a_stream_goes_on_over_restarts(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(2))
    stream = face.client.events.stream(after=0)
    assert sequences(await face.items(stream, 2)) == [1, 2]
    assert stream.connected
    for turn in (3, 4):
        daemon.stop()
        daemon.record(envelope(turn))
        daemon.start()
        assert sequences(await face.items(stream, 1)) == [turn]
    await face.close(stream)
    assert not stream.connected


@pytest.mark.parametrize(
    ("code", "reason"),
    [("UNAVAILABLE", "NOT_READY"), ("UNAVAILABLE", ""), ("RESOURCE_EXHAUSTED", "SLOW_READER"), ("CANCELLED", "")],
)
async def test_what_ends_a_stream_but_not_its_reader(face: Face, daemon: FakeDaemon, code: str, reason: str) -> None:
    daemon.record(*history(1))
    daemon.steps["StreamEvents"].append(refuse(grpc.StatusCode[code], reason))
    assert sequences(await face.items(face.client.events.stream(after=0), 1)) == [1]


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("OUT_OF_RANGE", "POSITION_COMPACTED", PositionCompacted),
        ("OUT_OF_RANGE", "POSITION_AHEAD", PositionAhead),
        ("FAILED_PRECONDITION", "JOURNAL_MISMATCH", JournalMismatch),
        ("NOT_FOUND", "ACCOUNT_NOT_FOUND", NotFound),
        ("RESOURCE_EXHAUSTED", "", ResourceExhausted),
        ("INTERNAL", "INTERNAL", InternalError),
    ],
)
async def test_what_opening_again_cannot_mend_is_raised(
    face: Face, daemon: FakeDaemon, code: str, reason: str, expected: type[Exception]
) -> None:
    daemon.steps["StreamEvents"].append(refuse(grpc.StatusCode[code], reason))
    with pytest.raises(expected):
        await face.items(face.client.events.stream(after=3), 1)
    assert len(daemon.requests["StreamEvents"]) == 1


async def test_another_journal_is_noticed_on_the_way_back(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(2))
    stream = face.client.events.stream(after=0)
    await face.items(stream, 1)
    daemon.stop()
    daemon.journal_id = "b"
    daemon.start()
    with pytest.raises(JournalMismatch):
        await face.items(stream, 2)


@pytest.mark.parametrize("hidden", range(1, 6))
async def test_a_missing_event_is_never_passed_over(face: Face, daemon: FakeDaemon, hidden: int) -> None:
    daemon.record(*history(5))
    daemon.hidden = {hidden}
    with pytest.raises(StreamGap):
        await face.items(face.client.events.stream(after=0), 5)


@pytest.mark.parametrize("position", range(6))
async def test_a_filter_misses_nothing_it_should_see(face: Face, daemon: FakeDaemon, position: int) -> None:
    for sequence in range(1, 11):
        kind = {"daemon_started": event_pb2.DaemonStarted(version="1")} if sequence % 2 else {}
        daemon.record(envelope(sequence, **kind))
    daemon.interruptions.append(position)
    seen = await face.items(face.client.events.stream(after=0, types=[events.DaemonStarted]), 5)
    assert sequences(seen) == [1, 3, 5, 7, 9]
    assert all(list(request.event_types) == ["DaemonStarted"] for request in daemon.requests["StreamEvents"])


async def test_a_filter_names_the_event_before_so_gaps_show(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(5))
    daemon.interruptions.append(2)
    stream = face.client.events.stream(after=0, types=["DaemonStopped"])
    assert sequences(await face.items(stream, 2)) == [1, 2]
    daemon.overlap = -2  # the daemon goes on too far ahead, and says so
    with pytest.raises(StreamGap):
        await face.items(stream, 3)


async def test_from_now_means_from_when_reading_begins(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(3))
    daemon.interruptions.append(0)  # broken before the first message
    daemon.steps["StreamEvents"].extend([lambda _: None, lambda _: daemon.record(envelope(4), envelope(5))])
    seen = await face.items(face.client.events.stream(), 2)
    assert sequences(seen) == [4, 5]
    assert [request.after_sequence for request in daemon.requests["StreamEvents"]] == [3, 3]


async def test_a_token_from_elsewhere_continues(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(5))
    first = await face.items(face.client.events.stream(after=0), 2)
    rest = await face.items(face.client.events.stream(after=first[-1].resume_token), 3)
    assert sequences(rest) == [3, 4, 5]


async def test_an_unknown_event_stops_the_reader_unless_it_may_be_skipped(face: Face, daemon: FakeDaemon) -> None:
    unknown = envelope(2)
    unknown.ClearField("daemon_stopped")
    daemon.record(envelope(1), unknown, envelope(3))
    with pytest.raises(UnknownEvent):
        await face.items(face.client.events.stream(after=0), 3)
    unknown.ignorable = True
    daemon.journal[1] = unknown
    seen = await face.items(face.client.events.stream(after=0), 3)
    assert [event.type for event in seen] == ["DaemonStopped", "Unrecognized", "DaemonStopped"]


async def test_an_event_that_lacks_what_it_must_have_stops_the_reader(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(envelope(1, balance_adjusted=event_pb2.BalanceAdjusted(currency="USDT")))
    with pytest.raises(ContractBroken, match=r"BalanceAdjusted\.amount is absent"):
        await face.items(face.client.events.stream(after=0), 1)


async def test_listed_events_are_the_streamed_ones(face: Face, daemon: FakeDaemon) -> None:
    daemon.answers["ListEvents"] = lambda request: ListEventsResponse(
        envelopes=daemon.journal[request.after_sequence :], snapshot_sequence=len(daemon.journal)
    )
    daemon.record(*history(3))
    listing = face.client.events.list(after=1)
    assert sequences(await face.items(listing)) == [2, 3]
    assert listing.snapshot_sequence == 3


async def test_patience_ends(face: Face, daemon: FakeDaemon) -> None:
    daemon.stop()
    hasty = face.client.with_options(stream_patience=0.03)
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await face.items(hasty.events.stream(after=0), 1)
    assert time.monotonic() - begun < 2


async def test_patience_ends_with_a_daemon_that_keeps_hanging_up(face: Face, daemon: FakeDaemon) -> None:
    daemon.answers["StreamQuotes"] = lambda _: ()
    hasty = face.client.with_options(stream_patience=0.03)
    with pytest.raises(Unavailable, match="keeps ending"):
        await face.items(hasty.market.stream_quotes(), 1)
    assert len(daemon.requests["StreamQuotes"]) > 1


async def test_a_waiting_task_is_told_of_the_end(client: Client, daemon: FakeDaemon) -> None:
    daemon.record(*history(1))
    stream = client.events.stream(after=0)
    began = asyncio.Event()
    seen: list[int] = []

    async def read() -> None:
        async for event in stream:
            seen.append(event.sequence)
            began.set()

    reader = asyncio.create_task(read())
    await began.wait()
    await stream.aclose()
    await asyncio.wait_for(reader, 5)
    assert seen == [1]


async def test_a_waiting_task_can_be_canceled(client: Client, daemon: FakeDaemon) -> None:
    daemon.record(*history(1))
    async with client.events.stream(after=0) as stream:
        await anext(stream)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        assert not stream.connected
        daemon.record(envelope(2))
        assert (await anext(stream)).sequence == 2


async def test_a_stream_ends_with_its_error(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(3))
    daemon.hidden = {2}
    stream = face.client.events.stream(after=0)
    with pytest.raises(StreamGap):
        await face.items(stream, 3)
    assert await face.items(stream) == []


async def test_an_empty_token_is_refused(face: Face) -> None:
    with pytest.raises(ValueError, match="empty resume token"):
        face.client.events.stream(after=b"")


async def test_a_dropped_stream_hangs_up(face: Face, daemon: FakeDaemon) -> None:
    daemon.record(*history(1))
    stream = face.client.events.stream(after=0)
    await face.items(stream, 1)
    call = weakref.ref(stream._open)
    del stream
    left = call()
    assert left is None or left.cancelled()


def test_a_waiting_thread_is_told_of_the_end(daemon: FakeDaemon) -> None:
    daemon.record(*history(1))
    with SyncClient.connect(daemon.target, options=HASTY) as client:
        stream = client.events.stream(after=0)
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(event.sequence for event in stream))
        reader.start()
        while not seen:
            time.sleep(0.001)
        stream.close()
        reader.join(5)
        assert not reader.is_alive()
        assert seen == [1]


def test_a_thread_that_waits_to_try_again_is_told_of_the_end(daemon: FakeDaemon) -> None:
    daemon.stop()
    with SyncClient.connect(daemon.target, options=Options()) as client:
        stream = client.events.stream(after=0)
        reader = threading.Thread(target=lambda: list(stream))
        reader.start()
        time.sleep(0.01)
        stream.close()
        reader.join(5)
        assert not reader.is_alive()


async def test_quotes_and_candles_go_on_with_what_is_new(face: Face, daemon: FakeDaemon) -> None:
    quote = Quote(instrument="instruments/btcusdt", bid=1.0, ask=2.0, quote_time=at(0))
    candle = Candle(instrument="instruments/btcusdt", open_time=at(0), close=1.5)
    candle.interval.seconds = 300
    daemon.answers["StreamQuotes"] = lambda _: [StreamQuotesResponse(quote=quote)]
    daemon.answers["StreamCandles"] = lambda _: [StreamCandlesResponse(candle=candle)]
    quotes = await face.items(face.client.market.stream_quotes(["btcusdt"]), 3)
    assert [each.bid for each in quotes] == [1.0] * 3
    assert len(daemon.requests["StreamQuotes"]) == 3
    candles = await face.items(face.client.market.stream_candles(["btcusdt"], "5m"), 2)
    assert [each.close for each in candles] == [1.5] * 2
    assert daemon.requests["StreamCandles"][0].interval.seconds == 300
