"""Tables and snapshots follow the journal, and whoever lists sees everything up to now."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from core.tests.daemon.ship import Ship
from core.tests.engine.deciders import RatioSizer, Rule
from core.tests.engine.desk import order
from quarterdeck.daemon import keeper
from quarterdeck.daemon.journal.snapshots import state_format
from quarterdeck.engine.pipeline import Deciders


async def sail(folder: Path) -> Ship:
    return await Ship(folder, Deciders(RatioSizer(), rules=[Rule()])).open()


async def buy(ship: Ship, order_id: str) -> None:
    await ship.loop.ask(order("0.1", order_id=order_id))
    await ship.loop.idle()


async def test_a_listing_is_as_new_as_the_journal(tmp_path: Path) -> None:
    ship = await sail(tmp_path)
    for number in range(3):
        answer = ship.loop.ask(order("0.01", order_id=f"o{number}"))
        await answer
        found = await ship.history.order(f"o{number}")
        assert found is not None
        assert found.order_id == f"o{number}"
    await ship.loop.idle()
    page = await ship.history.orders(10, None, symbol=None, bot_id=None)
    assert sorted(one.order_id for one in page.rows) == ["o0", "o1", "o2"]
    assert await ship.history.order("none") is None
    assert list((await ship.history.fills(10, None, order_id=None, symbol=None, bot_id=None)).rows) == []
    ship.journal.close()


async def test_what_is_up_to_date_is_not_written_again(tmp_path: Path) -> None:
    ship = await sail(tmp_path)
    await buy(ship, "mine")
    written = ship.keeper.flush(ship.state)
    assert written is not None
    await asyncio.wrap_future(written)
    assert ship.keeper.flush(ship.state) is None
    ship.journal.close()


async def test_a_listing_waits_for_what_is_being_written_already(tmp_path: Path) -> None:
    ship = await sail(tmp_path)
    await buy(ship, "mine")
    free = threading.Event()
    ship.journal.write(ship.state.sequence, lambda _: free.wait(10))
    ship.keeper.keep(ship.state)  # as it does now and then; the writer is not there yet
    listing = asyncio.ensure_future(ship.history.order("mine"))
    await asyncio.sleep(0.05)
    free.set()
    found = await listing
    assert found is not None
    assert found.order_id == "mine"
    ship.journal.close()


async def test_a_snapshot_is_taken_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship = await sail(tmp_path)
    ship.keeper.keep(ship.state)
    assert ship.journal.latest_snapshot(state_format(), ship.journal.head) is None
    monkeypatch.setattr(keeper, "SNAPSHOT_AFTER", 3)
    await buy(ship, "mine")
    head = ship.state.sequence
    ship.keeper.keep(ship.state)
    ship.keeper.keep(ship.state)
    await asyncio.wrap_future(ship.keeper.snapshot(ship.state))
    snapshot = ship.journal.latest_snapshot(state_format(), head)
    assert snapshot is not None
    assert snapshot.sequence == head
    ship.journal.close()


@pytest.mark.parametrize("snapshot", [False, True], ids=["folded", "from a snapshot"])
async def test_the_next_start_finds_the_state(snapshot: bool, tmp_path: Path) -> None:
    ship = await sail(tmp_path)
    await buy(ship, "before")
    if snapshot:
        await asyncio.wrap_future(ship.keeper.snapshot(ship.state))
    await buy(ship, "after")
    ship.journal.close()
    again = Ship(tmp_path, Deciders(RatioSizer(), rules=[Rule()]))
    assert again.state == ship.state
    assert await again.history.order("after") is not None
    again.journal.close()
