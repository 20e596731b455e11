"""Whatever is sent, the answer is one of the contract's, the daemon goes on, and nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.tests.rpc.calls import MAIN, failure, failure_of, rid
from core.tests.rpc.conftest import PACE, LoopThread
from core.tests.rpc.deck import FakeDeck
from quarterdeck.domain.risk import TradingState
from quarterdeck.rpc.board import SERVICES
from quarterdeck.rpc.limits import ALWAYS_TAKEN, Limits
from quarterdeck.rpc.server import STANDARD_SERVICES, Server
from quarterdeck.v1.account_service_pb2 import GetAccountOverviewRequest
from quarterdeck.v1.account_service_pb2_grpc import AccountServiceStub
from quarterdeck.v1.event_service_pb2 import StreamEventsRequest
from quarterdeck.v1.event_service_pb2_grpc import EventServiceStub
from quarterdeck.v1.market_data_service_pb2 import StreamQuotesRequest
from quarterdeck.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from quarterdeck.v1.risk_service_pb2 import EngageKillSwitchRequest
from quarterdeck.v1.risk_service_pb2_grpc import RiskServiceStub
from quarterdeck.v1.system_service_pb2 import GetStatusRequest
from quarterdeck.v1.system_service_pb2_grpc import SystemServiceStub

METHODS = [
    f"/{service}/{method.name}"
    for service in SERVICES
    for method in descriptor_pool.Default().FindServiceByName(service).methods
]
CANCEL_ONLY = EngageKillSwitchRequest.KILL_MODE_CANCEL_ONLY
FORESEEN = {
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
}
LIMITS = Limits(calls=40, streams=20, everything=120, call=0.7)
ASK = GetAccountOverviewRequest(parent=MAIN)


class Host:
    """A server with small limits, and what tells how it is."""

    def __init__(self, folder: Path, loop: LoopThread) -> None:
        self.loop = loop
        self.deck = loop.call(FakeDeck)
        self.server = loop.call(Server, [self.deck], PACE, LIMITS)
        self.path = str(folder / "socket")
        loop.run(self.server.start(f"unix:{self.path}"))
        self.tasks = self._tasks()

    def _tasks(self) -> int:
        return self.loop.call(lambda: len(asyncio.all_tasks()))

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_metadata_size", 1 << 20)]
        with grpc.insecure_channel(f"unix:{self.path}", options) as channel:
            yield channel

    def ask(self) -> None:
        """Ask how it is. In a storm gRPC itself breaks a call off now and then, which our clients try again."""
        with self.channel() as channel:
            for left in reversed(range(10)):
                try:
                    SystemServiceStub(channel).GetStatus(GetStatusRequest(), timeout=10)
                except grpc.RpcError as error:
                    if not left or error.code() is not grpc.StatusCode.CANCELLED:
                        raise
                    time.sleep(0.02)
                else:
                    return

    def is_well(self) -> bool:
        """It answers a stranger, and nothing of what was done to it is still there."""
        self.ask()
        deadline = time.monotonic() + 10
        guard = self.server.guard
        while (guard.calls, guard.streams) != (0, 0) or self._tasks() > self.tasks + 4:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, server_loop: LoopThread) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("hostile"), server_loop)
    yield host
    server_loop.run(host.server.stop())


@pytest.fixture(autouse=True)
def _is_well(host: Host) -> Iterator[None]:
    yield
    assert host.is_well()


def answer_to(channel: Any, method: str, raw: bytes, metadata: Any = None, patience: float = 0.15) -> str:
    """The code a method answers some bytes with. A stream is listened to for a moment."""
    try:
        call: Any = channel.unary_stream(method)(raw, timeout=patience, metadata=metadata)
        for _ in call:
            break
        call.cancel()
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        if code not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
            failure_of(error)  # which checks that it is complete
        return code.name
    return "OK"


DEEP = b"\x0b" * 5_000  # groups in groups
DEEPER = b"\x0a\x04" * 20_000
HALF = b"\x0a\xff\xff\xff\xff\x0f"  # a text of 4 GiB, of which nothing comes
NOT_UTF8 = b"\x0a\x04\xff\xfe\xc0\x80"


@pytest.mark.parametrize("raw", [DEEP, DEEPER, HALF, NOT_UTF8, b"\x00", b"\xff" * 100], ids=lambda raw: raw[:6].hex())
def test_what_is_no_message_is_refused_by_every_method(host: Host, raw: bytes) -> None:
    with host.channel() as channel:
        answers = {method: answer_to(channel, method, raw) for method in METHODS}
    allowed = {"INVALID_ARGUMENT", "OK"}  # which fields a method has decides whether these are a text at all
    assert {method: code for method, code in answers.items() if code not in allowed} == {}
    assert list(answers.values()).count("INVALID_ARGUMENT") > len(METHODS) // 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(METHODS), raw=st.binary(max_size=60))
def test_no_bytes_lead_to_what_nobody_foresaw(host: Host, method: str, raw: bytes) -> None:
    with host.channel() as channel:
        assert answer_to(channel, method, raw) in FORESEEN | {"OK"}


def test_values_no_enum_has_are_refused(host: Host) -> None:
    with host.channel() as channel:
        request = EngageKillSwitchRequest(parent=MAIN, reason="x", request_id=rid(1))
        request.mode = 99  # type: ignore[assignment]  # as a newer client might
        found = failure(RiskServiceStub(channel).EngageKillSwitch, request, timeout=5)
    assert (found.code, found.fields) == ("INVALID_ARGUMENT", ["mode"])


def test_headers_without_end_are_refused(host: Host) -> None:
    with host.channel() as channel:
        method = "/quarterdeck.v1.SystemService/GetStatus"
        for much in ([("x-much", "y" * 60_000)], [(f"x-{n}", "y" * 100) for n in range(400)]):
            assert answer_to(channel, method, b"", much, 10) == "RESOURCE_EXHAUSTED"


def test_too_many_calls_are_told_so_and_the_kill_switch_is_not_among_them(host: Host, do: Callable[..., Any]) -> None:
    with host.channel() as channel:
        do(host.deck.hold)
        ask = AccountServiceStub(channel).GetAccountOverview
        calls = [ask.future(ASK, timeout=20) for _ in range(100)]
        refused = [failure_of(_error(call)) for call in calls[40:]]
        assert {(found.code, found.reason, found.retries) for found in refused} == {("UNAVAILABLE", "OVERLOADED", True)}
        assert {found.metadata["limit"] for found in refused} == {"40 calls"}
        SystemServiceStub(channel).GetStatus(GetStatusRequest(), timeout=5)
        kill = EngageKillSwitchRequest(parent=MAIN, reason="a storm", request_id=rid(2), mode=CANCEL_ONLY)
        killing = None
        deadline = time.monotonic() + 10
        while host.deck.state.trading_state is not TradingState.HALTED:
            if killing is None or killing.done():  # sent again with the same request_id, as any client would
                killing = RiskServiceStub(channel).EngageKillSwitch.future(kill, timeout=5)
            assert time.monotonic() < deadline
            time.sleep(0.005)
        do(host.deck.release)
        assert {call.exception() for call in calls[:40]} <= {None}


def _error(call: Any) -> grpc.RpcError:
    error = call.exception(20)
    assert isinstance(error, grpc.RpcError)
    return error


def test_what_is_always_taken_exists() -> None:
    known = {*METHODS, *(f"/{service}/Check" for service in STANDARD_SERVICES)}
    assert known >= ALWAYS_TAKEN


def test_a_call_that_does_not_end_is_given_up(host: Host, do: Callable[..., Any]) -> None:
    with host.channel() as channel:
        do(host.deck.hold)
        try:
            found = failure(AccountServiceStub(channel).GetAccountOverview, ASK, timeout=20)
        finally:
            do(host.deck.release)
    assert (found.code, found.reason, found.metadata) == ("DEADLINE_EXCEEDED", "TIMED_OUT", {"seconds": "0.7"})


def test_more_calls_than_the_server_looks_at_end_too(host: Host, do: Callable[..., Any]) -> None:
    codes: Counter[str] = Counter()
    do(host.deck.hold)
    try:
        with host.channel() as one, host.channel() as other:
            asks = [AccountServiceStub(channel).GetAccountOverview for channel in (one, other)]
            calls = [ask.future(ASK, timeout=30) for ask, _ in product(asks, range(1_500))]
            codes.update(_error(call).code().name for call in calls)
    finally:
        do(host.deck.release)
    assert sum(codes.values()) == 3_000
    assert set(codes) <= {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED"}


def test_streams_of_all_kinds_have_one_limit(host: Host) -> None:
    with host.channel() as channel:
        events, quotes = EventServiceStub(channel), MarketDataServiceStub(channel)
        there: list[Any] = [events.StreamEvents(StreamEventsRequest(parent=MAIN), timeout=20) for _ in range(10)]
        there += [quotes.StreamQuotes(StreamQuotesRequest(), timeout=20) for _ in range(10)]
        for stream in there[:10]:
            next(stream)
        deadline = time.monotonic() + 5
        while host.server.guard.streams < 20:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        for more in (events.StreamEvents(StreamEventsRequest(parent=MAIN)), quotes.StreamQuotes(StreamQuotesRequest())):
            with pytest.raises(grpc.RpcError) as caught:
                next(more)
            found = failure_of(caught.value)
            assert (found.code, found.reason, found.metadata) == ("UNAVAILABLE", "OVERLOADED", {"limit": "20 streams"})
        SystemServiceStub(channel).GetStatus(GetStatusRequest(), timeout=5)
        for stream in there:
            stream.cancel()


def test_a_storm_of_cancellations_leaves_nothing(host: Host, do: Callable[..., Any]) -> None:
    with host.channel() as channel:
        events, accounts = EventServiceStub(channel), AccountServiceStub(channel)
        for number in range(300):
            stream: Any = events.StreamEvents(StreamEventsRequest(parent=MAIN, after_sequence=0))
            if number % 3 == 0:
                with suppress(grpc.RpcError):
                    next(stream)
            stream.cancel()
        do(host.deck.hold)
        calls = [accounts.GetAccountOverview.future(ASK) for _ in range(100)]
        for call in calls:
            call.cancel()
        do(host.deck.release)


# ---------------------------------------------------------------- below gRPC

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def headers(method: str) -> bytes:
    """The headers of a call, spelt out."""
    said = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x", "te": "trailers"}
    said["content-type"] = "application/grpc"
    texts = [(name.encode(), value.encode()) for name, value in said.items()]
    return b"".join(b"\0" + bytes((len(n),)) + n + bytes((len(v),)) + v for n, v in texts)


SETTINGS = frame(4, 0, 0)
BEGUN = PREFACE + SETTINGS + frame(1, 4, 1, headers("/quarterdeck.v1.SystemService/GetStatus"))
RAW = {
    "nothing": b"",
    "half a preface": PREFACE[:10],
    "no HTTP/2": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a preface alone": PREFACE,
    "a call without its message": BEGUN,
    "half a frame": BEGUN + frame(0, 0, 1, b"\0" * 500)[:50],
    "a message whose length is a lie": BEGUN + frame(0, 1, 1, b"\0\xff\xff\xff\xff" + b"x" * 10),
    "frames of no kind": PREFACE + SETTINGS + b"".join(frame(200, 255, 7, b"x" * 50) for _ in range(50)),
    "headers that do not end": PREFACE + SETTINGS + frame(1, 0, 1, headers("/x")) + frame(9, 0, 1, b"\0") * 100,
    "settings without end": PREFACE + SETTINGS * 2_000,
    "pings without end": PREFACE + SETTINGS + frame(6, 0, 0, b"12345678") * 500,
    "resets without end": PREFACE
    + SETTINGS
    + b"".join(
        frame(1, 4, 2 * n + 1, headers("/quarterdeck.v1.SystemService/GetStatus"))
        + frame(3, 0, 2 * n + 1, b"\0\0\0\x08")
        for n in range(500)
    ),
    "noise": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW)
def test_bytes_that_are_no_call_hold_up_nobody(host: Host, raw: bytes) -> None:
    open_ones = []
    try:
        for _ in range(10):
            one = socket.socket(socket.AF_UNIX)
            one.connect(host.path)
            one.settimeout(5)
            with suppress(OSError):
                one.sendall(raw)
            open_ones.append(one)
        host.ask()
    finally:
        for one in open_ones:
            one.close()
