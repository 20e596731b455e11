"""EventService: every event once and in order, from wherever a reader left off, and no reader holds up another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import grpc
import pytest

from core.tests.rpc.calls import MAIN, failure, failure_of
from core.tests.rpc.conftest import LIMITS
from core.tests.rpc.deck import FakeDeck
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import BalanceChanged
from quarterdeck.engine.inputs import CancelOrder, SubmitOrder
from quarterdeck.rpc.server import Server
from quarterdeck.rpc.tape import Tokens, varint
from quarterdeck.v1.event_pb2 import Envelope
from quarterdeck.v1.event_service_pb2 import ListEventsRequest, StreamEventsRequest, StreamEventsResponse
from quarterdeck.v1.event_service_pb2_grpc import EventServiceStub


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EventServiceStub]:
    return EventServiceStub


@pytest.fixture(scope="module", autouse=True)
def _history(deck: FakeDeck, do: Callable[..., Any]) -> None:
    """More events than are kept in memory."""
    deck.events.kept = 10
    do(deposit, deck, 40)


def deposit(deck: FakeDeck, times: int, reason: str = "deposit") -> None:
    for _ in range(times):
        deck.step(BalanceChanged(f"c{deck.machine.state.sequence}", "USDT", Decimal("0.001"), reason, deck.time))


def stream(stub: EventServiceStub, **more: Any) -> Any:
    return stub.StreamEvents(StreamEventsRequest(parent=MAIN, **more), timeout=10)


def events(answers: Iterator[StreamEventsResponse], number: int) -> list[StreamEventsResponse]:
    return list(islice((answer for answer in answers if answer.HasField("envelope")), number))


def sequences(answers: list[StreamEventsResponse]) -> list[int]:
    return [answer.envelope.sequence for answer in answers]


def test_a_stream_from_the_beginning_has_everything(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    head = deck.events.head
    call = stream(grpc_stub, after_sequence=0)
    answers = events(call, head)
    call.cancel()
    assert sequences(answers) == list(range(1, head + 1))
    assert [answer.envelope.SerializeToString(deterministic=True) for answer in answers] == [
        entry.body for entry in deck.events.entries[:head]
    ]
    assert {answer.prev_sequence for answer in answers} == {0}


def test_a_stream_resumes_after_every_token(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    head = deck.events.head
    call = stream(grpc_stub, after_sequence=0)
    tokens = [answer.resume_token for answer in events(call, head)]
    call.cancel()
    for place, token in enumerate(tokens[:-1], 1):
        resumed = stream(grpc_stub, resume_token=token)
        assert sequences(events(resumed, head - place)) == list(range(place + 1, head + 1))
        resumed.cancel()


def test_a_stream_goes_on_as_things_happen(grpc_stub: EventServiceStub, deck: FakeDeck, do: Callable[..., Any]) -> None:
    call = stream(grpc_stub)
    first = next(call)
    assert first.progress.sequence == deck.events.head  # nothing yet, and a token to come back with
    seen = []
    for _ in range(5):
        do(deposit, deck, 3)
        seen += sequences(events(call, 3))
    assert seen == list(range(first.progress.sequence + 1, first.progress.sequence + 16))
    call.cancel()


def test_an_idle_stream_says_how_far_it_is(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    call = stream(grpc_stub)
    beats = list(islice(call, 3))
    call.cancel()
    assert {beat.progress.sequence for beat in beats} == {deck.events.head}
    assert len({beat.resume_token for beat in beats}) == 1
    again = stream(grpc_stub, resume_token=beats[0].resume_token)
    assert next(again).progress.sequence == deck.events.head
    again.cancel()


def test_a_reader_of_some_types_can_tell_that_it_missed_nothing(
    grpc_stub: EventServiceStub, deck: FakeDeck, do: Callable[..., Any]
) -> None:
    after = deck.events.head

    def trade(number: int) -> None:
        deposit(deck, 2)
        order = SubmitOrder(f"typed-{number}", "btcusdt", Side.BUY, OrderType.LIMIT, Decimal("0.01"), Decimal(40_000))
        deck.step(order)
        deck.step(CancelOrder(f"typed-{number}"))

    call = stream(grpc_stub, after_sequence=after, event_types=["OrderPrepared", "OrderCancelRequested"])
    previous = after
    for number in range(3):
        do(trade, number)
        found = 0
        while found < 2:
            answer = next(call)
            assert answer.prev_sequence == previous
            previous = answer.envelope.sequence or answer.progress.sequence
            found += answer.HasField("envelope")
    call.cancel()
    types = {entry.sequence: entry.type for entry in deck.events.entries}
    assert types[previous] == "OrderCancelRequested"


def test_a_token_of_another_journal_is_refused(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    found = failure(stream, grpc_stub, resume_token=Tokens("another").make(1))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "JOURNAL_MISMATCH")
    assert found.metadata == {"journalId": deck.journal_id}


@pytest.mark.parametrize("token", [b"\x00", b"1:", b"1:a:b", b"2:a:1", b"1::5"], ids=repr)
def test_what_is_no_token_is_refused(grpc_stub: EventServiceStub, token: bytes) -> None:
    found = failure(stream, grpc_stub, resume_token=token)
    assert (found.code, found.reason, found.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["resume_token"])


def test_a_place_the_journal_has_not_reached_is_refused(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    found = failure(stream, grpc_stub, after_sequence=deck.events.head + 1)
    assert (found.code, found.reason) == ("OUT_OF_RANGE", "POSITION_AHEAD")
    assert found.metadata == {"headSequence": str(deck.events.head)}


def test_a_place_whose_history_is_gone_is_refused(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    deck.events.oldest = 5
    try:
        found = failure(stream, grpc_stub, after_sequence=3)
        assert (found.code, found.reason) == ("OUT_OF_RANGE", "POSITION_COMPACTED")
        assert found.metadata == {"oldestSequence": "5"}
        call = stream(grpc_stub, after_sequence=4)
        assert sequences(events(call, 1)) == [5]
        call.cancel()
    finally:
        deck.events.oldest = 1


def test_events_nobody_knows_can_not_be_asked_for(grpc_stub: EventServiceStub) -> None:
    found = failure(stream, grpc_stub, event_types=["OrderFilled", "OrderEaten"])
    assert (found.reason, found.fields) == ("INVALID_REQUEST", ["event_types[1]"])


def test_a_reader_that_takes_nothing_is_let_go_and_holds_up_nobody(
    grpc_create_channel: Callable[..., grpc.Channel], deck: FakeDeck, do: Callable[..., Any]
) -> None:
    with grpc_create_channel() as slow, grpc_create_channel() as quick:
        after = deck.events.head
        stuck = stream(EventServiceStub(slow), after_sequence=after)
        next(stuck)
        reader = stream(EventServiceStub(quick), after_sequence=after)
        for _ in range(10):
            do(deposit, deck, 100, "x" * 20_000)  # more in all than the connection's own buffers take
        assert sequences(events(reader, 1_000)) == list(range(after + 1, after + 1_001))
        reader.cancel()
        time.sleep(2.3 * LIMITS.patience)
        with pytest.raises(grpc.RpcError) as caught:
            list(stuck)
        found = failure_of(caught.value)
        assert found[:2] == ("RESOURCE_EXHAUSTED", "SLOW_READER")
        assert after < int(found.metadata["lastSequence"]) < deck.events.head


def test_events_are_listed_page_by_page(grpc_stub: EventServiceStub, deck: FakeDeck, do: Callable[..., Any]) -> None:
    head = deck.events.head
    read: list[Envelope] = []
    token = ""
    while True:
        page = grpc_stub.ListEvents(
            ListEventsRequest(parent=MAIN, after_sequence=head - 25, page_size=7, page_token=token)
        )
        assert page.snapshot_sequence == head
        read += page.envelopes
        token = page.next_page_token
        do(deposit, deck, 1)  # which is after this listing
        if not token:
            break
    assert [envelope.sequence for envelope in read] == list(range(head - 24, head + 1))


def test_a_list_of_some_types_looks_at_all(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    page = grpc_stub.ListEvents(ListEventsRequest(parent=MAIN, event_types=["OrderPrepared", "AccountOpened"]))
    expected = [e.sequence for e in deck.events.entries if e.type in {"OrderPrepared", "AccountOpened"}]
    assert [envelope.sequence for envelope in page.envelopes] == expected
    assert not page.next_page_token
    first = grpc_stub.ListEvents(ListEventsRequest(parent=MAIN, event_types=["OrderPrepared"], page_size=1))
    assert len(first.envelopes) == 1
    assert first.next_page_token


def test_a_list_fails_as_a_stream_does(grpc_stub: EventServiceStub, deck: FakeDeck) -> None:
    ahead = ListEventsRequest(parent=MAIN, after_sequence=deck.events.head + 1)
    assert failure(grpc_stub.ListEvents, ahead).reason == "POSITION_AHEAD"
    other = ListEventsRequest(parent="accounts/other")
    assert failure(grpc_stub.ListEvents, other).metadata == {"name": "accounts/other", "known": MAIN}


def test_a_stopping_daemon_ends_its_streams(
    grpc_create_channel: Callable[..., grpc.Channel], grpc_server: Server, server_loop: Any
) -> None:
    with grpc_create_channel() as channel:
        call = stream(EventServiceStub(channel))
        next(call)
        server_loop.run(grpc_server.stop())
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        found = failure_of(caught.value)
        assert (found.code, found.reason, found.retries) == ("UNAVAILABLE", "NOT_READY", True)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**31, 2**63 - 1])
def test_numbers_are_written_as_protobuf_does(number: int) -> None:
    assert Envelope.FromString(b"\x08" + varint(number)).sequence == number
