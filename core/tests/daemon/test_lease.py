"""The lease: what could not be proved in time closes the gate, and it opens only after the venue was asked."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from core.tests.daemon.conftest import Bridge, Venue
from core.tests.engine.desk import order
from quarterdeck.daemon.journal import ConnectionLost, Fenced, Journal
from quarterdeck.daemon.lease import EXTRA, Lease
from quarterdeck.daemon.order_link import OrderLink
from quarterdeck.domain.order import OrderState
from quarterdeck.engine.obstacles import JOURNAL, LEASE

TTL = 10.0


class Watched:
    """A lease on a real journal, by a clock that the test moves."""

    def __init__(self, bridge: Bridge, folder: Path) -> None:
        self.bridge = bridge
        self.path = folder / "journal.db"
        self.journal = Journal.open(f"sqlite:///{self.path}", "main")
        self.lease = Lease(self.journal, bridge.loop, bridge.machine.obstacles, TTL, 5.0, self.agree)
        self.now = 100.0
        self.lease.now = lambda: self.now
        self.agreed = 0
        self.fails: Exception | None = None

    async def agree(self) -> None:
        assert LEASE in self.bridge.machine.obstacles, "the gate was open while the venue was asked"
        if self.fails:
            raise self.fails
        self.agreed += 1

    async def prove(self) -> None:
        await self.lease.prove()
        await self.bridge.loop.idle()

    @property
    def obstacles(self) -> set[str]:
        return set(self.bridge.machine.obstacles)


@pytest.fixture
async def watched(bridge: Bridge, tmp_path: Path) -> Watched:
    watched = Watched(bridge, tmp_path)
    await watched.lease.begin()
    return watched


async def test_a_lease_proved_in_time_lets_everything_pass(watched: Watched) -> None:
    for _ in range(5):
        watched.now += TTL / 3
        assert watched.lease.may_send()
        await watched.prove()
        assert watched.lease.remaining == TTL
    assert (watched.obstacles, watched.agreed) == (set(), 0)


async def test_after_a_pause_nothing_leaves_until_the_venue_was_asked(watched: Watched, venue: Venue) -> None:
    bridge = watched.bridge
    link = OrderLink(venue, bridge.loop, bridge.clock, bridge.doubted.append, watched.lease.may_send)
    bridge.loop.connect(link.act, [])
    watched.now += TTL + 0.001  # as when it was stopped and goes on
    await bridge.loop.ask(order("0.1", order_id="late"))
    await bridge.loop.idle()
    assert venue.placed == []
    late = bridge.state.order("late")
    assert late is not None
    assert late.state is OrderState.NOT_SENT
    watched.fails = ValueError("the venue is away")
    await watched.prove()
    assert watched.obstacles == {LEASE}
    await bridge.loop.ask(order("0.1", order_id="refused"))
    assert bridge.state.order("refused") is None
    watched.fails = None
    await watched.prove()
    assert (watched.obstacles, watched.agreed) == (set(), 1)
    await bridge.loop.ask(order("0.1", order_id="sent"))
    await bridge.loop.idle()
    assert len(venue.placed) == 1


async def test_a_database_that_is_away_closes_the_gate_only_when_time_is_up(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_now: int) -> None:
        raise ConnectionLost("away")

    with monkeypatch.context() as patched:
        patched.setattr(watched.journal, "renew", away)
        watched.now += TTL / 2
        await watched.prove()
        assert watched.obstacles == set()
        watched.now += TTL / 2
        await watched.prove()
        assert watched.obstacles == {LEASE}
        assert not watched.lease.may_send()
    await watched.prove()
    assert (watched.obstacles, watched.agreed) == (set(), 1)


async def test_whoever_is_fenced_stops_at_once(watched: Watched) -> None:
    watched.path.with_name("journal.db.lock").unlink()
    watched.lease.ttl = 0.03
    await asyncio.wait_for(watched.lease.keep(), 10)
    assert isinstance(watched.bridge.loop.broken.result(), Fenced)


async def test_trouble_with_the_database_is_an_obstacle(watched: Watched) -> None:
    hear = watched.journal._writer.on_trouble
    await asyncio.to_thread(hear, "the server is gone")
    await asyncio.sleep(0)
    await watched.bridge.loop.idle()
    assert watched.obstacles == {JOURNAL}
    await asyncio.to_thread(hear, None)
    await asyncio.sleep(0)
    await watched.bridge.loop.idle()
    assert watched.obstacles == set()


def test_only_a_leader_that_may_live_is_waited_for(journal_url: str) -> None:
    def opened() -> tuple[Journal, bool]:
        journal = Journal.open(journal_url, "main")
        return journal, journal.predecessor_may_live

    journal, may_live = opened()
    assert not may_live, "there was none"
    journal.close()
    journal, may_live = opened()
    assert not may_live, "it closed the journal"
    database = journal._database
    for holder, lives in (
        (database._holder.replace(f"process {os.getpid()} ", "process 1 "), True),
        (database._holder.replace(f"process {os.getpid()} ", "process 4194304 "), False),
        ("process 4194304 on elsewhere, 1", True),
        ("somebody", True),
    ):
        database._holder = ""
        with database.transaction(synced=True) as connection:
            connection.exec_driver_sql(f"UPDATE lease SET holder = '{holder}'")
        database.take(1)
        is_certain = journal_url.startswith("sqlite")  # the lock would not be ours, if it lived
        assert database.predecessor_may_live == (lives and not is_certain), holder
    journal.close()


async def test_a_leader_that_may_live_is_waited_out_and_one_that_ended_is_not(
    bridge: Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(f"sqlite:///{tmp_path / 'left.db'}", "main")
    lease = Lease(journal, bridge.loop, bridge.machine.obstacles, TTL, 5.0, no_agreement)
    replay = Lease(journal, bridge.loop, bridge.machine.obstacles, None, 5.0, no_agreement)
    assert lease.to_wait == 0.0
    monkeypatch.setattr(Journal, "predecessor_may_live", True)
    assert lease.to_wait == TTL + 5.0 + EXTRA
    assert replay.to_wait == 0.0, "nothing of a replay reaches anybody"
    journal.close()


async def no_agreement() -> None:
    raise AssertionError("nobody asks")
