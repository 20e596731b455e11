"""What became of an order whose answer was lost is found out by asking, never by sending it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from core.tests.daemon.conftest import Bridge, Venue, opened, placed, traded
from quarterdeck.daemon.resolver import APART, MARGIN, TOO_LONG, Resolver
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.market import SECOND
from quarterdeck.domain.order import Order, OrderState
from quarterdeck.domain.report import Canceled, CancelRejected, Filled, Opened, Unknown
from quarterdeck.engine.inputs import CancelOrder as Cancel
from quarterdeck.plugin import VenueOrder

#: A venue that takes requests in for 5 s, and may hide an order for 20 s more.
REMOTE = Capabilities(admission_window=5 * SECOND, visibility=20 * SECOND)

Answer = VenueOrder | Exception | None


class Time:
    """The event loop's time, which passes only while the resolver sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.asleep: Callable[[float], object] = lambda _: None

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.asleep(self.now - 1_000.0)
        for _ in range(5):
            await asyncio.sleep(0)


class Scripted(Venue):
    """A venue whose answers to `find_order` are written down by second; each holds until the next."""

    def __init__(self, time: Time, script: dict[float, Answer]) -> None:
        super().__init__()
        self.capabilities = REMOTE
        self.time = time
        self.script = script
        self.told: dict[float, Sequence[Filled]] = {}
        self.asked: list[float] = []

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        second = self.time.now - 1_000.0
        self.asked.append(second)
        answer = next(each for at, each in sorted(self.script.items(), reverse=True) if at <= second)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        second = self.time.now - 1_000.0
        return next((each for at, each in sorted(self.told.items(), reverse=True) if at <= second), ())


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: fake.now)
    return fake


def start(bridge: Bridge, venue: Venue, time: Time) -> Resolver:
    made = Resolver(bridge.state, venue, bridge.loop, bridge.clock, time.sleep)
    bridge.loop.connect(bridge.effects.extend, [bridge.published.extend, made.hear])
    return made


async def done(resolver: Resolver) -> None:
    """Until nothing is in question any more."""
    for _ in range(5_000):
        if not resolver.open_questions:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"still asked about: {resolver.open_questions}")


async def lost(bridge: Bridge, order_id: str = "lost") -> Order:
    """An order whose answer was lost. The resolver hears of it."""
    found = await placed(bridge, order_id)
    bridge.loop.post(Unknown(found.link_id, "timeout", bridge.clock.now()))
    await bridge.loop.idle()
    return found


def shown(order: Order, state: OrderState = OrderState.OPEN, filled: str = "0", reason: str = "") -> VenueOrder:
    return VenueOrder(order.link_id, "x9", order.terms, state, Decimal(filled), reason=reason)


# ---------------------------------------------------------------- F09-F21, as they look from here


async def test_f09_accepted_and_the_answer_lost(bridge: Bridge, time: Time) -> None:
    venue = Scripted(time, {})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    venue.script = {0: shown(order, OrderState.FILLED, "0.1")}
    venue.told = {0: [traded(order, bridge)]}
    await done(resolver)
    assert (order.state, order.filled_quantity, order.exchange_order_id) == (OrderState.FILLED, Decimal("0.1"), "x9")
    assert (venue.placed, bridge.state.fill_count) == ([], 1)


async def test_one_that_cannot_be_cancelled_may_have_ended(bridge: Bridge, time: Time) -> None:
    venue = Scripted(time, {})
    resolver = start(bridge, venue, time)
    order = await placed(bridge, "gone")
    bridge.loop.post(Opened(order.link_id, "x9", bridge.clock.now()))
    venue.script = {0: shown(order, OrderState.FILLED, "0.1")}
    venue.told = {0: [traded(order, bridge)]}
    await bridge.loop.ask(Cancel("gone"))
    bridge.loop.post(CancelRejected(order.link_id, "ORDER_CLOSED", bridge.clock.now()))
    await bridge.loop.idle()
    await done(resolver)
    assert order.state is OrderState.FILLED


async def test_f10_never_arrived(bridge: Bridge, time: Time) -> None:
    """Absent once it could neither be on its way nor out of sight, and once more five seconds later."""
    venue = Scripted(time, {0: None})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    await done(resolver)
    assert order.state is OrderState.ABSENT
    assert bridge.state.exposure("btcusdt").unknown == 0
    proofs = [second for second in venue.asked if second >= 25 + MARGIN]
    assert len(proofs) >= 2
    assert proofs[-1] - proofs[0] >= APART


@pytest.mark.parametrize("second", [4.9, 15, 25])
async def test_f11_f20_accepted_or_seen_late(bridge: Bridge, time: Time, second: float) -> None:
    venue = Scripted(time, {0: None})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    venue.script[second] = shown(order)
    await done(resolver)
    assert order.state is OrderState.OPEN


@pytest.mark.parametrize("error", [TimeoutError("no answer"), RuntimeError("<html>502"), ValueError("half a JSON")])
async def test_f12_an_answer_that_says_nothing_changes_nothing(bridge: Bridge, time: Time, error: Exception) -> None:
    """However long; and the order is named once it has taken too long."""
    venue = Scripted(time, {0: error})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    held: list[OrderState] = []
    long_after = asyncio.Event()

    def watch(second: float) -> None:
        held.append(order.state)
        if second > 10 * TOO_LONG:
            long_after.set()

    time.asleep = watch
    await long_after.wait()
    assert set(held) == {OrderState.UNKNOWN}
    obstacle = bridge.machine.obstacles[f"UNRESOLVED {order.order_id}"]
    assert (obstacle.symbol, order.link_id in obstacle.detail) == ("btcusdt", True)
    assert len(venue.asked) < 70, "it asks without end"
    venue.script[0] = shown(order)
    await done(resolver)
    await bridge.loop.idle()
    assert order.state is OrderState.OPEN
    assert bridge.machine.obstacles == {}


async def test_two_absent_reads_around_failures_are_no_proof_too_early(bridge: Bridge, time: Time) -> None:
    venue = Scripted(time, {0: TimeoutError("no"), 24: None, 26: TimeoutError("no"), 60: None})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    seen: dict[float, OrderState] = {}
    time.asleep = lambda second: seen.setdefault(second, order.state)
    await done(resolver)
    assert all(state is OrderState.UNKNOWN for second, state in seen.items() if second < 60 + APART)
    assert order.state is OrderState.ABSENT


@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.CANCELED, OrderState.EXPIRED])
async def test_f13_taken_in_and_then_ended(bridge: Bridge, time: Time, state: OrderState) -> None:
    venue = Scripted(time, {})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    venue.script = {0: shown(order, state, reason="margin")}
    await done(resolver)
    assert (order.state, order.reason) == (state, "margin")
    assert bridge.state.exposure("btcusdt").pending_buy == 0


async def test_f15_a_fill_wins_the_race_against_the_cancel(bridge: Bridge, time: Time) -> None:
    venue = Scripted(time, {})
    resolver = start(bridge, venue, time)
    order = await opened(bridge, "ours")
    await bridge.loop.ask(Cancel("ours"))
    venue.script = {0: shown(order, OrderState.FILLED, "0.1")}
    venue.told = {0: [traded(order, bridge)]}
    resolver.ask(order.link_id)  # the cancel's answer was lost
    await done(resolver)
    assert (order.state, bridge.state.fill_count) == (OrderState.FILLED, 1)


async def test_f16_an_older_answer_moves_nothing_back(bridge: Bridge, time: Time) -> None:
    order = await opened(bridge, "ours")
    venue = Scripted(time, {0: shown(order)})
    resolver = start(bridge, venue, time)
    resolver.ask(order.link_id)
    bridge.loop.post(Canceled(order.link_id, "asked", bridge.clock.now()))
    await done(resolver)
    await bridge.loop.idle()
    assert order.state is OrderState.CANCELED
    assert bridge.state.trading_state == "ACTIVE"


@pytest.mark.parametrize("state", [OrderState.CANCELED, OrderState.EXPIRED])
async def test_f19_ended_half_filled_waits_for_its_trades(bridge: Bridge, time: Time, state: OrderState) -> None:
    venue = Scripted(time, {})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    venue.script = {0: shown(order, state, "0.04")}
    half = replace(traded(order, bridge), quantity=Decimal("0.04"))
    venue.told = {10: [half]}
    seen: dict[float, OrderState] = {}
    time.asleep = lambda second: seen.setdefault(second, order.state)
    await done(resolver)
    assert all(one is OrderState.UNKNOWN for second, one in seen.items() if second < 10)
    assert (order.state, order.filled_quantity) == (state, Decimal("0.04"))
    assert bridge.state.positions["btcusdt"].quantity == Decimal("0.04")


async def test_trades_of_an_order_that_is_not_found_are_no_absence(bridge: Bridge, time: Time) -> None:
    venue = Scripted(time, {0: None})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    venue.told = {0: [replace(traded(order, bridge), quantity=Decimal("0.04"))]}
    venue.script[90] = shown(order, OrderState.PARTIALLY_FILLED, "0.04")
    await done(resolver)
    assert order.state is OrderState.PARTIALLY_FILLED


async def test_what_was_changed_to_less_and_filled_has_ended(bridge: Bridge, time: Time) -> None:
    order = await opened(bridge, "ours")
    venue = Scripted(time, {0: shown(order, OrderState.FILLED, "0.04")})
    venue.told = {0: [replace(traded(order, bridge), quantity=Decimal("0.04"))]}
    resolver = start(bridge, venue, time)
    resolver.ask(order.link_id)
    await done(resolver)
    assert (order.state, order.filled_quantity) == (OrderState.CANCELED, Decimal("0.04"))


async def test_an_order_that_worked_and_is_proved_gone_was_canceled(bridge: Bridge, time: Time) -> None:
    """Its cancellation is older than the venue remembers."""
    order = await opened(bridge, "ours")
    venue = Scripted(time, {0: None})
    resolver = start(bridge, venue, time)
    resolver.ask(order.link_id)
    await done(resolver)
    assert (order.state, order.reason) == (OrderState.CANCELED, "the venue does not know it any more")


# ---------------------------------------------------------------- streams, cancels, restarts


async def test_reports_that_come_meanwhile_settle_it(bridge: Bridge, time: Time) -> None:
    venue = Scripted(time, {0: TimeoutError("no")})
    resolver = start(bridge, venue, time)
    order = await lost(bridge)
    bridge.loop.post(Opened(order.link_id, "x", bridge.clock.now()))
    await bridge.loop.idle()
    venue.script[0] = None
    await done(resolver)
    assert order.state is OrderState.OPEN


async def test_a_cancel_that_may_be_lost_is_asked_again_until_the_order_ends(bridge: Bridge, time: Time) -> None:
    order = await opened(bridge, "ours")
    venue = Scripted(time, {0: shown(order), 10: shown(order, OrderState.CANCELED, reason="asked")})
    resolver = start(bridge, venue, time)
    await bridge.loop.ask(Cancel("ours"))
    resolver.ask(order.link_id)
    await done(resolver)
    assert order.state is OrderState.CANCELED
    assert {request.link_id for request in venue.canceled} == {order.link_id}
    assert len(venue.canceled) > 1


async def test_a_start_takes_up_what_was_under_way(bridge: Bridge, venue: Venue, time: Time) -> None:
    prepared, sent = await placed(bridge, "prepared", sent=False), await placed(bridge, "sent")
    known = await placed(bridge, "known")
    venue.known[known.link_id] = shown(known)
    resolver = start(bridge, venue, time)
    resolver.take_up()
    await resolver.asked_once()
    await done(resolver)
    assert [one.state for one in (prepared, sent, known)] == [
        OrderState.NOT_SENT,
        OrderState.ABSENT,
        OrderState.OPEN,
    ]
    assert venue.placed == []


async def test_a_venue_that_can_not_be_asked_does_not_hold_up_the_start(bridge: Bridge, time: Time) -> None:
    sent = await placed(bridge, "sent")
    resolver = start(bridge, Scripted(time, {0: TimeoutError("no")}), time)
    resolver.take_up()
    await resolver.asked_once()
    assert sent.state is OrderState.UNKNOWN
    await resolver.quiet()
    assert resolver.open_questions == []
