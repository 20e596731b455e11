from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import grpc
import pytest

from clients.python.tests.account_history import AccountHistory
from clients.python.tests.fake_daemon import FakeDaemon, refuse
from clients.python.tests.messages import envelope
from clients.python.tests.test_state import facts, history, listed
from quarterdeck.client import AccountState, Client, Event, Replica, Unavailable, UnknownEvent
from quarterdeck.v1.account_service_pb2 import GetAccountOverviewResponse
from quarterdeck.v1.order_service_pb2 import ListOrdersResponse
from quarterdeck.v1.position_service_pb2 import ListPositionsResponse

SEED = 3
END = 40


def serve(daemon: FakeDaemon, account: AccountHistory, until: int, between: int = 0) -> None:
    """Let the daemon list an account as its journal stands; `between` events happen after each list."""
    daemon.journal = list(account.envelopes[:until])

    def listing(make: Callable[[int], object]) -> Callable[[object], object]:
        def answer(_: object) -> object:
            sequence = len(daemon.journal)
            daemon.record(*account.envelopes[sequence : sequence + between])
            return make(sequence)

        return answer

    daemon.answers["ListOrders"] = listing(
        lambda at: ListOrdersResponse(orders=account.orders(at, open_only=True), snapshot_sequence=at)
    )
    daemon.answers["ListPositions"] = listing(
        lambda at: ListPositionsResponse(positions=account.positions(at), snapshot_sequence=at)
    )
    daemon.answers["GetAccountOverview"] = listing(
        lambda at: GetAccountOverviewResponse(overview=account.overview(at), snapshot_sequence=at)
    )


async def at(replica: Replica, sequence: int) -> AccountState:
    """The state of the replica at the latest once it has come that far."""
    return await replica.wait_for(lambda state: state.sequence >= sequence, timeout=5)


@pytest.mark.parametrize("between", [0, 1, 4])
@pytest.mark.parametrize("begun", [1, 10, 25])
async def test_it_is_what_the_daemon_lists(client: Client, daemon: FakeDaemon, begun: int, between: int) -> None:
    serve(daemon, history(SEED), begun, between)
    async with Replica(client) as replica:
        assert replica.state.is_consistent
        assert replica.state.sequence == begun + (2 * between)  # where the last list was read
        daemon.record(*history(SEED).envelopes[len(daemon.journal) :])
        assert facts(await at(replica, END)) == facts(listed(SEED, END, END, END))
        assert replica.resyncs == 0


@pytest.mark.parametrize("position", range(0, 30, 3))
async def test_breaks_and_repeats_change_nothing(client: Client, daemon: FakeDaemon, position: int) -> None:
    serve(daemon, history(SEED), 10)
    daemon.interruptions.extend([position, 0, 2])
    daemon.overlap = 3
    async with Replica(client) as replica:
        daemon.record(*history(SEED).envelopes[10:])
        assert facts(await at(replica, END)) == facts(listed(SEED, END, END, END))


async def test_it_follows_over_a_restart(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, history(SEED), 10)
    async with Replica(client) as replica:
        daemon.record(*history(SEED).envelopes[10:20])
        await at(replica, 20)
        assert replica.connected
        daemon.stop()
        daemon.record(*history(SEED).envelopes[20:])
        assert replica.state.sequence == 20
        daemon.start()
        assert facts(await at(replica, END)) == facts(listed(SEED, END, END, END))
        assert replica.resyncs == 0


@pytest.mark.parametrize(
    ("code", "reason"), [("OUT_OF_RANGE", "POSITION_COMPACTED"), ("FAILED_PRECONDITION", "JOURNAL_MISMATCH")]
)
async def test_where_the_way_back_is_gone_it_begins_anew(
    client: Client, daemon: FakeDaemon, code: str, reason: str
) -> None:
    serve(daemon, history(SEED), 10)
    async with Replica(client) as replica:
        daemon.stop()
        daemon.record(*history(SEED).envelopes[10:30])
        daemon.steps["StreamEvents"].append(refuse(grpc.StatusCode[code], reason))
        daemon.steps["ListOrders"].append(refuse(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH"))
        daemon.start()
        await at(replica, 30)
        assert replica.resyncs == 1
        daemon.record(*history(SEED).envelopes[30:])
        assert facts(await at(replica, END)) == facts(listed(SEED, END, END, END))


async def test_callbacks_are_told_each_event_once(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, history(SEED), 10)
    daemon.interruptions.extend([3, 3])
    daemon.overlap = 2
    told: list[tuple[int, int]] = []

    def tell(event: Event, state: AccountState) -> None:
        told.append((event.sequence, state.sequence))

    async with Replica(client) as replica:
        stop = replica.on_event(tell)
        daemon.record(*history(SEED).envelopes[10:30])
        await at(replica, 30)
        stop()
        daemon.record(*history(SEED).envelopes[30:])
        await at(replica, END)
    assert told == [(sequence, sequence) for sequence in range(11, 31)]


async def test_states_come_newest_first_to_a_slow_reader(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, history(SEED), 10)
    async with Replica(client) as replica:
        states = replica.states()
        assert (await anext(states)).sequence == 10
        daemon.record(*history(SEED).envelopes[10:])
        await at(replica, END)
        assert (await anext(states)).sequence == END
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(states), 0.01)


async def test_waiting_ends_in_time(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, history(SEED), 10)
    async with Replica(client) as replica:
        with pytest.raises(TimeoutError):
            await replica.wait_for(lambda state: state.sequence > 10, timeout=0.01)


async def test_what_it_must_not_skip_ends_it_for_everybody(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, history(SEED), 10)
    unknown = envelope(11)
    unknown.ClearField("daemon_stopped")
    async with Replica(client) as replica:
        waiting = asyncio.create_task(replica.wait_for(lambda state: state.sequence > 10))
        daemon.record(unknown)
        with pytest.raises(UnknownEvent):
            await waiting
        with pytest.raises(UnknownEvent):
            _ = replica.state
        with pytest.raises(UnknownEvent):
            await anext(replica.states())


async def test_a_callback_that_raises_ends_it(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, history(SEED), 10)
    failing = itertools.count()

    def fail(_: Event, __: AccountState) -> None:
        next(failing)
        raise LookupError("in the callback")

    async with Replica(client) as replica:
        replica.on_event(fail)
        daemon.record(*history(SEED).envelopes[10:])
        with pytest.raises(LookupError):
            await replica.wait_for(lambda state: state.sequence == END)
    assert next(failing) == 1


async def test_it_cannot_begin_without_a_daemon(client: Client, daemon: FakeDaemon) -> None:
    daemon.stop()
    replica = Replica(client.with_options(timeout=0.02))
    with pytest.raises(RuntimeError, match="async with"):
        _ = replica.state
    with pytest.raises(Unavailable):
        async with replica:
            pass
