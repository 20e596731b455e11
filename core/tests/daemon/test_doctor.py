"""A healthy daemon passes every check, and each harm is seen by the one that is there for it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from core.tests.daemon.ship import Ship
from core.tests.engine.deciders import RatioSizer, Rule
from core.tests.engine.desk import order
from quarterdeck.daemon.deck import Phase
from quarterdeck.domain.market import SECOND
from quarterdeck.engine.checks import Finding, Verdict
from quarterdeck.engine.inputs import Request
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.plugin import VenuePosition


@pytest.fixture
async def ship(tmp_path: Path) -> AsyncIterator[Ship]:
    ship = await Ship(tmp_path, Deciders(RatioSizer(), rules=[Rule()])).open()
    ship.deck.phase, ship.deck.is_connected = Phase.RUNNING, True
    await ship.deck.submit(order("0.1", order_id="mine"), Request("r1", "d"))
    await ship.loop.idle()
    yield ship
    ship.journal.close()


async def examined(ship: Ship, *, full: bool = True) -> dict[str, Finding]:
    return {each.check: each for each in await ship.deck.diagnose(full=full)}


@pytest.mark.parametrize("full", [False, True])
async def test_a_healthy_daemon_fails_nothing_and_leaves_no_promise_out(ship: Ship, full: bool) -> None:
    head = ship.journal.head
    found = await ship.deck.diagnose(full=full)
    assert [each for each in found if each.verdict is Verdict.FAILED] == []
    told = {name for each in found for name in each.invariants}
    assert told == {f"I{number:02}" for number in range(1, 27)}
    assert ship.journal.head == head, "looking recorded something"


async def test_a_state_that_the_journal_does_not_give_is_seen(ship: Ship) -> None:
    ship.state.fill_count += 1
    finding = (await examined(ship))["replay"]
    assert (finding.verdict, finding.detail) == (Verdict.FAILED, "another state than in memory: fill_count")


async def test_an_entry_that_was_changed_is_seen(ship: Ship, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.db") as foreign:
        for (trigger,) in foreign.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            foreign.execute(f"DROP TRIGGER {trigger}")
        foreign.execute("UPDATE event SET time = time + 1 WHERE sequence = 2")
    foreign.close()
    assert (await examined(ship))["chain"].verdict is Verdict.FAILED


async def test_a_venue_that_holds_something_else_is_seen(ship: Ship) -> None:
    assert (await examined(ship))["venue"].verdict is Verdict.OK
    ship.venue.held = [VenuePosition("btcusdt", Decimal(1), Decimal(50_000))]
    finding = (await examined(ship))["venue"]
    assert (finding.verdict, finding.detail) == (Verdict.FAILED, "btcusdt: 0 here, 1 there")


async def test_a_journal_that_others_can_read_is_seen(ship: Ship, tmp_path: Path) -> None:
    (tmp_path / "journal.db").chmod(0o644)
    finding = (await examined(ship))["files"]
    assert finding.verdict is Verdict.WARNING
    assert "journal.db" in finding.detail


async def test_a_damaged_journal_fails_whatever_is_intact_of_it(ship: Ship) -> None:
    ship.deck.damage = ["entry 7 is missing"]
    found = await examined(ship)
    assert (found["journal"].verdict, found["journal"].detail) == (Verdict.FAILED, "entry 7 is missing")
    assert found["state"].verdict is Verdict.WARNING


async def test_the_status_names_what_is_not_as_it_should_be(ship: Ship) -> None:
    status = ship.deck.status()
    assert status.head_hash == ship.journal.chain_head.hash.hex()
    assert (status.unknown_orders, status.queue_depth, status.unclean_start) == ((), 0, False)
    assert status.journal_bytes + status.wal_bytes > 0
    assert status.lease_remaining is None
    ship.deck.lease_remaining = lambda: 1.5
    assert ship.deck.status().lease_remaining == 3 * SECOND // 2
