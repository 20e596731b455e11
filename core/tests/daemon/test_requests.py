"""A wish is carried out once, however often and whenever it is asked for: in parallel, after a restart, years later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from core.tests.daemon.ship import Ship
from core.tests.engine.deciders import RatioSizer, Rule
from core.tests.engine.desk import order
from quarterdeck.daemon import deck
from quarterdeck.daemon.deck import Phase
from quarterdeck.daemon.journal.schema import event
from quarterdeck.domain.errors import AlreadyExists
from quarterdeck.domain.report import Canceled
from quarterdeck.engine import fold
from quarterdeck.engine.events import OrderPrepared, Recorded
from quarterdeck.engine.inputs import Request, SubmitOrder
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.rpc.convert.envelope import decode

FIRST = Request("first", "d")


async def afloat(folder: Path) -> Ship:
    ship = await Ship(folder, Deciders(RatioSizer(), rules=[Rule()])).open()
    ship.deck.phase = Phase.RUNNING
    return ship


@pytest.fixture
async def ship(tmp_path: Path) -> AsyncIterator[Ship]:
    ship = await afloat(tmp_path)
    yield ship
    await ship.loop.idle()
    ship.journal.close()


def wish(order_id: str) -> SubmitOrder:
    return order("0.001", order_id=order_id)


async def ask(ship: Ship, order_id: str, request: Request) -> Recorded:
    recorded = await ship.deck.submit(wish(order_id), request)
    assert recorded is not None
    return recorded


def prepared(ship: Ship, order_id: str) -> int:
    found = (decode(entry.body).event for entry in ship.journal.iterate(0))
    return sum(isinstance(one, OrderPrepared) and one.order_id == order_id for one in found)


async def others(ship: Ship, count: int) -> None:
    """Other requests, for orders that the venue ends."""
    for _ in range(count):
        name = f"other-{ship.state.sequence}"
        await ask(ship, name, Request(name, "d"))
        await ship.loop.idle()
        await end(ship, name)


async def end(ship: Ship, order_id: str) -> None:
    """The venue ends an order. It does not refuse it: an instrument whose orders are refused is paused."""
    ship.loop.post(Canceled(ship.state.open_orders[order_id].link_id, "no", ship.clock.now()))
    await ship.loop.idle()


async def test_asked_many_times_at_once(ship: Ship) -> None:
    answers = await asyncio.gather(*(ask(ship, "mine", FIRST) for _ in range(20)))
    assert {answer.sequence for answer in answers} == {answers[0].sequence}
    assert prepared(ship, "mine") == 1


async def test_asked_at_once_with_other_content(ship: Ship) -> None:
    requests = [Request("first", digest) for digest in "abc"]
    answers = await asyncio.gather(*(ask(ship, "mine", one) for one in requests), return_exceptions=True)
    refused = [one for one in answers if isinstance(one, AlreadyExists)]
    assert [one.reason for one in refused] == ["REQUEST_ID_REUSED"] * 2
    assert prepared(ship, "mine") == 1


async def test_asked_again_by_one_who_gave_up_waiting(ship: Ship) -> None:
    """Whoever hangs up takes nothing back: the second try gets what the first one led to."""
    hasty = asyncio.ensure_future(ask(ship, "mine", FIRST))
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await ask(ship, "mine", FIRST)).sequence < ship.state.sequence + 1
    assert prepared(ship, "mine") == 1


async def test_asked_again_after_many_others_and_a_restart(tmp_path: Path) -> None:
    ship = await afloat(tmp_path)
    first = await ask(ship, "mine", FIRST)
    await others(ship, 300)
    assert await ask(ship, "mine", FIRST) == first
    ship.journal.close()
    again = await afloat(tmp_path)
    assert await ask(again, "mine", FIRST) == first
    with pytest.raises(AlreadyExists):
        await ask(again, "mine", Request("first", "other"))
    assert prepared(again, "mine") == 1
    again.journal.close()


async def test_asked_again_when_it_is_forgotten(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is remembered for so many others. After that its order's id keeps it from being made twice."""
    monkeypatch.setattr(fold, "REQUESTS_KEPT", 10)
    monkeypatch.setattr(deck, "REQUESTS_KEPT", 10)
    monkeypatch.setattr(fold, "CLOSED_ORDERS_KEPT", 5)
    await ask(ship, "mine", FIRST)
    await ship.loop.idle()
    await end(ship, "mine")
    while ship.state.order("mine") is not None or "first" in ship.state.requests:
        await others(ship, 5)
        await _written(ship)
    with pytest.raises(AlreadyExists) as refused:
        await ask(ship, "mine", FIRST)
    assert (refused.value.reason, refused.value.data["name"]) == ("ORDER_ID_TAKEN", "mine")
    assert prepared(ship, "mine") == 1
    assert isinstance((await ask(ship, "new", Request("new", "d"))).event, OrderPrepared)


async def _written(ship: Ship) -> None:
    await ship.loop.settled()
    if (written := ship.keeper.flush(ship.state)) is not None:
        await asyncio.wrap_future(written)


async def test_asked_again_when_what_it_led_to_is_compacted(ship: Ship) -> None:
    first = await ask(ship, "mine", FIRST)
    await others(ship, 3)
    gone = delete(event).where(event.c.sequence <= first.sequence)
    await asyncio.wrap_future(ship.journal.write(ship.journal.head, lambda rows: rows.execute(gone)))
    ship.log._recent.clear()
    with pytest.raises(AlreadyExists) as refused:
        await ask(ship, "mine", FIRST)
    assert refused.value.data == {"sequence": str(first.sequence)}
