"""An order is announced, then sent once; whatever goes wrong leaves its outcome open."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.tests.daemon.conftest import Bridge, Venue
from core.tests.engine.desk import order
from quarterdeck.daemon.order_link import OrderLink
from quarterdeck.domain.order import OrderState, OrderType
from quarterdeck.domain.report import Acked, Opened, Rejected
from quarterdeck.engine.events import OrderPrepared, OrderSent, Recorded
from quarterdeck.engine.inputs import AmendOrder, CancelOrder, EngageKillSwitch
from quarterdeck.plugin.exchange import CancelOrder as VenueCancel


@pytest.fixture
def link(bridge: Bridge, venue: Venue) -> OrderLink:
    link = OrderLink(venue, bridge.loop, bridge.clock, bridge.doubted.append)
    bridge.loop.connect(link.act, [bridge.published.extend])
    return link


async def submit(bridge: Bridge, **terms: Any) -> str:
    answer = await bridge.loop.ask(order("0.1", **terms))
    assert isinstance(answer, Recorded)
    assert isinstance(answer.event, OrderPrepared)
    await bridge.loop.idle()
    return answer.event.order_id


def state_of(bridge: Bridge, order_id: str) -> OrderState:
    found = bridge.state.order(order_id)
    assert found is not None
    return found.state


async def test_an_order_is_sent_once_after_it_says_so(bridge: Bridge, venue: Venue, link: OrderLink) -> None:
    bridge.commits.hold = True
    answer = bridge.loop.ask(order("0.1"))
    await asyncio.sleep(0)
    bridge.commits.release()
    await answer
    for _ in range(3):
        await asyncio.sleep(0)
    assert venue.placed == [], "sent before OrderSent was durable"
    assert isinstance(bridge.commits.waiting[0][0][0].event, OrderSent)
    bridge.commits.hold = False
    bridge.commits.release()
    await bridge.loop.idle()
    assert len(venue.placed) == 1
    assert [type(one.event).__name__ for one in bridge.commits.durable[-3:]] == [
        "OrderPrepared",
        "OrderSent",
        "OrderAcked",
    ]


async def test_a_rejection_is_an_answer(bridge: Bridge, venue: Venue, link: OrderLink) -> None:
    venue.outcome = lambda placed: Rejected(placed.link_id, "NO_MARGIN", bridge.clock.now())
    order_id = await submit(bridge)
    assert state_of(bridge, order_id) is OrderState.REJECTED


async def test_a_venue_that_raises_leaves_the_outcome_open(bridge: Bridge, venue: Venue, link: OrderLink) -> None:
    venue.fails = TimeoutError("no answer")
    order_id = await submit(bridge)
    assert state_of(bridge, order_id) is OrderState.UNKNOWN
    assert len(venue.placed) == 1, "sent again without asking"


async def test_a_venue_that_breaks_off_does_not_end_the_daemon_s_own(
    bridge: Bridge, venue: Venue, link: OrderLink
) -> None:
    venue.fails = asyncio.CancelledError("the connection was closed")  # type: ignore[assignment]  # a library's own
    order_id = await submit(bridge)
    assert state_of(bridge, order_id) is OrderState.UNKNOWN


@pytest.mark.parametrize("answer", [None, Acked("another", "x1", 0), "OK"])
async def test_an_answer_about_something_else_proves_nothing(
    bridge: Bridge, venue: Venue, link: OrderLink, answer: Any
) -> None:
    venue.outcome = lambda _: answer
    order_id = await submit(bridge)
    assert state_of(bridge, order_id) is OrderState.UNKNOWN


async def test_a_cancel_that_raises_is_in_doubt_and_still_wanted(bridge: Bridge, venue: Venue, link: OrderLink) -> None:
    order_id = await submit(bridge, type=OrderType.LIMIT, limit_price="49000")
    link_id = venue.placed[0].link_id
    bridge.loop.post(Opened(link_id, "x", bridge.clock.now()))
    venue.fails = ConnectionError("gone")
    await bridge.loop.ask(CancelOrder(order_id))
    await bridge.loop.idle()
    assert bridge.doubted == [link_id]
    found = bridge.state.order(order_id)
    assert found is not None
    assert found.cancel_requested


@dataclass
class BulkVenue(Venue):
    """A venue that takes many cancels at once, and answers none of `unsure`."""

    bulks: list[tuple[list[str], Collection[str]]] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)

    async def cancel_many(self, orders: Sequence[VenueCancel], emptied: Collection[str]) -> Sequence[VenueCancel]:
        self.bulks.append(([each.link_id for each in orders], emptied))
        if self.fails:
            raise self.fails
        return [each for each in orders if each.link_id in self.unsure]


@pytest.fixture
async def three(bridge: Bridge) -> BulkVenue:
    """Three entries that work, at a venue that takes many cancels at once."""
    venue = BulkVenue()
    bridge.loop.connect(OrderLink(venue, bridge.loop, bridge.clock, bridge.doubted.append).act, [])
    for _ in range(3):
        await submit(bridge, type=OrderType.LIMIT, limit_price="49000")
    for placed in venue.placed:
        bridge.loop.post(Opened(placed.link_id, "x", bridge.clock.now()))
    await bridge.loop.idle()
    return venue


async def test_cancels_of_one_commit_go_together(bridge: Bridge, three: BulkVenue) -> None:
    await bridge.loop.ask(EngageKillSwitch("enough"))
    await bridge.loop.idle()
    assert three.bulks == [([placed.link_id for placed in three.placed], {"btcusdt"})]
    assert three.canceled == []
    assert bridge.doubted == []


async def test_one_cancel_goes_alone_even_if_many_could_go_together(bridge: Bridge, three: BulkVenue) -> None:
    await bridge.loop.ask(CancelOrder(next(iter(bridge.state.open_orders))))
    await bridge.loop.idle()
    assert three.bulks == []
    assert len(three.canceled) == 1


async def test_of_many_cancels_those_without_an_answer_are_in_doubt(bridge: Bridge, three: BulkVenue) -> None:
    links = [placed.link_id for placed in three.placed]
    three.unsure = links[1:2]
    await bridge.loop.ask(EngageKillSwitch("enough"))
    await bridge.loop.idle()
    assert bridge.doubted == links[1:2]


async def test_many_cancels_that_raise_are_all_in_doubt(bridge: Bridge, three: BulkVenue) -> None:
    three.fails = ConnectionError("gone")
    await bridge.loop.ask(EngageKillSwitch("enough"))
    await bridge.loop.idle()
    assert bridge.doubted == [placed.link_id for placed in three.placed]
    assert all(order.cancel_requested for order in bridge.state.orders_of())


async def test_an_amendment_goes_to_the_venue(bridge: Bridge, venue: Venue, link: OrderLink) -> None:
    order_id = await submit(bridge, type=OrderType.LIMIT, limit_price="49000")
    bridge.loop.post(Opened(venue.placed[0].link_id, "x", bridge.clock.now()))
    await bridge.loop.idle()
    changed = AmendOrder(order_id, quantity=order("0.2").quantity)
    await bridge.loop.ask(changed)
    await bridge.loop.idle()
    assert [one.quantity for one in venue.amended] == [changed.quantity]


async def test_an_order_cancelled_while_it_waited_is_not_sent(bridge: Bridge, venue: Venue, link: OrderLink) -> None:
    answer = bridge.loop.ask(order("0.1", order_id="mine"))
    cancel = bridge.loop.ask(CancelOrder("mine"))
    await asyncio.gather(answer, cancel)
    await bridge.loop.idle()
    assert venue.placed == []
    assert state_of(bridge, "mine") is OrderState.NOT_SENT


async def test_draining_waits_for_what_is_under_way(bridge: Bridge, venue: Venue, link: OrderLink) -> None:
    gate = asyncio.Event()

    async def slow(placed: object) -> Acked:
        await gate.wait()
        return Acked(placed.link_id, "x", bridge.clock.now())  # type: ignore[attr-defined]  # a PlaceOrder

    venue.place = slow  # type: ignore[assignment, method-assign]  # a slower venue
    answer = bridge.loop.ask(order("0.1"))
    for _ in range(8):
        await asyncio.sleep(0)
    draining = asyncio.ensure_future(link.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    gate.set()
    await asyncio.wait_for(asyncio.gather(draining, answer), 1)
