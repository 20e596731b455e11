"""Agreeing with the venue: what its history explains is booked at once, what it does not when it was said twice."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.engine.desk import IDS, LIMIT, Desk, d, names
from quarterdeck.domain import report as r
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.risk import TradingState
from quarterdeck.domain.venue import VenueOrder, VenuePosition, VenueSnapshot
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import CancelAtVenue
from quarterdeck.engine.state import State

TERMS = OrderTerms("btcusdt", Side.BUY, OrderType.LIMIT, d("0.3"), d(49_000))


def shown(order: Order, **changes: Any) -> VenueOrder:
    """An order of ours as the venue has it."""
    described = VenueOrder(order.link_id, "x", order.terms, order.state, order.filled_quantity)
    return replace(described, **changes)


def honest(desk: Desk, **changes: Any) -> VenueSnapshot:
    """What a venue says that has everything as the journal has it."""
    state = desk.state
    snapshot = VenueSnapshot(
        tuple(shown(order) for order in state.open_orders.values()),
        tuple(VenuePosition(one.symbol, one.quantity, one.cost / one.quantity) for one in held(state)),
        {currency: state.ledger.wallet(currency) for currency in state.ledger.totals},
        (),
        desk.now + 1,
    )
    return replace(snapshot, **changes)


def held(state: State) -> list[Any]:
    return [position for position in state.positions.values() if position.quantity]


def look(desk: Desk, snapshot: VenueSnapshot, *, adjust: bool = False) -> tuple[list[e.Event], i.Agreement]:
    events = desk.take(i.Reconcile(snapshot, desk.state.moves, adjust))
    return events, replace(desk.machine.agreement, confirmed=())


def trade(link: str, trade_id: str, side: Side = Side.BUY, quantity: str = "0.1", time: int = 0) -> r.Filled:
    taker = r.Liquidity.TAKER
    return r.Filled(link, trade_id, "btcusdt", side, d(quantity), d(50_000), d(1), "USDT", taker, time)


# ---------------------------------------------------------------- nothing to do


def test_a_venue_that_agrees_changes_nothing(desk: Desk) -> None:
    desk.hold("0.1")
    desk.work(desk.submit("0.1", **LIMIT))
    desk.submit("0.1", **LIMIT)  # queued: the venue can't know of it
    working = [shown(one) for one in desk.state.open_orders.values() if one.state is not OrderState.PREPARED]
    assert look(desk, honest(desk, orders=tuple(working)), adjust=True) == ([], i.Agreement())


def test_a_look_that_was_overtaken_does_nothing(desk: Desk) -> None:
    before = honest(desk)
    moves = desk.state.moves
    desk.hold("0.1")
    assert desk.take(i.Reconcile(before, moves, adjust=True)) == []
    assert desk.machine.agreement == i.Agreement(is_overtaken=True)


# ---------------------------------------------------------------- orders


def test_an_order_whose_answer_was_lost_goes_on_where_the_venue_has_it(desk: Desk) -> None:
    lost = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(r.Unknown(lost.link_id, "timeout", desk.now))
    events, agreement = look(desk, honest(desk, orders=(shown(lost, state=OrderState.OPEN),)))
    assert names(events) == ["OrderOpened"]
    assert agreement == i.Agreement()


def test_missing_is_no_end(desk: Desk) -> None:
    order = desk.work(desk.submit("0.1", **LIMIT))
    events, agreement = look(desk, honest(desk, orders=()), adjust=True)
    assert (events, agreement.asked, order.state) == ([], (order.link_id,), OrderState.OPEN)


def test_an_order_that_is_younger_than_the_look_is_not_missing(desk: Desk) -> None:
    snapshot = honest(desk)
    desk.work(desk.submit("0.1", **LIMIT))
    assert look(desk, snapshot)[1].asked == ()


def test_what_has_ended_since_the_look_does_not_differ(desk: Desk) -> None:
    order = desk.work(desk.submit("0.1", **LIMIT))
    snapshot = honest(desk)
    desk.take(r.Canceled(order.link_id, "asked", desk.now))
    assert look(desk, snapshot, adjust=True) == ([], i.Agreement())


def test_what_has_ended_here_stays_ended(desk: Desk) -> None:
    order = desk.work(desk.submit("0.1", **LIMIT))
    stale = shown(order)
    desk.take(r.Canceled(order.link_id, "asked", desk.now))
    events, agreement = look(desk, honest(desk, orders=(stale,)), adjust=True)
    assert (events, order.state) == ([], OrderState.CANCELED)
    assert agreement.differences == ("order order-1: CANCELED here, working at the venue",)


def test_what_was_proved_absent_and_works_is_taken_off(desk: Desk) -> None:
    order = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(r.Absent(order.link_id, "asked", desk.now))
    desk.took_effects()
    _, agreement = look(desk, honest(desk, orders=(shown(order, state=OrderState.OPEN),)))
    assert len(agreement.differences) == 1
    assert desk.took_effects() == [CancelAtVenue(order.link_id, "btcusdt")]


def test_a_cancel_that_was_lost_is_asked_again(desk: Desk) -> None:
    order = desk.work(desk.submit("0.1", **LIMIT))
    desk.take(i.CancelOrder(order.order_id))
    desk.took_effects()
    look(desk, honest(desk))
    assert desk.took_effects() == [CancelAtVenue(order.link_id, "btcusdt")]


def test_other_terms_are_taken_over_when_said_twice(desk: Desk) -> None:
    order = desk.work(desk.submit("0.3", **LIMIT))
    desk.fill(order, "0.1", 49_000)
    changed = shown(order, terms=replace(order.terms, quantity=d("0.2"), limit_price=d(48_000)))
    events, agreement = look(desk, honest(desk, orders=(changed,)))
    assert (events, agreement.differences) == ([], ("order order-1: has quantity 0.2, limit_price 48000 at the venue",))
    events, agreement = look(desk, honest(desk, orders=(changed,)), adjust=True)
    assert events == [e.OrderAmended(order.order_id, d("0.2"), d(48_000))]
    assert agreement == i.Agreement()


# ---------------------------------------------------------------- orders from elsewhere


def test_an_order_of_somebody_else_is_taken_up_with_what_is_left_of_it(desk: Desk) -> None:
    theirs = VenueOrder("", "77", TERMS, OrderState.PARTIALLY_FILLED, d("0.1"))
    events, _ = look(desk, honest(desk, orders=(theirs,)))
    assert names(events) == ["OrderAdopted"]
    order = desk.order("external-3")
    assert (order.role, order.leaves_quantity, order.exchange_order_id) == (OrderRole.EXTERNAL, d("0.2"), "77")
    assert look(desk, honest(desk, orders=(theirs,)), adjust=True) == ([], i.Agreement())
    assert desk.took_effects() == []
    assert desk.anomalies == []


def test_an_order_of_somebody_else_that_works_no_more_has_ended_when_said_twice(desk: Desk) -> None:
    look(desk, honest(desk, orders=(VenueOrder("theirs", "77", TERMS, OrderState.OPEN, d(0)),)))
    assert look(desk, honest(desk, orders=())) == ([], i.Agreement(("order external-3: OPEN here, not at the venue",)))
    events, _ = look(desk, honest(desk, orders=()), adjust=True)
    assert names(events) == ["OrderCanceled"]


@pytest.mark.parametrize("role", [OrderRole.ENTRY, OrderRole.EXIT])
def test_an_orphan_is_named_and_an_entry_is_taken_off(desk: Desk, role: OrderRole) -> None:
    link = IDS.mint(1_000, role, TERMS)
    events, _ = look(desk, honest(desk, orders=(VenueOrder(link, "77", TERMS, OrderState.OPEN, d(0)),)))
    assert link in desk.anomalies[0]
    assert desk.state.trading_state is TradingState.REDUCING
    is_entry = role is OrderRole.ENTRY
    assert ("OrderCancelRequested" in names(events)) is is_entry
    assert desk.took_effects() == ([CancelAtVenue(link, "btcusdt")] if is_entry else [])


def test_protection_that_was_opened_while_nobody_heard_is_its_entrys_and_no_surprise(desk: Desk) -> None:
    desk.bot("sma")
    entry = desk.hold("0.1", bot_id="sma", stop_loss="49000")
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.STOP, d("0.1"), trigger_price=d(49_000), reduce_only=True)
    stop = VenueOrder(f"{entry.link_id}-sl", "77", terms, OrderState.OPEN, d(0))
    events, agreement = look(desk, honest(desk, orders=(stop,)))
    assert (names(events), agreement) == (["OrderAdopted"], i.Agreement())
    adopted = desk.order(f"{entry.order_id}-sl")
    assert (adopted.role, adopted.parent_id, adopted.bot_id) == (OrderRole.STOP_LOSS, entry.order_id, "sma")
    assert desk.anomalies == []
    assert desk.state.trading_state is TradingState.ACTIVE


def test_what_is_held_of_a_pair_is_money_and_need_not_be_listed(desk: Desk) -> None:
    desk.hold("0.1", symbol="btcusdt-spot")
    events, agreement = look(desk, honest(desk, positions=()), adjust=True)
    assert (events, agreement) == ([], i.Agreement())


# ---------------------------------------------------------------- trades, positions, money


def test_missed_trades_funding_and_transfers_are_booked_in_their_place(desk: Desk) -> None:
    order = desk.work(desk.submit("0.3"))
    desk.fill(order, "0.1", trade_id="t1", fee="1")
    activity = (
        trade(order.link_id, "t1"),
        r.FundingSettled("f", "btcusdt", d(-2), d("0.0001"), d("0.1"), 1),
        trade(order.link_id, "t2", quantity="0.2"),
        trade("theirs", "t3", Side.SELL, "0.1"),
        r.BalanceChanged("c", "USDT", d(500), "deposit", 2),
    )
    venue = VenueSnapshot(
        (), (VenuePosition("btcusdt", d("0.2"), d(50_000)),), {"USDT": d(10_495)}, activity, desk.now + 1
    )
    events, agreement = look(desk, venue)
    booked = ["FundingPaid", "OrderFilled", "OrderAdopted", "OrderFilled", "BalanceAdjusted"]
    assert (names(events), agreement) == (booked, i.Agreement(booked=4))
    assert order.state is OrderState.FILLED
    assert look(desk, venue) == ([], i.Agreement())
    assert desk.anomalies == []


def test_what_no_history_explains_is_believed_when_said_twice(desk: Desk) -> None:
    desk.bot("a")
    desk.hold("0.1", bot_id="a")
    desk.hold("0.1")
    other = honest(desk, positions=(VenuePosition("btcusdt", d("0.05"), d(50_000)),), balances={"USDT": d(9_000)})
    found = ("position btcusdt: 0.2 here, 0.05 at the venue", "balance USDT: 10000 here, 9000 at the venue")
    assert look(desk, other) == ([], i.Agreement(found))
    events, agreement = look(desk, other, adjust=True)
    assert names(events) == ["PositionAdjusted", "PositionAdjusted", "BalanceAdjusted", "TradingStateChanged"]
    assert agreement == i.Agreement(adjusted=3)
    assert desk.state.share("btcusdt", "").quantity == 0  # what is traded by hand goes first
    assert desk.state.share("btcusdt", "a").quantity == d("0.05") == desk.state.positions["btcusdt"].quantity
    assert desk.state.bots["a"].holding.quantity == d("0.05")
    assert (desk.state.wallet, desk.state.day_start_equity) == (d(9_000), d(10_000))  # it counts as a loss
    assert look(desk, other, adjust=True) == ([], i.Agreement())


@pytest.mark.parametrize(("here", "there"), [("0", "0.1"), ("0.1", "-0.2"), ("-0.1", "0.3"), ("0.1", "0.4")])
def test_any_position_can_become_any_other(desk: Desk, here: str, there: str) -> None:
    if d(here):
        desk.hold(str(abs(d(here))), Side.BUY if d(here) > 0 else Side.SELL)
    look(desk, honest(desk, positions=(VenuePosition("btcusdt", d(there), d(40_000)),)), adjust=True)
    position = desk.state.positions["btcusdt"]
    assert position.quantity == d(there) == sum(one.quantity for one in desk.state.shares["btcusdt"].values())
    adjusted = desk.last(e.PositionAdjusted)
    assert (adjusted.position_quantity, adjusted.position_average_price) == (position.quantity, position.average_price)
    assert desk.replayed() == desk.state


def test_the_same_finding_has_the_same_id() -> None:
    ids = set()
    for later in (0, 1_000_000):
        desk = Desk()
        desk.hold("0.1")
        desk.now += later
        look(desk, honest(desk, positions=()), adjust=True)
        ids.add(desk.last(e.PositionAdjusted).adjustment_id)
    assert len(ids) == 1


def test_what_an_account_held_when_it_was_opened_is_no_surprise(desk: Desk) -> None:
    look(desk, honest(desk, positions=(VenuePosition("btcusdt", d("0.1"), d(40_000)),)), adjust=True)
    assert desk.state.positions["btcusdt"].average_price == 40_000
    assert desk.anomalies == []


def test_what_can_not_be_valued_is_not_booked(desk: Desk) -> None:
    _, agreement = look(desk, honest(desk, positions=(VenuePosition("dogeusdt", d(1), d(1)),)), adjust=True)
    assert agreement.differences == ("position dogeusdt: 0 here, 1 at the venue, and the instrument is not listed",)


# ---------------------------------------------------------------- kill


def test_an_entry_that_fills_after_everything_was_to_be_closed_is_closed_too(desk: Desk) -> None:
    entry = desk.send(desk.submit("0.1"))
    desk.take(i.EngageKillSwitch("enough", flatten=True))
    events = desk.fill(entry)
    assert names(events) == ["OrderFilled", "OrderPrepared"]
    exit_order = desk.order(desk.last(e.OrderPrepared).order_id)
    assert (exit_order.role, exit_order.terms.quantity) == (OrderRole.EXIT, d("0.1"))
    desk.send(exit_order)
    desk.take(r.Rejected(exit_order.link_id, "busy", desk.now))
    assert names(desk.take(i.Timer.TICK)) == ["OrderPrepared"]
    desk.take(i.ReleaseKillSwitch("looked"))
    desk.take(r.Rejected(desk.last(e.OrderPrepared).link_id, "busy", desk.now))
    assert "OrderPrepared" not in names(desk.take(i.Timer.TICK))


def test_a_halt_can_become_one_that_closes_everything(desk: Desk) -> None:
    desk.hold("0.1")
    desk.take(i.EngageKillSwitch("enough"))
    desk.take(i.EngageKillSwitch("more", flatten=True))
    assert desk.state.flatten
    assert desk.replayed() == desk.state


# ---------------------------------------------------------------- laws


def story(desk: Desk) -> tuple[list[r.Report], VenueSnapshot]:
    """Two orders of ours and two trades of somebody else, as reports, and what the venue shows in the end."""
    first, second = desk.send(desk.submit("0.3", **LIMIT)), desk.send(desk.submit("0.2"))
    reports: list[r.Report] = [
        r.Acked(first.link_id, "x1", 1),
        r.Opened(first.link_id, "x1", 2),
        trade(first.link_id, "t1", quantity="0.1", time=3),
        r.Acked(second.link_id, "x2", 4),
        trade(second.link_id, "t2", quantity="0.2", time=5),
        trade("theirs", "t3", quantity="0.1", time=6),
        r.FundingSettled("f", "btcusdt", d(-2), d("0.0001"), d("0.4"), 7),
        trade("theirs", "t4", Side.SELL, quantity="0.15", time=8),
        r.Canceled(first.link_id, "asked", 9),
        r.BalanceChanged("c", "USDT", d(100), "deposit", 10),
    ]
    activity = tuple(one for one in reports if isinstance(one, r.Filled | r.FundingSettled | r.BalanceChanged))
    positions = (VenuePosition("btcusdt", d("0.25"), d(50_000)),)
    return reports, VenueSnapshot((), positions, {"USDT": d(10_094)}, activity, desk.now * 2)


def account(state: State) -> dict[str, Any]:
    """What the account comes down to, whatever way it took."""
    return {
        "positions": {symbol: (one.quantity, one.cost) for symbol, one in state.positions.items()},
        "wallet": state.wallet,
        "fees": state.fees,
        "orders": {one.link_id: (one.state, one.filled_quantity) for one in _all(state)},
    }


def _all(state: State) -> list[Order]:
    return [*state.open_orders.values(), *state.closed_orders.values()]


@given(seed=st.integers(0, 2**32), repeats=st.integers(1, 3), lost=st.floats(0, 1))
def test_whatever_is_lost_twice_or_late_the_account_ends_the_same(seed: int, repeats: int, lost: float) -> None:
    chance = random.Random(seed)
    told = Desk()
    reports, venue = story(told)
    for report in reports:
        told.take(report)
    assert look(told, venue, adjust=True) == ([], i.Agreement())
    due = account(told.state)

    desk = Desk()
    reports, venue = story(desk)
    heard = [report for report in reports * repeats if chance.random() >= lost]
    chance.shuffle(heard)
    for report in heard:
        desk.take(report)
    _, agreement = look(desk, venue)
    assert agreement.differences == ()
    for link in agreement.asked:  # the resolver asks, and is told the end
        desk.take(next(one for one in reports if isinstance(one, r.Canceled) and one.link_id == link))
    ended = account(desk.state)
    assert ended == due
    traded = sum((one.quantity * one.side.sign for one in desk.events(e.OrderFilled)), Decimal(0))
    assert traded == desk.state.positions["btcusdt"].quantity
    assert desk.replayed() == desk.state
    assert look(desk, venue, adjust=True) == ([], i.Agreement())
