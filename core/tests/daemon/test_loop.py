"""Written down, then seen: nothing leaves before its commit, and what fails ends the loop."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from core.tests.daemon.conftest import Bridge, candle
from core.tests.engine.desk import order
from quarterdeck.daemon.loop import LINGER, ROUNDS
from quarterdeck.domain.errors import AlreadyExists, InvalidRequest, Unavailable
from quarterdeck.domain.market import HOUR
from quarterdeck.domain.report import Opened
from quarterdeck.engine.effects import QueueOrder
from quarterdeck.engine.events import OrderOpened, OrderPrepared, PortfolioSnapshotTaken, Recorded
from quarterdeck.engine.inputs import CancelAllOrders, EngageKillSwitch, Request, Sending


async def rounds(count: int = ROUNDS + 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nothing_is_seen_or_sent_before_it_is_durable(bridge: Bridge) -> None:
    bridge.commits.hold = True
    before = len(bridge.published)
    answer = bridge.loop.ask(order("0.1"))
    reading = asyncio.ensure_future(bridge.loop.settled())
    await rounds()

    assert len(bridge.state.open_orders) == 1, "the engine has decided"
    assert not bridge.loop.is_settled
    assert not answer.done()
    assert not reading.done() or reading.result() < bridge.state.sequence, "a reader saw what is not durable"
    assert bridge.effects == []
    assert len(bridge.published) == before

    late_reader = asyncio.ensure_future(bridge.loop.settled())
    await rounds()
    assert not late_reader.done()
    bridge.commits.release()
    recorded = await answer
    assert isinstance(recorded, Recorded)
    assert isinstance(recorded.event, OrderPrepared)
    assert bridge.effects == [QueueOrder(recorded.event.link_id)]
    assert bridge.published[before:] == [recorded]
    assert await late_reader == recorded.sequence


async def test_what_arrives_during_a_commit_shares_the_next_one(bridge: Bridge) -> None:
    bridge.commits.hold = True
    first = bridge.loop.ask(order("0.1"))
    await rounds()
    rest = [bridge.loop.ask(order("0.1")) for _ in range(10)]
    await rounds()
    assert len(bridge.commits.waiting) == 1
    assert len(bridge.state.open_orders) == 1, "an input was taken during a commit"
    bridge.commits.release()
    await rounds()
    assert len(bridge.commits.waiting) == 1
    assert len(bridge.commits.waiting[0][0]) == len(rest)
    bridge.commits.release()
    await asyncio.gather(first, *rest)


async def test_who_is_answered_and_asks_again_shares_the_next_commit(bridge: Bridge) -> None:
    bridge.commits.hold = True
    first = bridge.loop.ask(order("0.1"))
    await rounds()
    rest = [bridge.loop.ask(order("0.1"))]
    bridge.commits.release()
    await first
    await rounds(ROUNDS // 2)
    assert not bridge.commits.waiting
    rest.append(bridge.loop.ask(order("0.1")))
    await rounds()
    assert len(bridge.commits.waiting[0][0]) == len(rest)
    bridge.commits.release()
    await asyncio.gather(*rest)


async def test_news_that_comes_during_a_commit_does_not_wait_for_company(bridge: Bridge) -> None:
    bridge.commits.hold = True
    first = bridge.loop.ask(order("0.1"))
    await rounds()
    rest = bridge.loop.ask(order("0.1"))
    bridge.loop.post(CancelAllOrders())
    bridge.commits.release()
    await first
    await rounds(3)
    assert bridge.commits.waiting
    bridge.commits.release()
    await rest


async def test_the_kill_switch_does_not_wait_for_company(bridge: Bridge) -> None:
    bridge.commits.hold = True
    first = bridge.loop.ask(order("0.1"))
    await rounds()
    rest = bridge.loop.ask(order("0.1"))
    halted = bridge.loop.ask(EngageKillSwitch("enough"))
    bridge.commits.release()
    await first
    await rounds(3)
    assert bridge.commits.waiting
    bridge.commits.release()
    await asyncio.gather(rest, halted)


async def test_readers_are_served_between_commits_under_load(bridge: Bridge) -> None:
    served = asyncio.Event()

    async def reader() -> None:
        await rounds(1)
        await bridge.loop.settled()
        served.set()

    async def load() -> None:
        answers = []
        while not served.is_set():
            answers.append(bridge.loop.ask(order("0.001")))
            await asyncio.sleep(0)
        await asyncio.gather(*answers)

    await asyncio.wait_for(asyncio.gather(reader(), load()), 5)


async def test_a_wrong_command_records_nothing(bridge: Bridge) -> None:
    sequence = bridge.state.sequence
    with pytest.raises(InvalidRequest, match="lot size"):
        await bridge.loop.ask(order("0.00001"))
    assert bridge.state.sequence == sequence
    assert bridge.loop.is_idle


async def test_a_command_without_consequence_is_answered(bridge: Bridge) -> None:
    assert await bridge.loop.ask(CancelAllOrders()) is None


async def test_a_repeated_request_gets_the_place_of_its_answer(bridge: Bridge) -> None:
    request = Request("5f0c", "digest")
    bridge.commits.hold = True
    first = bridge.loop.ask(order("0.1"), request)
    again = bridge.loop.ask(order("0.1"), request)
    await rounds()
    bridge.commits.release()
    recorded = await first
    assert isinstance(recorded, Recorded)
    assert await again == recorded.sequence
    assert len(bridge.state.open_orders) == 1
    with pytest.raises(AlreadyExists, match="other content"):
        await bridge.loop.ask(order("0.2"), Request("5f0c", "another"))


async def test_a_failed_commit_ends_everything(bridge: Bridge) -> None:
    bridge.commits.hold = True
    answer = bridge.loop.ask(order("0.1"))
    await rounds()
    waiting = bridge.loop.ask(order("0.1"))
    reader = asyncio.ensure_future(bridge.loop.idle())
    bridge.commits.release(OSError("the disk is full"))
    assert isinstance(await bridge.loop.broken, OSError)
    with pytest.raises(Unavailable, match="stopping"):
        await waiting
    await asyncio.wait_for(reader, 1)
    with pytest.raises(Unavailable, match="stopping"):
        await answer
    assert bridge.effects == []


async def test_a_bug_in_the_core_ends_everything(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bridge.machine, "step", broken)
    answer = bridge.loop.ask(order("0.1"))
    assert isinstance(await bridge.loop.broken, ZeroDivisionError)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(answer, 1)


async def test_who_asks_after_the_end_is_told_at_once(bridge: Bridge) -> None:
    bridge.commits.hold = True
    first = bridge.loop.ask(order("0.1"))
    await rounds()
    bridge.commits.release(OSError("the disk is full"))
    with pytest.raises(Unavailable):
        await first
    with pytest.raises(Unavailable, match="stopping"):
        await asyncio.wait_for(bridge.loop.ask(order("0.1")), 1)


async def test_idle_waits_for_requests_at_the_venue(bridge: Bridge) -> None:
    bridge.loop.begin()
    idle = asyncio.ensure_future(bridge.loop.idle())
    await rounds()
    assert not idle.done()
    bridge.loop.end()
    await asyncio.wait_for(idle, 1)


async def test_take_is_at_once(bridge: Bridge) -> None:
    bridge.clock.advance(bridge.clock.now() + HOUR)
    bridge.loop.take(candle(51_000.0, bridge.clock.now()))
    assert bridge.machine.view.mark("btcusdt") == Decimal("51000.0")
    await bridge.loop.idle()
    assert isinstance(bridge.commits.durable[-1].event, PortfolioSnapshotTaken)


async def sent(bridge: Bridge) -> str:
    """The link id of an order that was sent to the venue, whose answer is out."""
    recorded = await bridge.loop.ask(order("0.1"))
    assert isinstance(recorded, Recorded)
    assert isinstance(recorded.event, OrderPrepared)
    bridge.loop.post(Sending(recorded.event.link_id))
    await bridge.loop.idle()
    return recorded.event.link_id


async def test_news_that_can_wait_shares_the_next_commit(bridge: Bridge) -> None:
    link_id = await sent(bridge)
    bridge.commits.hold = True
    bridge.loop.note(Opened(link_id, "x", bridge.clock.now()))
    await rounds()
    assert not bridge.commits.waiting
    answer = bridge.loop.ask(order("0.1"))
    await rounds()
    ((events, _),) = bridge.commits.waiting
    assert [type(one.event) for one in events] == [OrderOpened, OrderPrepared]
    bridge.commits.release()
    await answer


async def test_news_that_waits_in_vain_is_taken_all_the_same(bridge: Bridge) -> None:
    link_id = await sent(bridge)
    bridge.loop.note(Opened(link_id, "x", bridge.clock.now()))
    await asyncio.sleep(10 * LINGER)
    assert isinstance(bridge.commits.durable[-1].event, OrderOpened)


async def test_readers_do_not_miss_news_that_waits(bridge: Bridge) -> None:
    link_id = await sent(bridge)
    bridge.loop.note(Opened(link_id, "x", bridge.clock.now()))
    assert not bridge.loop.is_settled
    assert await bridge.loop.settled() == bridge.state.sequence
    assert isinstance(bridge.commits.durable[-1].event, OrderOpened)


@pytest.mark.parametrize("early", [True, False])
async def test_news_does_not_wait_where_idleness_is_awaited(bridge: Bridge, early: bool) -> None:
    link_id = await sent(bridge)
    bridge.loop.begin()
    if early:
        bridge.loop.note(Opened(link_id, "x", bridge.clock.now()))
    idle = asyncio.ensure_future(bridge.loop.idle())
    await rounds()
    if not early:
        bridge.loop.note(Opened(link_id, "x", bridge.clock.now()))
    await rounds()
    assert isinstance(bridge.commits.durable[-1].event, OrderOpened)
    bridge.loop.end()
    await asyncio.wait_for(idle, 1)
