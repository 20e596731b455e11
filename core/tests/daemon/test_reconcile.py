"""The venue is looked at until the look holds; what differs twice is believed, and what still differs is named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from core.tests.daemon.conftest import Bridge, Venue, opened, placed, traded
from quarterdeck.daemon.reconcile import FAILURES, NoCut, Reconciler, venue_account
from quarterdeck.daemon.resolver import Resolver
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.market import HOUR, SECOND
from quarterdeck.domain.order import Order, OrderRole, OrderState
from quarterdeck.domain.report import StreamDown, StreamUp
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.obstacles import UNHEARD, UNRECONCILED
from quarterdeck.plugin import Activity, VenueOrder, VenuePosition


class Sleeps:
    """Sleeps no time, and notes how long it should have been. Runs `then` meanwhile."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


def reconciler(bridge: Bridge, venue: Venue, sleeps: Sleeps | None = None) -> Reconciler:
    sleep = sleeps or Sleeps()
    resolver = Resolver(bridge.state, venue, bridge.loop, bridge.clock, sleep)
    made = Reconciler(bridge.machine, venue, bridge.loop, bridge.clock, resolver, sleep)
    bridge.loop.connect(bridge.effects.extend, [bridge.published.extend, resolver.hear, made.hear])
    return made


def shown(order: Order) -> VenueOrder:
    return VenueOrder(order.link_id, "x", order.terms, OrderState.OPEN, Decimal(0))


async def test_an_embedded_venue_gets_the_account_from_the_journal(bridge: Bridge) -> None:
    working = await opened(bridge, "working")
    filled = await opened(bridge, "filled")
    bridge.loop.post(traded(filled, bridge))
    await placed(bridge, "unanswered")
    await bridge.loop.idle()
    account = venue_account(bridge.state)
    assert [one.link_id for one in account.orders] == [working.link_id]
    assert account.positions == [VenuePosition("btcusdt", Decimal("0.1"), Decimal(49_000))]
    assert account.balances == {"USDT": Decimal("9997.3")}
    assert account.next_trade_number == 2


async def test_agreement_is_silent(bridge: Bridge, venue: Venue) -> None:
    venue.working = [shown(await opened(bridge, "ours"))]
    before = len(bridge.published)
    found = await reconciler(bridge, venue).run()
    assert (found.differences, found.looks, found.orders, found.asked) == ((), 1, 1, 0)
    assert len(bridge.published) == before


async def test_what_the_history_explains_is_booked_at_the_first_look(bridge: Bridge, venue: Venue) -> None:
    missed = traded(await opened(bridge, "ours"), bridge)
    venue.trades = {"": [missed]}
    venue.held = [VenuePosition("btcusdt", Decimal("0.1"), Decimal(49_000))]
    venue.money = {"USDT": Decimal("9997.3")}
    made = reconciler(bridge, venue)
    found = await made.run()
    assert (found.differences, found.booked, found.adjusted, found.looks) == ((), 1, 0, 1)
    assert bridge.state.trading_state is TradingState.ACTIVE
    assert (await made.run()).booked == 0


async def test_what_differs_twice_is_believed_once_nothing_can_be_out_of_sight(bridge: Bridge, venue: Venue) -> None:
    venue.capabilities = Capabilities(visibility=20 * SECOND)
    await opened(bridge, "so that the account is not new")
    bridge.loop.post(traded(await opened(bridge, "filled"), bridge))
    sleeps = Sleeps()
    found = await reconciler(bridge, venue, sleeps).run()
    assert found.differences == ()
    assert (found.looks, found.adjusted, sleeps.slept[0]) == (2, 2, 21)
    assert bridge.state.positions["btcusdt"].quantity == 0
    assert bridge.state.wallet == 10_000
    assert bridge.state.trading_state is TradingState.REDUCING


async def test_what_was_only_late_is_not_believed(bridge: Bridge, venue: Venue) -> None:
    filled = traded(await opened(bridge, "filled"), bridge)
    bridge.loop.post(filled)

    class Catches(Sleeps):
        async def __call__(self, seconds: float) -> None:
            venue.trades = {"": [filled]}
            venue.held = [VenuePosition("btcusdt", Decimal("0.1"), Decimal(49_000))]
            venue.money = {"USDT": Decimal("9997.3")}

    found = await reconciler(bridge, venue, Catches()).run()
    assert (found.differences, found.adjusted, found.looks) == ((), 0, 2)


async def test_what_can_not_be_settled_keeps_new_risk_away_until_it_is(bridge: Bridge, venue: Venue) -> None:
    venue.held = [VenuePosition("dogeusdt", Decimal(1), Decimal(1))]
    made = reconciler(bridge, venue)
    found = await made.run()
    await bridge.loop.idle()
    assert "dogeusdt" in found.differences[0]
    assert "dogeusdt" in bridge.machine.obstacles[UNRECONCILED].detail
    venue.held = []
    await made.run()
    await bridge.loop.idle()
    assert UNRECONCILED not in bridge.machine.obstacles


async def test_an_order_that_is_missing_is_asked_about(bridge: Bridge, venue: Venue) -> None:
    ours = await opened(bridge, "ours")
    venue.known[ours.link_id] = VenueOrder(ours.link_id, "x", ours.terms, OrderState.CANCELED, Decimal(0))
    bridge.clock.advance(bridge.clock.now() + 1)
    found = await reconciler(bridge, venue).run()
    assert (found.asked, found.differences) == (1, ())
    for _ in range(20):
        await asyncio.sleep(0)
    assert ours.state is OrderState.CANCELED


# ---------------------------------------------------------------- looks that do not hold


class Restless(Venue):
    """Something happens while it is looked at, so many times."""

    def __init__(self, times: int, *news: Activity) -> None:
        super().__init__()
        self.times = times
        self.news = news

    async def open_orders(self) -> Sequence[VenueOrder]:
        if self.times > 0:
            self.times -= 1
            self.trades.setdefault("", []).append(self.news[self.times])  # type: ignore[arg-type]  # trades
        return await super().open_orders()


async def test_a_look_during_which_something_happened_is_taken_again(bridge: Bridge) -> None:
    missed = traded(await opened(bridge, "ours"), bridge)
    venue = Restless(1, missed)
    venue.held = [VenuePosition("btcusdt", Decimal("0.1"), Decimal(49_000))]
    venue.money = {"USDT": Decimal("9997.3")}
    found = await reconciler(bridge, venue).run()
    assert (found.differences, found.booked) == ((), 1)


async def test_a_venue_that_never_stands_still_is_not_believed(bridge: Bridge) -> None:
    missed = traded(await opened(bridge, "ours"), bridge)
    with pytest.raises(NoCut):
        await reconciler(bridge, Restless(100, *[missed] * 100)).run()
    assert bridge.state.fill_count == 0


async def test_what_is_reported_during_the_look_and_not_in_it_overtakes_it(bridge: Bridge) -> None:
    ours = await opened(bridge, "ours")
    fill = traded(ours, bridge)

    class Reports(Venue):
        looks = 0

        async def balances(self) -> dict[str, Decimal]:
            self.looks += 1
            if self.looks == 1:
                bridge.loop.post(fill)
                await bridge.loop.idle()
                return {"USDT": Decimal(10_000)}
            self.trades = {"": [fill]}
            self.held = [VenuePosition("btcusdt", Decimal("0.1"), Decimal(49_000))]
            return {"USDT": Decimal("9997.3")}

    venue = Reports()
    found = await reconciler(bridge, venue).run()
    assert (found.differences, found.adjusted, bridge.state.fill_count, found.looks) == ((), 0, 1, 1)


# ---------------------------------------------------------------- a venue that can't tell


@pytest.mark.parametrize("question", ["history", "positions", "open_orders", "balances"])
async def test_a_question_that_fails_changes_nothing(
    bridge: Bridge, venue: Venue, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.loop.post(traded(await opened(bridge, "ours"), bridge))
    await bridge.loop.idle()
    before = bridge.state.sequence

    async def fail(*_: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(venue, question, fail)
    with pytest.raises(TimeoutError):
        await reconciler(bridge, venue).run()
    assert bridge.state.sequence == before


async def test_a_venue_that_can_not_be_asked_for_long_keeps_new_risk_away(
    bridge: Bridge, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = reconciler(bridge, venue)
    asked = 0
    enough = asyncio.Event()

    async def fail() -> None:
        nonlocal asked
        asked += 1
        if asked > FAILURES:
            enough.set()
        raise TimeoutError("no answer")

    monkeypatch.setattr(made, "run", fail)
    keeping = asyncio.create_task(made.keep(0.001))
    await enough.wait()
    keeping.cancel()
    await bridge.loop.idle()
    assert "no answer" in bridge.machine.obstacles[UNRECONCILED].detail


# ---------------------------------------------------------------- how far back


async def test_history_is_read_from_when_the_account_was_opened_at_most(bridge: Bridge, venue: Venue) -> None:
    asked: list[int] = []

    class Notes(Venue):
        async def history(self, since: int) -> Sequence[Activity]:
            asked.append(since)
            return []

    made = reconciler(bridge, Notes())
    await made.run()
    assert asked[-1] == bridge.state.opened_time
    bridge.clock.advance(bridge.clock.now() + 5 * HOUR)
    await made.run()
    assert asked[-1] == bridge.state.opened_time
    await made.run()
    assert bridge.clock.now() - asked[-1] < HOUR


async def test_somebody_elses_order_calls_for_a_look(bridge: Bridge, venue: Venue) -> None:
    made = reconciler(bridge, venue)
    ours = await opened(bridge, "ours")
    venue.working = [shown(ours), VenueOrder("theirs", "77", ours.terms, OrderState.OPEN, Decimal(0))]
    await made.run()
    theirs = bridge.state.order_by_link("theirs")
    assert theirs is not None
    assert theirs.role is OrderRole.EXTERNAL
    assert made._wanted.is_set()


async def test_a_venue_that_can_not_be_heard_keeps_new_risk_away_until_both_have_agreed(
    bridge: Bridge, venue: Venue
) -> None:
    made = reconciler(bridge, venue)
    made.hear_stream(StreamDown("the line broke", bridge.clock.now()))
    await bridge.loop.idle()
    assert "the line broke" in bridge.machine.obstacles[UNHEARD].detail
    await made.run()
    await bridge.loop.idle()
    assert UNHEARD in bridge.machine.obstacles, "agreed while nothing could be heard"
    made.hear_stream(StreamUp(bridge.clock.now()))
    await bridge.loop.idle()
    assert UNHEARD in bridge.machine.obstacles, "not agreed yet"
    await made.run()
    await bridge.loop.idle()
    assert UNHEARD not in bridge.machine.obstacles


async def test_an_agreement_that_a_break_overtook_does_not_count(bridge: Bridge, venue: Venue) -> None:
    made = reconciler(bridge, venue)
    made.hear_stream(StreamDown("the line broke", bridge.clock.now()))
    under_way = asyncio.ensure_future(made.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it has begun to look
    made.hear_stream(StreamUp(bridge.clock.now()))
    await under_way
    await bridge.loop.idle()
    assert UNHEARD in bridge.machine.obstacles
