"""What a client was told stays true when the daemon is killed: its place, its copy, its requests, the kill switch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from quarterdeck.client import AlreadyExists, Client, Replica, RiskRefused, SyncClient, TradingHalted
from quarterdeck.client.events import Event, OrderFilled, OrderPrepared, OrderRefused
from quarterdeck.client.resources import short_id
from quarterdeck.client.state import AccountState
from quarterdeck.v1 import event_service_pb2, event_service_pb2_grpc
from tests.e2e.process import DaemonProcess

#: No rule is in the way of what the tests do by hand, but that one order may not be worth more than 100 000.
QUIET = """\
mode = "paper"
[journal]
url = "sqlite:///journal.db"
[exchange]
plugin = "paper"
[exchange.settings.balances]
USDT = "1000000"
[feed]
plugin = "synthetic"
[feed.settings]
seed = 6
speed = {speed}
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
max_position_risk = 1
max_notional = 100000
max_entries_per_minute = "off"
price_band = "off"
"""

#: The same with a bot that trades all the time.
BUSY = (
    QUIET.format(speed=300)
    + """
[[bots]]
id = "crossing"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
[bots.settings]
fast = 2
slow = 5
"""
)


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[DaemonProcess]:
    yield from running(DaemonProcess(tmp_path, BUSY))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    yield from running(DaemonProcess(tmp_path_factory.mktemp("quiet"), QUIET.format(speed=20)))


def running(process: DaemonProcess) -> Iterator[DaemonProcess]:
    process.start()
    yield process
    process.kill()


def crash(daemon: DaemonProcess) -> None:
    daemon.kill()
    daemon.start()


class Dropping:
    """A client that hangs up after so many messages, and comes back with the token of the last one."""

    def __init__(self, messages: int) -> None:
        self._messages = messages
        self._place = event_service_pb2.StreamEventsRequest(parent="accounts/main", after_sequence=0)
        self.sequences: list[int] = []

    def read_to(self, sequence: int, address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            stub = event_service_pb2_grpc.EventServiceStub(channel)
            while len(self.sequences) < sequence:
                stream = stub.StreamEvents(self._place, timeout=20)
                for _, message in zip(range(self._messages), stream, strict=False):
                    if message.HasField("envelope"):
                        self.sequences.append(message.envelope.sequence)
                    self._place = event_service_pb2.StreamEventsRequest(
                        parent="accounts/main",
                        resume_token=message.resume_token,
                    )
                stream.cancel()


def head_beyond(daemon: DaemonProcess, sequence: int) -> int:
    with SyncClient.connect(daemon.address) as client:
        while (head := client.system.status().head_sequence) <= sequence:
            time.sleep(0.02)
        return head


def test_who_drops_and_resumes_sees_each_event_once(busy: DaemonProcess) -> None:
    clients = [Dropping(messages) for messages in (1, 2, 3, 7)]
    head = head_beyond(busy, 40)
    for client in clients:
        client.read_to(head, busy.address)
    crash(busy)
    later = head_beyond(busy, head + 40)
    for client in clients:
        client.read_to(later, busy.address)
        assert client.sequences == list(range(1, len(client.sequences) + 1))


def test_a_stream_goes_on_over_a_crash_by_itself(busy: DaemonProcess) -> None:
    with SyncClient.connect(busy.address) as client, client.events.stream(after=0) as stream:
        head = head_beyond(busy, 20)
        seen = [next(stream) for _ in range(head)]
        crash(busy)
        later = head_beyond(busy, head + 20)
        seen += [next(stream) for _ in range(later - head)]
        assert [event.sequence for event in seen] == list(range(1, later + 1))
        assert list(client.events.list(limit=head)) == [_untold(event) for event in seen[:head]], "history changed"


def _untold(event: Event) -> Event:
    """A listed event has no token to resume from."""
    return replace(event, resume_token=b"")


def _is_at(sequence: int, state: AccountState) -> bool:
    return state.sequence >= sequence


async def test_a_replica_is_what_the_lists_say_after_a_crash(busy: DaemonProcess) -> None:
    states: dict[int, AccountState] = {}
    async with Client.connect(busy.address) as client, Replica(client) as replica:
        replica.on_event(lambda event, state: states.__setitem__(event.sequence, state))
        await client.orders.create(
            instrument="btcusdt",
            side="BUY",
            type="LIMIT",
            quantity="0.001",
            limit_price="10000",
            order_id="resting",
        )
        head = replica.state.sequence
        await replica.wait_for(lambda state: state.sequence > head + 30, timeout=20)
        crash(busy)
        after = (await client.system.status()).head_sequence
        await replica.wait_for(lambda state: state.sequence > after + 30, timeout=20)
        for _ in range(5):
            positions = client.positions.list()
            held = {short_id(one.instrument): (one.quantity, one.average_price) for one in await positions}
            orders = client.orders.list(open_only=True)
            working = {short_id(one.name): one.state for one in await orders}
            last = orders.snapshot_sequence or 0
            await replica.wait_for(partial(_is_at, last), timeout=20)
            there = states[positions.snapshot_sequence or 0].positions
            assert held == {name: (one.quantity, one.average_price) for name, one in there.items()}
            assert working == {name: order.state for name, order in states[last].orders.items()}
            assert "resting" in working
        assert replica.resyncs == 0
    assert sorted(states) == list(range(min(states), max(states) + 1))


def test_a_request_sent_again_after_a_crash_gets_the_first_outcome(quiet: DaemonProcess) -> None:
    request_id = str(uuid4())

    def create(client: SyncClient, quantity: str = "0.001") -> int:
        made = client.orders.create(
            instrument="btcusdt",
            side="BUY",
            type="LIMIT",
            quantity=quantity,
            limit_price="30000",
            order_id="once",
            request_id=request_id,
        )
        assert made.order.name == "accounts/main/orders/once"
        return made.sequence

    with SyncClient.connect(quiet.address) as client:
        first = create(client)
    crash(quiet)
    with SyncClient.connect(quiet.address) as client:
        assert create(client) == first
        assert _prepared(client, "once") == 1
        with pytest.raises(AlreadyExists) as refused:
            create(client, "0.002")
        assert refused.value.reason == "REQUEST_ID_REUSED"
        assert _prepared(client, "once") == 1


def test_a_request_sent_many_times_at_once_over_a_crash_is_one(quiet: DaemonProcess) -> None:
    request_id = str(uuid4())

    def create(_: int) -> int:
        with SyncClient.connect(quiet.address) as client:
            return client.orders.create(
                instrument="btcusdt",
                side="BUY",
                type="LIMIT",
                quantity="0.001",
                limit_price="30000",
                order_id="at-once",
                request_id=request_id,
            ).sequence

    with ThreadPoolExecutor(8) as callers:
        first = set(callers.map(create, range(8)))
        crash(quiet)
        assert set(callers.map(create, range(8))) == first
    assert len(first) == 1
    with SyncClient.connect(quiet.address) as client:
        assert _prepared(client, "at-once") == 1


@pytest.fixture
def trading(tmp_path: Path) -> Iterator[DaemonProcess]:
    """One whose bot is not refused."""
    yield from running(DaemonProcess(tmp_path, BUSY.replace("max_notional = 100000", "max_notional = 100000000")))


def test_a_streamed_fill_is_the_listed_one(trading: DaemonProcess) -> None:
    with SyncClient.connect(trading.address) as client:
        with client.events.stream(after=0, types=[OrderFilled]) as fills:
            streamed = [event.body.fill for event in islice(fills, 4) if isinstance(event.body, OrderFilled)]
        listed = {fill.exchange_trade_id: fill for fill in client.fills.list()}
        assert all(listed[fill.exchange_trade_id].bot == fill.bot == "bots/crossing" for fill in streamed)


def _prepared(client: SyncClient, order_id: str) -> int:
    events = (event.body for event in client.events.list(types=[OrderPrepared]))
    return sum(isinstance(body, OrderPrepared) and short_id(body.order.name) == order_id for body in events)


def test_a_refusal_asked_for_again_after_a_crash_stays_one(quiet: DaemonProcess) -> None:
    request_id = str(uuid4())

    def refused(client: SyncClient) -> tuple[str, object, object]:
        with pytest.raises(RiskRefused) as error:
            client.orders.create(
                instrument="btcusdt",
                side="BUY",
                type="MARKET",
                quantity="10",
                order_id="too-much",
                request_id=request_id,
            )
        return error.value.rule, error.value.limit, error.value.observed

    with SyncClient.connect(quiet.address) as client:
        first = refused(client)
    crash(quiet)
    with SyncClient.connect(quiet.address) as client:
        assert refused(client) == first
        assert len(list(client.events.list(types=[OrderRefused]))) == 1


def test_the_kill_switch_survives_a_crash(quiet: DaemonProcess) -> None:
    def buy(client: SyncClient) -> int:
        return client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity="0.01").sequence

    def filled(client: SyncClient, after: int) -> None:
        with client.events.stream(after=after, types=[OrderFilled]) as fills:
            next(fills)

    with SyncClient.connect(quiet.address) as client:
        filled(client, buy(client))
        client.risk.engage_kill_switch("a test")
    crash(quiet)
    with SyncClient.connect(quiet.address) as client:
        assert client.risk.state().trading_state == "HALTED"
        assert client.system.status().state == "KILLED"
        with pytest.raises(TradingHalted):
            buy(client)
        filled(client, client.positions.close("btcusdt").sequence)
        assert list(client.positions.list()) == []
        client.risk.release_kill_switch("over")
        assert client.risk.state().trading_state == "ACTIVE"
        filled(client, buy(client))
        filled(client, client.positions.close("btcusdt").sequence)
