"""Commands on orders, and their way to the venue."""

from __future__ import annotations

import re
from typing import Any

import pytest

from core.tests.engine.deciders import RatioSizer, Rule
from core.tests.engine.desk import IDS, LIMIT, Desk, d, names, order
from quarterdeck.domain import report as r
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.errors import AlreadyExists, CallerError, InvalidRequest, NotFound, RefusedByState
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderType, TimeInForce
from quarterdeck.domain.risk import Refused
from quarterdeck.domain.signal import Action, Signal
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import AmendAtVenue, CancelAtVenue, QueueOrder, SendOrder
from quarterdeck.engine.pipeline import Deciders, HardLimits

# ---------------------------------------------------------------- submit


def test_an_approved_order_is_recorded_before_it_is_queued(desk: Desk) -> None:
    desk.took_effects()
    placed = desk.submit("0.1", stop_loss="49000", take_profit="52000")
    assert desk.took_effects() == [QueueOrder(placed.link_id)]
    assert (placed.order_id, placed.link_id) == ("order-1", IDS.mint(1, OrderRole.ENTRY, placed.terms))
    assert (placed.state, placed.role, placed.correlation_id) == (OrderState.PREPARED, OrderRole.ENTRY, "order-1")
    assert desk.machine.view.pending_quantity("btcusdt") == d("0.1")


def test_it_is_sent_once_and_only_after_that_is_recorded(desk: Desk) -> None:
    placed = desk.submit("0.1")
    desk.took_effects()
    assert desk.take(i.Sending(placed.link_id)) == [e.OrderSent(placed.order_id, 1)]
    assert desk.took_effects() == [SendOrder(placed.link_id, placed.terms)]
    assert desk.take(i.Sending(placed.link_id)) == []
    assert desk.take(i.Sending("a1-TEST-9999999999-E")) == []
    assert desk.took_effects() == []


def test_the_callers_id_is_kept_and_can_be_taken_once(desk: Desk) -> None:
    assert desk.submit("0.1", order_id="mine").order_id == "mine"
    with pytest.raises(AlreadyExists) as refused:
        desk.take(order("0.1", order_id="mine"))
    assert (refused.value.reason, refused.value.data) == ("ORDER_ID_TAKEN", {"name": "mine"})


def test_a_minted_id_is_never_one_a_caller_chose(desk: Desk) -> None:
    desk.submit("0.1", order_id="order-2")
    assert desk.submit("0.1").order_id == "order-2-2"
    assert desk.submit("0.1").order_id == "order-3"


def test_a_refused_order_spends_its_id(desk: Desk) -> None:
    desk.take(order("1000"))
    assert desk.last(e.OrderRefused).order_id == "order-1"
    assert desk.submit("0.1").order_id == "order-2"


def test_minted_ids_fit_the_contract() -> None:
    desk = Desk()
    desk.bot("b" * 63)
    placed = desk.hold("0.1", bot_id="b" * 63, stop_loss="49000")
    desk.submit("0.1", order_id="c" * 63, stop_loss="49000")
    child = desk.protect(desk.order("c" * 63))
    assert placed.order_id == "b" * 40 + "-1"
    for name in (placed.order_id, child.order_id):
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name)


def test_an_unknown_bot_or_one_of_another_instrument(desk: Desk) -> None:
    with pytest.raises(NotFound):
        desk.take(order("0.1", bot_id="nobody"))
    desk.bot("sma", "btcusdt-spot")
    with pytest.raises(InvalidRequest) as refused:
        desk.take(order("0.1", bot_id="sma"))
    assert refused.value.data == {"field": "order.bot"}


# ---------------------------------------------------------------- what the venue can do


def test_where_nothing_waits_an_approved_order_is_sent_in_the_same_turn() -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule()], venue=Capabilities(immediate=True)))
    events = desk.take(order("0.1"))
    assert names(events) == ["OrderPrepared", "OrderSent"]
    placed = desk.order("order-1")
    assert desk.took_effects() == [SendOrder(placed.link_id, placed.terms)]
    assert desk.take(i.Sending(placed.link_id)) == []
    desk.fill(placed)
    desk.take(i.ClosePosition("btcusdt"))
    assert [type(effect) for effect in desk.took_effects()] == [SendOrder]


PLAIN = Capabilities(
    frozenset({OrderType.MARKET, OrderType.LIMIT}),
    frozenset({TimeInForce.GTC}),
    attached_protection=False,
    amend=False,
)


@pytest.mark.parametrize(
    ("field", "feature", "terms"),
    [
        ("order.type", "STOP", {"type": OrderType.STOP, "trigger_price": "51000"}),
        ("order.time_in_force", "IOC", {"time_in_force": TimeInForce.IOC}),
        ("order.stop_loss", "attached protection", {"stop_loss": "49000"}),
        ("order.stop_loss", "attached protection", {"take_profit": "51000"}),
    ],
)
def test_what_the_venue_can_not_do_is_named_and_leaves_no_trace(
    field: str, feature: str, terms: dict[str, Any]
) -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule()], venue=PLAIN))
    before = desk.state.sequence
    with pytest.raises(InvalidRequest) as refused:
        desk.take(order("0.1", **terms))
    assert (refused.value.reason, refused.value.data) == ("UNSUPPORTED", {"field": field, "feature": feature})
    assert desk.state.sequence == before


def test_a_venue_that_changes_nothing_is_not_asked_to() -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule()], venue=PLAIN))
    placed = desk.work(desk.submit("0.1", **LIMIT))
    with pytest.raises(CallerError) as refused:
        desk.take(i.AmendOrder(placed.order_id, quantity=d("0.05")))
    assert refused.value.reason == "UNSUPPORTED"


def test_a_signal_the_venue_can_not_follow_is_dropped() -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule()], venue=PLAIN))
    script = desk.bot()
    desk.wish(script, Signal(Action.ENTER_LONG, stop=49_000.0))
    assert "attached protection" in desk.last(e.SignalDropped).reason
    assert desk.state == desk.replayed()


# ---------------------------------------------------------------- cancel


def test_what_is_cancelled_before_it_is_sent_never_leaves(desk: Desk) -> None:
    placed = desk.submit("0.1")
    desk.took_effects()
    assert names(desk.take(i.CancelOrder(placed.order_id))) == ["OrderCancelRequested"]
    assert desk.took_effects() == []
    assert names(desk.take(i.Sending(placed.link_id))) == ["OrderNotSent"]
    assert desk.took_effects() == []
    assert placed.state is OrderState.NOT_SENT
    assert desk.machine.view.pending_quantity("btcusdt") == 0


@pytest.mark.parametrize("state", [OrderState.SENT, OrderState.ACKED, OrderState.OPEN, OrderState.UNKNOWN])
def test_a_cancel_is_asked_for_once_until_it_is_answered(desk: Desk, state: OrderState) -> None:
    placed = in_state(desk, state)
    desk.took_effects()
    desk.take(i.CancelOrder(placed.order_id))
    assert desk.took_effects() == [CancelAtVenue(placed.link_id, "btcusdt")]
    assert desk.take(i.CancelOrder(placed.order_id)) == []
    assert desk.took_effects() == []
    desk.take(r.CancelRejected(placed.link_id, "try later", desk.now))
    assert names(desk.take(i.CancelOrder(placed.order_id))) == ["OrderCancelRequested"]
    assert desk.took_effects() == [CancelAtVenue(placed.link_id, "btcusdt")]


def in_state(desk: Desk, state: OrderState) -> Order:
    """A limit order in one of the working states."""
    placed = desk.send(desk.submit("0.1", **LIMIT))
    if state is OrderState.UNKNOWN:
        desk.take(r.Unknown(placed.link_id, "timeout", desk.now))
    if state in (OrderState.ACKED, OrderState.OPEN, OrderState.PARTIALLY_FILLED):
        desk.take(r.Acked(placed.link_id, "x", desk.now))
    if state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED):
        desk.take(r.Opened(placed.link_id, "x", desk.now))
    if state is OrderState.PARTIALLY_FILLED:
        desk.fill(placed, "0.04", 49_000)
    assert placed.state is state
    return placed


def test_what_is_over_or_unknown_can_not_be_cancelled(desk: Desk) -> None:
    done = desk.hold("0.1")
    with pytest.raises(RefusedByState) as refused:
        desk.take(i.CancelOrder(done.order_id))
    assert (refused.value.reason, refused.value.data) == ("ORDER_CLOSED", {"name": done.order_id, "state": "FILLED"})
    with pytest.raises(NotFound) as missing:
        desk.take(i.CancelOrder("none"))
    assert missing.value.reason == "ORDER_NOT_FOUND"


def test_cancel_all_leaves_protection_and_others_alone(desk: Desk) -> None:
    desk.bot("sma")
    entry = desk.hold("0.1", stop_loss="49000", take_profit="52000")
    stop, target = desk.protect(entry), desk.protect(entry, OrderRole.TAKE_PROFIT)
    limit = desk.work(desk.submit("0.1", **LIMIT))
    leave = desk.work(desk.submit("0.05", Side.SELL, reduce_only=True, type=OrderType.LIMIT, limit_price="53000"))
    bots = desk.work(desk.submit("0.1", bot_id="sma", **LIMIT))
    spot = desk.work(desk.submit("0.1", symbol="btcusdt-spot", **LIMIT))
    desk.take(i.CancelAllOrders(symbol="btcusdt", bot_id=""))
    assert [each.cancel_requested for each in (limit, leave, bots, spot, stop, target)] == [True, True] + [False] * 4
    desk.take(i.CancelAllOrders(bot_id="sma"))
    assert [each.cancel_requested for each in (bots, spot)] == [True, False]
    desk.take(i.CancelAllOrders())
    assert [each.cancel_requested for each in (spot, stop, target)] == [True, False, False]
    assert desk.take(i.CancelAllOrders()) == []


# ---------------------------------------------------------------- amend


def test_a_change_is_asked_for_and_made_when_the_venue_says_so(desk: Desk) -> None:
    placed = in_state(desk, OrderState.PARTIALLY_FILLED)
    desk.took_effects()
    wish = i.AmendOrder(placed.order_id, quantity=d("0.08"), limit_price=d(48_000))
    assert names(desk.take(wish)) == ["OrderAmendRequested"]
    assert placed.terms.quantity == d("0.1")
    assert desk.took_effects() == [AmendAtVenue(placed.link_id, "btcusdt", d("0.08"), d(48_000), None)]
    desk.take(r.Amended(placed.link_id, desk.now, quantity=d("0.08"), limit_price=d(48_000)))
    assert (placed.terms.quantity, placed.terms.limit_price) == (d("0.08"), d(48_000))
    assert desk.machine.view.pending_quantity("btcusdt") == d("0.04")
    assert desk.state.exposure("btcusdt").pending_notional == d("0.04") * 48_000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, "quantity"),
        ({"quantity": "0.04"}, "quantity"),
        ({"quantity": "0.0805"}, "quantity"),
        ({"limit_price": "48000.05"}, "limit_price"),
        ({"limit_price": "-1"}, "limit_price"),
        ({"limit_price": "47000"}, "stop_loss"),
        ({"trigger_price": "48000"}, "trigger_price"),
    ],
)
def test_a_change_that_makes_no_sense_is_named_and_leaves_no_trace(
    desk: Desk, change: dict[str, str], field: str
) -> None:
    placed = desk.work(desk.submit("0.1", stop_loss="47500", **LIMIT))
    desk.fill(placed, "0.04", 49_000)
    before = desk.state.sequence
    with pytest.raises(InvalidRequest) as refused:
        desk.take(i.AmendOrder(placed.order_id, **{name: d(value) for name, value in change.items()}))
    assert refused.value.data == {"field": field}
    assert desk.state.sequence == before


def test_a_market_order_has_no_price_to_change(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1"))
    with pytest.raises(InvalidRequest):
        desk.take(i.AmendOrder(placed.order_id, limit_price=d(48_000)))


@pytest.mark.parametrize("state", [OrderState.SENT, OrderState.UNKNOWN])
def test_only_a_working_order_can_be_changed(desk: Desk, state: OrderState) -> None:
    placed = in_state(desk, state)
    with pytest.raises(RefusedByState):
        desk.take(i.AmendOrder(placed.order_id, quantity=d("0.05")))


# Risk at stake with a stop at 47 000: 0.1 at 49 000 is 200; 0.1 at 50 000 is 300; 0.15 at 49 000 is 300.
@pytest.mark.parametrize(
    ("change", "judged"),
    [
        ({"quantity": "0.15"}, "0.05"),
        ({"limit_price": "50000"}, "0.034"),  # 100 more at risk, 3 000 a unit
        ({"limit_price": "48000"}, "0.001"),  # nearer to its stop: the smallest order there is
        ({"quantity": "0.05"}, "0.001"),
        ({"quantity": "0.05", "limit_price": "50000"}, "0.001"),  # 150 at risk: less than before
        ({"quantity": "0.2", "limit_price": "48000"}, "0.1"),  # no more at risk, but more of it
    ],
)
def test_a_change_is_judged_by_what_it_adds(change: dict[str, str], judged: str) -> None:
    rule = Rule()
    desk = Desk(Deciders(RatioSizer(), rules=[rule]))
    placed = desk.work(desk.submit("0.1", stop_loss="47000", **LIMIT))
    desk.take(i.AmendOrder(placed.order_id, **{name: d(value) for name, value in change.items()}))
    assert names([desk.journal[-1].event]) == ["OrderAmendRequested"]
    assert rule.seen[-1].terms.quantity == d(judged)


def test_a_change_that_is_worth_more_adds_even_if_it_risks_less() -> None:
    rule = Rule()
    desk = Desk(Deciders(RatioSizer(), rules=[rule]))
    placed = desk.work(desk.submit("0.1", Side.SELL, type=OrderType.LIMIT, limit_price="51000", stop_loss="53000"))
    desk.take(i.AmendOrder(placed.order_id, limit_price=d(52_000)))
    assert rule.seen[-1].terms.quantity == d("0.002")  # 100 more of notional, at 52 000


def test_a_change_that_is_refused_is_recorded_and_changes_nothing() -> None:
    desk = Desk(Deciders(RatioSizer(), rules=[Rule()], limits=HardLimits(max_leverage=d(1))))
    placed = desk.work(desk.submit("0.2", **LIMIT))
    desk.took_effects()
    desk.take(i.AmendOrder(placed.order_id, quantity=d("0.21")))
    refused = desk.last(e.OrderRefused)
    assert (refused.order_id, refused.refusal.reason) == (placed.order_id, "MAX_LEVERAGE")
    assert desk.took_effects() == []
    desk.take(i.AmendOrder(placed.order_id, limit_price=d(51_000)))
    assert desk.last(e.OrderRefused).refusal.reason == "MAX_LEVERAGE"


def test_an_order_can_not_be_made_too_small_for_the_venue(desk: Desk) -> None:
    placed = in_state(desk, OrderState.PARTIALLY_FILLED)
    desk.take(i.AmendOrder(placed.order_id, limit_price=d("0.1")))
    assert desk.last(e.OrderRefused).refusal == Refused("core", "BELOW_MIN_NOTIONAL", d(5), d("0.006"))


def test_halted_trading_takes_no_larger_entries(desk: Desk) -> None:
    placed = in_state(desk, OrderState.OPEN)
    desk.take(i.EngageKillSwitch("enough"))
    desk.take(i.AmendOrder(placed.order_id, quantity=d("0.2")))
    assert desk.last(e.OrderRefused).refusal.reason == "TRADING_HALTED"


def test_protection_can_be_moved_but_not_grown_beyond_what_is_held(desk: Desk) -> None:
    stop = desk.protect(desk.hold("0.1", stop_loss="49000"))
    assert names(desk.take(i.AmendOrder(stop.order_id, trigger_price=d(49_500)))) == ["OrderAmendRequested"]
    desk.take(i.AmendOrder(stop.order_id, quantity=d("0.11")))
    assert desk.last(e.OrderRefused).refusal == Refused("core", "MORE_THAN_HELD", d("0.1"), d("0.11"))


# ---------------------------------------------------------------- close


def test_a_position_is_closed_share_by_share(desk: Desk) -> None:
    desk.bot("sma")
    desk.hold("0.3", bot_id="sma")
    desk.hold("0.1")
    desk.take(i.ClosePosition("btcusdt"))
    closing = {each.bot_id: each for each in desk.state.orders_of()}
    assert {bot: (o.terms.side, o.terms.quantity) for bot, o in closing.items()} == {
        "sma": (Side.SELL, d("0.3")),
        "": (Side.SELL, d("0.1")),
    }
    assert all(o.terms.reduce_only and o.role is OrderRole.EXIT for o in closing.values())
    assert desk.take(i.ClosePosition("btcusdt")) == []


def test_one_bots_share_is_closed_alone(desk: Desk) -> None:
    desk.bot("sma")
    desk.hold("0.3", bot_id="sma")
    desk.hold("0.1")
    desk.take(i.ClosePosition("btcusdt", "sma"))
    assert [each.bot_id for each in desk.state.orders_of()] == ["sma"]


def test_a_short_is_bought_back(desk: Desk) -> None:
    desk.hold("0.1", Side.SELL)
    desk.take(i.ClosePosition("btcusdt"))
    assert [each.terms.side for each in desk.state.orders_of()] == [Side.BUY]


def test_nothing_held_nothing_closed(desk: Desk) -> None:
    with pytest.raises(RefusedByState) as refused:
        desk.take(i.ClosePosition("btcusdt"))
    assert refused.value.reason == "NO_POSITION"
    desk.hold("0.1")
    with pytest.raises(RefusedByState):
        desk.take(i.ClosePosition("btcusdt", "sma"))


def test_closing_works_while_trading_is_halted_and_no_price_was_seen(desk: Desk) -> None:
    desk.hold("0.1", price=50_000)
    desk.take(i.EngageKillSwitch("enough"))
    desk.machine.market.prices.clear()
    desk.take(i.ClosePosition("btcusdt"))
    closing = next(desk.state.orders_of())
    assert closing.reference_price == 50_000
    desk.send(closing)
    assert closing.state is OrderState.SENT


def test_closing_without_a_price_refers_to_a_mean_that_can_be_written_down(desk: Desk) -> None:
    """Found by the simulation: a mean with 28 digits ended the daemon, and every one after it that was to flatten."""
    desk.hold("0.1", price=50_000)
    desk.hold("0.2", price=50_001)
    desk.machine.market.prices.clear()
    desk.take(i.ClosePosition("btcusdt"))
    closing = next(order for order in desk.state.orders_of() if order.role is OrderRole.EXIT)
    assert str(closing.reference_price) == "50000.66666667"


# ---------------------------------------------------------------- requests


def test_a_request_is_handled_once_and_its_outcome_is_known(desk: Desk) -> None:
    request = i.Request("r1", "digest")
    assert desk.machine.seen(request) is None
    desk.take(order("0.1"), request)
    sequence = desk.state.sequence
    assert desk.machine.seen(request) == sequence
    assert desk.take(order("0.1"), request) == []
    assert desk.state.sequence == sequence
    assert [recorded.request_id for recorded in desk.journal if recorded.request_id] == ["r1"]


def test_a_request_with_several_events_is_answered_by_the_first(desk: Desk) -> None:
    desk.work(desk.submit("0.1", **LIMIT))
    before = desk.state.sequence
    request = i.Request("kill", "digest")
    desk.take(i.EngageKillSwitch("enough"), request)
    assert desk.state.sequence > before + 1
    assert desk.machine.seen(request) == before + 1


def test_the_same_id_for_something_else_is_refused(desk: Desk) -> None:
    desk.take(order("0.1"), i.Request("r1", "one"))
    before = desk.state.sequence
    for ask in (desk.machine.seen, lambda request: desk.take(order("0.2"), request)):
        with pytest.raises(AlreadyExists) as refused:
            ask(i.Request("r1", "other"))
        assert refused.value.reason == "REQUEST_ID_REUSED"
        assert refused.value.data == {"sequence": str(before)}
    assert desk.state.sequence == before


def test_a_request_that_was_refused_outright_may_be_mended(desk: Desk) -> None:
    request = i.Request("r1", "digest")
    with pytest.raises(NotFound):
        desk.take(i.CancelOrder("none"), request)
    assert desk.machine.seen(request) is None
    assert desk.machine.seen(i.NO_REQUEST) is None


def test_what_is_refused_half_way_is_a_fault_of_the_core(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(turn: Any, *rest: Any) -> None:
        turn.emit(e.TradingStateChanged(desk.state.trading_state, "", automatic=True))
        raise NotFound("order", "x")

    monkeypatch.setattr("quarterdeck.engine.orders.cancel_all", half)
    with pytest.raises(RuntimeError, match="half of it was recorded"):
        desk.take(i.CancelAllOrders())


def test_orders_of_every_kind_reach_the_venue_as_they_were_asked_for(desk: Desk) -> None:
    desk.took_effects()
    placed = desk.send(
        desk.submit(
            "0.1",
            type=OrderType.STOP_LIMIT,
            limit_price="52000",
            trigger_price="51900",
            time_in_force=TimeInForce.IOC,
            stop_loss="50000",
            take_profit="55000",
        )
    )
    sent = desk.took_effects()[-1]
    assert isinstance(sent, SendOrder)
    assert sent.terms is placed.terms
    assert (placed.terms.limit_price, placed.terms.trigger_price) == (d(52_000), d(51_900))
    assert (placed.terms.time_in_force, placed.terms.stop_loss) == (TimeInForce.IOC, d(50_000))


# ---------------------------------------------------------------- settled by hand


def test_a_person_can_settle_an_order_whose_outcome_is_unknown(desk: Desk) -> None:
    lost = desk.send(desk.submit("0.1"))
    desk.take(r.Unknown(lost.link_id, "timeout", desk.now))
    (event,) = desk.take(i.ResolveOrder(lost.order_id, "Ann, seen on the venue's page"))
    assert event == e.OrderAbsent(lost.order_id, "settled by hand: Ann, seen on the venue's page")
    assert desk.state.exposure("btcusdt").unknown == 0
    desk.submit("0.1")
    desk.fill(lost)  # it was there after all
    assert desk.state.positions["btcusdt"].quantity == d("0.1")
    assert len(desk.anomalies) == 1


def test_nothing_else_is_settled_by_hand(desk: Desk) -> None:
    working = desk.work(desk.submit("0.1", type=OrderType.LIMIT, limit_price="49000"))
    with pytest.raises(RefusedByState) as refused:
        desk.take(i.ResolveOrder(working.order_id, "me"))
    assert refused.value.reason == "ORDER_STATE"
    desk.take(r.Canceled(working.link_id, "asked", desk.now))
    with pytest.raises(RefusedByState) as refused:
        desk.take(i.ResolveOrder(working.order_id, "me"))
    assert refused.value.reason == "ORDER_CLOSED"
    with pytest.raises(NotFound):
        desk.take(i.ResolveOrder("nobody", "me"))
