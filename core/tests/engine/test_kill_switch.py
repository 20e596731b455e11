"""The kill switch: what it takes off, what it lets pass, and how it is let go."""

from __future__ import annotations

import pytest

from core.tests.engine.desk import LIMIT, MILLISECOND, Desk, d, names
from quarterdeck.domain import report as r
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import CancelAtVenue


def test_the_kill_switch_halts_first_then_cancels_then_closes(desk: Desk) -> None:
    desk.protect(desk.hold("0.1", stop_loss="49000"))
    desk.work(desk.submit("0.1", **LIMIT))
    desk.work(desk.submit("0.05", Side.SELL, reduce_only=True, type=OrderType.LIMIT, limit_price="53000"))
    desk.took_effects()
    events = desk.take(i.EngageKillSwitch("enough", flatten=True))
    assert names(events) == ["TradingStateChanged", "OrderCancelRequested", "OrderPrepared"]
    assert [type(effect).__name__ for effect in desk.took_effects()] == ["CancelAtVenue", "QueueOrder"]
    working = {(each.role, each.cancel_requested) for each in desk.state.orders_of()}
    assert (OrderRole.STOP_LOSS, False) in working
    assert desk.take(i.EngageKillSwitch("again", flatten=True)) == []


@pytest.mark.parametrize(
    ("symbol", "side", "reduce_only", "ends"),
    [("btcusdt", Side.SELL, False, True), ("btcusdt", Side.SELL, True, False),
     ("btcusdt-spot", Side.BUY, False, True), ("btcusdt-spot", Side.SELL, False, False)],
)  # fmt: skip
def test_the_kill_switch_takes_what_others_placed_if_it_may_open_a_position(
    desk: Desk, symbol: str, side: Side, reduce_only: bool, ends: bool
) -> None:
    terms = OrderTerms(symbol, side, OrderType.STOP, d("0.1"), trigger_price=d(51_000), reduce_only=reduce_only)
    desk.take(r.ChildOpened("by-hand", "", "x-1", OrderRole.EXTERNAL, terms, desk.now))
    desk.take(i.EngageKillSwitch("enough"))
    found = desk.state.order_by_link("by-hand")
    assert found is not None
    assert found.cancel_requested is ends


def test_an_entry_that_its_cancel_overtook_ends_as_soon_as_it_works(desk: Desk) -> None:
    entry = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(i.EngageKillSwitch("enough"))
    desk.take(r.CancelRejected(entry.link_id, "no such order", desk.now))
    desk.took_effects()
    assert names(desk.take(r.Opened(entry.link_id, "x", desk.now))) == ["OrderOpened", "OrderCancelRequested"]
    assert desk.took_effects() == [CancelAtVenue(entry.link_id, "btcusdt")]


def test_while_halted_a_refused_cancel_is_asked_for_again_after_a_while(desk: Desk) -> None:
    entry = desk.work(desk.submit("0.1", **LIMIT))
    desk.take(i.EngageKillSwitch("enough"))
    desk.take(r.CancelRejected(entry.link_id, "busy", desk.now))
    assert desk.take(i.Timer.TICK) == []
    desk.now += 5_000 * MILLISECOND
    assert names(desk.take(i.Timer.TICK)) == ["OrderCancelRequested"]
    assert desk.take(i.Timer.TICK) == []
    desk.take(r.CancelRejected(entry.link_id, "busy", desk.now))
    desk.take(i.ReleaseKillSwitch("looked"))
    desk.now += 5_000 * MILLISECOND
    assert desk.take(i.Timer.TICK) == []


def test_while_halted_a_cancel_that_got_lost_is_asked_for_again_and_again(desk: Desk) -> None:
    entry = desk.work(desk.submit("0.1", **LIMIT))
    queued = desk.submit("0.2", **LIMIT)
    desk.take(i.EngageKillSwitch("enough"))
    desk.took_effects()
    for _ in range(3):
        desk.now += 5_000 * MILLISECOND
        assert desk.take(i.Timer.TICK) == [], "the wish is recorded already"
        assert desk.took_effects() == [CancelAtVenue(entry.link_id, "btcusdt")]
        desk.take(i.Timer.TICK)
        assert desk.took_effects() == []
    assert queued.state is OrderState.PREPARED
    desk.take(i.ReleaseKillSwitch("looked"))
    desk.now += 5_000 * MILLISECOND
    desk.take(i.Timer.TICK)
    assert desk.took_effects() == []


def test_a_book_is_emptied_when_all_that_may_rest_in_it_was_asked_to_end(desk: Desk) -> None:
    desk.protect(desk.hold("0.1", stop_loss="49000"))
    entry = desk.work(desk.submit("0.1", **LIMIT))
    assert desk.machine.emptied({"btcusdt"}) == set()
    desk.take(i.CancelOrder(entry.order_id))
    assert desk.machine.emptied({"btcusdt", "btcusdt-spot"}) == {"btcusdt", "btcusdt-spot"}
    desk.send(desk.submit("0.1", Side.SELL, reduce_only=True))
    assert desk.machine.emptied({"btcusdt"}) == {"btcusdt"}, "a market order never rests"
    late = desk.submit("0.05", Side.SELL, reduce_only=True, type=OrderType.LIMIT, limit_price="53000")
    assert desk.machine.emptied({"btcusdt"}) == set(), "what may still be on its way counts"
    desk.take(i.CancelOrder(late.order_id))
    stop = desk.work(
        desk.submit("0.1", type=OrderType.STOP_LIMIT, trigger_price="51000", limit_price="51001", order_id="later")
    )
    assert desk.machine.emptied({"btcusdt"}) == {"btcusdt"}, "it waits for its trigger"
    desk.take(r.Triggered(stop.link_id, desk.now))
    assert desk.machine.emptied({"btcusdt"}) == set()


def test_an_entry_on_its_way_out_is_stopped_by_the_kill_switch(desk: Desk) -> None:
    waiting = desk.submit("0.1")
    desk.take(i.EngageKillSwitch("enough"))
    desk.took_effects()
    desk.send(waiting)
    assert waiting.state is OrderState.NOT_SENT
    assert desk.took_effects() == []


def test_no_entry_leaves_while_trading_is_not_active_even_if_nobody_cancelled_it(desk: Desk) -> None:
    waiting = desk.submit("0.1")
    desk.take(i.Disagreement("a position is another"))  # an anomaly: only reducing from here on
    desk.send(waiting)
    assert waiting.state is OrderState.NOT_SENT


def test_releasing_makes_active_again_and_is_recorded_once(desk: Desk) -> None:
    desk.take(i.EngageKillSwitch("enough"))
    assert desk.take(i.ReleaseKillSwitch("looked"))
    assert desk.take(i.ReleaseKillSwitch("looked")) == []
    desk.submit("0.1")
