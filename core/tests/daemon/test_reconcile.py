"""At start the venue is asked, never guessed about, and what differs is named."""

from __future__ import annotations

from decimal import Decimal

from core.tests.daemon.conftest import Bridge, Venue
from core.tests.engine.desk import order
from quarterdeck.daemon.reconcile import differences, resolve_unanswered, venue_account
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import Order, OrderState, OrderType
from quarterdeck.domain.report import Acked, Filled, Liquidity, Opened
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.inputs import Disagreement, Sending
from quarterdeck.plugin import VenueOrder, VenuePosition


async def placed(bridge: Bridge, order_id: str, *, sent: bool = True) -> Order:
    await bridge.loop.ask(order("0.1", order_id=order_id, type=OrderType.LIMIT, limit_price="49000"))
    found = bridge.state.order(order_id)
    assert found is not None
    if sent:
        bridge.loop.post(Sending(found.link_id))
        await bridge.loop.idle()
    return found


async def opened(bridge: Bridge, order_id: str) -> Order:
    found = await placed(bridge, order_id)
    bridge.loop.post(Acked(found.link_id, "x", bridge.clock.now()))
    bridge.loop.post(Opened(found.link_id, "x", bridge.clock.now()))
    await bridge.loop.idle()
    return found


def fill(found: Order, bridge: Bridge) -> Filled:
    return Filled(
        found.link_id,
        "t1",
        "btcusdt",
        Side.BUY,
        Decimal("0.1"),
        Decimal(49_000),
        Decimal("2.7"),
        "USDT",
        Liquidity.TAKER,
        bridge.clock.now(),
    )


async def test_what_was_only_prepared_never_left(bridge: Bridge, venue: Venue) -> None:
    prepared = await placed(bridge, "prepared", sent=False)
    await resolve_unanswered(bridge.state, venue, bridge.loop, bridge.clock)
    assert prepared.state is OrderState.NOT_SENT


async def test_what_the_venue_does_not_know_is_absent(bridge: Bridge, venue: Venue) -> None:
    sent = await placed(bridge, "sent")
    await resolve_unanswered(bridge.state, venue, bridge.loop, bridge.clock)
    assert sent.state is OrderState.ABSENT


async def test_what_the_venue_knows_is_taken_up_with_its_fills(bridge: Bridge, venue: Venue) -> None:
    sent = await placed(bridge, "sent")
    venue.known[sent.link_id] = VenueOrder(sent.link_id, "x9", sent.terms, OrderState.FILLED, Decimal("0.1"))
    venue.trades[sent.link_id] = [fill(sent, bridge)]
    await resolve_unanswered(bridge.state, venue, bridge.loop, bridge.clock)
    assert sent.state is OrderState.FILLED
    assert bridge.state.positions["btcusdt"].quantity == Decimal("0.1")
    await resolve_unanswered(bridge.state, venue, bridge.loop, bridge.clock)
    assert bridge.state.fill_count == 1, "asking again booked a fill twice"


async def test_an_embedded_venue_gets_the_account_from_the_journal(bridge: Bridge) -> None:
    working = await opened(bridge, "working")
    filled = await opened(bridge, "filled")
    bridge.loop.post(fill(filled, bridge))
    await placed(bridge, "unanswered")
    await bridge.loop.idle()
    account = venue_account(bridge.state)
    assert [one.link_id for one in account.orders] == [working.link_id]
    assert account.positions == [VenuePosition("btcusdt", Decimal("0.1"), Decimal(49_000))]
    assert account.balances == {"USDT": Decimal("9997.3")}
    assert account.next_trade_number == 2


async def test_differences_are_named_and_stop_new_risk(bridge: Bridge, venue: Venue) -> None:
    ours = await opened(bridge, "ours")
    assert await differences(bridge.state, venue) == [f"order {ours.link_id}: working here, unknown at the venue"]
    venue.working = [VenueOrder("foreign", "x1", ours.terms, OrderState.OPEN, Decimal(0))]
    venue.held = [VenuePosition("btcusdt", Decimal("0.5"), Decimal(50_000))]
    found = await differences(bridge.state, venue)
    assert found == [
        "position btcusdt: 0 here, 0.5 at the venue",
        f"order {ours.link_id}: working here, unknown at the venue",
        "order foreign: working at the venue, unknown here",
    ]
    bridge.loop.post(Disagreement(found[0]))
    await bridge.loop.idle()
    assert bridge.state.trading_state is TradingState.REDUCING
    assert bridge.state.trading_reason == found[0]


async def test_agreement_is_silent(bridge: Bridge, venue: Venue) -> None:
    ours = await opened(bridge, "ours")
    venue.working = [VenueOrder(ours.link_id, "x", ours.terms, OrderState.OPEN, Decimal(0))]
    assert await differences(bridge.state, venue) == []
