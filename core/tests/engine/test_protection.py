"""Protection as a desired state: a stop that is gone is placed again, and what no stop can protect is closed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine.desk import MILLISECOND, Desk, d
from quarterdeck.domain import report as r
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.market import SECOND, Quote, Side
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import CancelAtVenue


def tick(desk: Desk, times: int = 1) -> list[e.Event]:
    """A second passes, so many times."""
    events: list[e.Event] = []
    for _ in range(times):
        desk.now += SECOND - MILLISECOND
        events += desk.take(i.Timer.TICK)
    return events


def held(desk: Desk, quantity: str = "0.1", stop: str = "49000", **terms: Any) -> Order:
    """Enter with a stop that works; returns the stop."""
    return desk.protect(desk.hold(quantity, stop_loss=stop, **terms))


def lose(desk: Desk, stop: Order) -> None:
    """The stop ends at the venue without anybody here having asked."""
    desk.take(r.Canceled(stop.link_id, "CancelByUser", desk.now))


def placed(events: list[e.Event]) -> list[tuple[OrderRole, Decimal, Decimal | None]]:
    return [
        (each.role, each.terms.quantity, each.terms.trigger_price) for each in events if type(each) is e.OrderPrepared
    ]


def stop_of(desk: Desk) -> Order:
    return desk.order(desk.last(e.OrderPrepared).order_id)


def test_a_stop_that_is_gone_is_placed_again_within_seconds(desk: Desk) -> None:
    lose(desk, held(desk))
    assert tick(desk) == []  # it may have been told ahead of what ended it
    assert placed(tick(desk)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_000))]
    again = stop_of(desk)
    assert again.terms.reduce_only
    assert again.terms.side is Side.SELL
    assert desk.machine.ids.read(again.link_id) is not None
    desk.work(again)
    assert tick(desk, 60) == []
    assert desk.state.trading_state is TradingState.ACTIVE
    assert desk.replayed() == desk.state


def test_it_is_placed_again_as_often_as_it_goes(desk: Desk) -> None:
    lose(desk, held(desk, side=Side.SELL, stop="51000"))
    for _ in range(3):
        assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.1"), d(51_000))]
        stop = desk.work(stop_of(desk))
        assert stop.terms.side is Side.BUY
        lose(desk, stop)


def test_nothing_is_placed_while_the_stop_works_or_none_was_ever_wanted(desk: Desk) -> None:
    held(desk)
    desk.hold("0.2", symbol="btcusdt-spot")
    assert tick(desk, 30) == []


def test_what_the_stop_ended_with_is_waited_for(desk: Desk) -> None:
    """The venue tells of the stop's end ahead of the trade that closed the position."""
    entry = desk.hold("0.1", stop_loss="49000", take_profit="51000")
    stop, target = desk.protect(entry), desk.protect(entry, OrderRole.TAKE_PROFIT)
    lose(desk, stop)
    assert tick(desk) == []
    desk.fill(target, price=51_000)
    assert tick(desk, 30) == []
    assert desk.state.stops == {}


def test_who_cancels_a_stop_here_wants_none(desk: Desk) -> None:
    stop = held(desk)
    desk.take(i.CancelOrder(stop.order_id))
    desk.take(r.Canceled(stop.link_id, "as asked", desk.now))
    assert tick(desk, 30) == []
    assert desk.state.stops == {}


def test_who_moves_a_stop_has_it_placed_again_where_it_was_moved_to(desk: Desk) -> None:
    entry = desk.hold("0.1", stop_loss="49000")
    stop = desk.protect(entry)
    desk.take(r.Amended(stop.link_id, desk.now, trigger_price=d(49_200)))
    moved = replace(stop.terms, trigger_price=d(49_500))  # by hand, which is told as if it had been opened anew
    desk.take(r.ChildOpened(stop.link_id, entry.link_id, "x", OrderRole.STOP_LOSS, moved, desk.now))
    lose(desk, stop)
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_500))]


def test_who_makes_a_stop_smaller_here_gets_no_other_for_the_rest(desk: Desk) -> None:
    stop = held(desk)
    desk.take(i.AmendOrder(stop.order_id, quantity=d("0.04")))
    desk.take(r.Amended(stop.link_id, desk.now, quantity=d("0.04")))
    assert tick(desk, 30) == []


def test_an_entry_that_fills_in_slices_and_gets_no_stop(desk: Desk) -> None:
    """Each slice is wanted to be protected; what the venue opened for the first is not placed twice."""
    entry = desk.work(desk.submit("0.3", stop_loss="49000"))
    desk.fill(entry, "0.1")
    desk.protect(entry, quantity="0.1")
    desk.fill(entry, "0.1")
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_000))]
    desk.work(stop_of(desk))
    desk.fill(entry, "0.1")
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_000))]


def test_when_the_price_has_passed_the_stop_the_position_is_closed_and_nobody_is_alarmed(desk: Desk) -> None:
    entry = desk.work(desk.submit("0.3", stop_loss="49000"))
    desk.fill(entry, "0.1", price=49_100)
    desk.candle(48_900.0)
    events = tick(desk, 2)
    assert placed(events) == [(OrderRole.EXIT, d("0.1"), None)]
    assert e.OrderCancelRequested(entry.order_id) in events  # the rest would be as naked
    assert desk.state.trading_state is TradingState.ACTIVE
    desk.fill(desk.work(stop_of(desk)), price=48_900)
    assert tick(desk, 30) == []


def test_a_stop_that_is_refused_again_and_again_ends_in_a_close_and_no_more_risk(desk: Desk) -> None:
    lose(desk, held(desk))
    tried = 0
    while True:
        events = tick(desk)
        tried += 1
        if any(each[0] is OrderRole.EXIT for each in placed(events)):
            break
        assert tried < 10
        if placed(events):
            desk.take(r.Rejected(desk.send(stop_of(desk)).link_id, "110009 too many stop orders", desk.now))
    assert 2 <= len(desk.events(e.OrderRejected)) <= 4
    assert tried <= 8
    assert desk.last(e.TradingStateChanged) == e.TradingStateChanged(
        TradingState.REDUCING, "no stop can be placed for 0.1 btcusdt: it is being closed", automatic=True
    )
    desk.fill(desk.work(stop_of(desk)))
    assert tick(desk, 30) == []


def test_the_next_position_begins_anew(desk: Desk) -> None:
    """What was tried for the one before is nothing against it, even if no second has passed between."""
    lose(desk, held(desk))
    while not placed(events := tick(desk)) or placed(events)[0][0] is not OrderRole.EXIT:
        if placed(events):
            desk.take(r.Rejected(desk.send(stop_of(desk)).link_id, "no", desk.now))
    desk.fill(desk.work(stop_of(desk)))
    desk.take(i.ReleaseKillSwitch("looked at"))
    lose(desk, held(desk))
    assert tick(desk) == []
    assert placed(tick(desk)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_000))]


def test_a_close_that_is_refused_is_no_loop(desk: Desk) -> None:
    desk.work(desk.submit("0.1", stop_loss="49000"))
    desk.fill(desk.order(desk.last(e.OrderPrepared).order_id), price=49_100)
    desk.candle(48_000.0)
    closes = 0
    for _ in range(120):
        if placed(tick(desk)):
            closes += 1
            desk.take(r.Rejected(desk.send(stop_of(desk)).link_id, "no", desk.now))
    assert 5 <= closes <= 9


def test_a_stop_whose_outcome_is_unknown_is_waited_for_a_little_longer(desk: Desk) -> None:
    lose(desk, held(desk))
    tick(desk, 2)
    stop = desk.send(stop_of(desk))
    desk.take(r.Unknown(stop.link_id, "timeout", desk.now))
    assert placed(tick(desk, 12)) == []
    assert placed(tick(desk, 4)) == [(OrderRole.EXIT, d("0.1"), None)]


def test_a_stop_in_doubt_that_works_after_all(desk: Desk) -> None:
    lose(desk, held(desk))
    tick(desk, 2)
    stop = desk.send(stop_of(desk))
    desk.take(r.Unknown(stop.link_id, "timeout", desk.now))
    desk.take(r.Opened(stop.link_id, "x", desk.now))
    assert tick(desk, 30) == []


def test_a_process_that_stood_still_tries_before_it_gives_up(desk: Desk) -> None:
    lose(desk, held(desk))
    tick(desk)
    desk.now += 600 * SECOND
    assert placed(tick(desk)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_000))]


def test_a_process_that_stood_still_gives_the_answer_its_time(desk: Desk) -> None:
    lose(desk, held(desk))
    tick(desk, 2)
    desk.send(stop_of(desk))
    desk.now += 600 * SECOND
    assert tick(desk, 3) == []
    assert placed(tick(desk, 15)) == [(OrderRole.EXIT, d("0.1"), None)]


def test_a_stand_in_goes_when_the_stop_works_after_all(desk: Desk) -> None:
    """Word of what the venue opened was lost, and found later: both would close too much of a shared position."""
    entry = desk.hold("0.1", stop_loss="49000")
    tick(desk, 2)
    stand_in = desk.work(stop_of(desk))
    desk.protect(entry)
    desk.took_effects()
    assert tick(desk) == [e.OrderCancelRequested(stand_in.order_id)]
    assert desk.took_effects() == [CancelAtVenue(stand_in.link_id, "btcusdt")]
    desk.take(r.Canceled(stand_in.link_id, "as asked", desk.now))
    assert desk.state.stops == {"btcusdt": {"": {d(49_000): d("0.1")}}}
    assert tick(desk, 30) == []


def test_a_stop_set_by_hand_protects_too(desk: Desk) -> None:
    stop = held(desk)
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.STOP, d("0.1"), trigger_price=d(48_000), reduce_only=True)
    desk.take(r.ChildOpened("", "", "by-hand", OrderRole.EXTERNAL, terms, desk.now))
    lose(desk, stop)
    assert tick(desk, 30) == []


def test_each_owner_has_stops_of_his_own(desk: Desk) -> None:
    desk.bot("a")
    desk.bot("b")
    first = held(desk, "0.1", "49000", bot_id="a")
    second = held(desk, "0.2", "48000", bot_id="b")
    lose(desk, second)
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.2"), d(48_000))]
    assert stop_of(desk).bot_id == "b"
    assert first.is_open


def test_several_entries_keep_their_own_stops(desk: Desk) -> None:
    first, second = held(desk, "0.1", "49000"), held(desk, "0.2", "48000")
    lose(desk, first)
    lose(desk, second)
    assert placed(tick(desk, 2)) == [
        (OrderRole.STOP_LOSS, d("0.1"), d(49_000)),
        (OrderRole.STOP_LOSS, d("0.2"), d(48_000)),
    ]


def test_what_is_closed_otherwise_is_wanted_no_more_and_the_farthest_goes_first(desk: Desk) -> None:
    first, second = held(desk, "0.1", "49000"), held(desk, "0.2", "48000")
    leave = desk.work(desk.submit("0.2", Side.SELL, reduce_only=True))
    desk.fill(leave)
    assert desk.state.stops == {"btcusdt": {"": {d(49_000): d("0.1")}}}
    lose(desk, second)
    assert tick(desk, 30) == []
    lose(desk, first)
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_000))]


def test_a_position_that_turned_around_wants_no_stops_of_before(desk: Desk) -> None:
    held(desk, "0.1", "49000")
    link = "theirs"
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.MARKET, d("0.3"))
    desk.take(r.ChildOpened(link, "", "x-theirs", OrderRole.EXTERNAL, terms, desk.now))
    other = desk.state.order_by_link(link)
    assert other is not None
    desk.fill(other)
    assert desk.state.share("btcusdt", "").quantity == d("-0.2")
    assert desk.state.stops == {}


def test_what_another_owner_holds_against_it_leaves_nothing_to_protect(desk: Desk) -> None:
    """The venue knows the account's position only, and turns away what reduces a flat one."""
    desk.bot("a")
    desk.bot("b")
    stop = held(desk, "0.1", "49000", bot_id="a")
    desk.hold("0.05", bot_id="b")
    sold = r.Filled("", "t", "btcusdt", Side.SELL, d("0.1"), d(50_000), d(0), "USDT", r.Liquidity.TAKER, desk.now)
    desk.take(sold)
    assert desk.state.share("btcusdt", "a").quantity == d("0.1")
    lose(desk, stop)
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.05"), d(49_000))]
    desk.work(stop_of(desk))
    desk.take(replace(sold, trade_id="u", quantity=d("0.05")))
    lose(desk, stop_of(desk))
    assert tick(desk, 30) == []


@pytest.mark.parametrize("halted", [False, True])
def test_it_is_placed_whatever_keeps_risk_away(desk: Desk, halted: bool) -> None:
    stop = held(desk)
    if halted:
        desk.take(i.EngageKillSwitch("enough"))
    lose(desk, stop)
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.1"), d(49_000))]
    desk.send(stop_of(desk))
    assert stop_of(desk).state is OrderState.SENT


DEEDS = st.sampled_from(["lose", "close", "refuse", "tick", "drop"])


@settings(max_examples=150, deadline=None)
@given(
    slices=st.lists(st.tuples(st.integers(1, 5), st.sampled_from([47_000, 48_000, 49_000])), min_size=1, max_size=4),
    deeds=st.lists(
        st.tuples(st.sampled_from(["lose", "close", "refuse", "tick", "drop"]), st.integers(0, 9)), max_size=12
    ),
    short=st.booleans(),
)
def test_in_the_end_everything_wanted_is_protected_or_closed(
    slices: list[tuple[int, int]], deeds: list[tuple[str, int]], short: bool
) -> None:
    """Whatever stops the venue loses or refuses, and however the price goes: protection ends as wanted, or flat."""
    use_money_context()
    desk = Desk()
    side = Side.SELL if short else Side.BUY
    refused = 0
    for lots, stop in slices:
        price = 100_000 - stop if short else stop
        held(desk, str(lots * d("0.01")), str(price), side=side)

    def answer() -> None:
        nonlocal refused
        for order in list(desk.state.open_orders.values()):
            if order.state is OrderState.PREPARED:
                desk.send(order)
                if refused and order.terms.type is OrderType.STOP:
                    refused -= 1
                    desk.take(r.Rejected(order.link_id, "no", desk.now))
                elif order.terms.type is OrderType.STOP:
                    desk.take(r.Opened(order.link_id, f"x-{order.link_id}", desk.now))
                else:
                    desk.fill(order)

    for deed, number in deeds:
        stops = [each for each in desk.state.open_orders.values() if each.terms.type is OrderType.STOP]
        share = desk.state.share("btcusdt", "").quantity
        if deed == "lose" and stops:
            lose(desk, stops[number % len(stops)])
        elif deed == "close" and share:
            part = min(abs(share), (number + 1) * d("0.01"))
            desk.fill(desk.work(desk.submit(str(part), side.opposite, reduce_only=True)))
        elif deed == "refuse":
            refused = number
        elif deed == "drop" and number > 7:
            seen = 50_000.0 + (1_500.0 if short else -1_500.0)
            desk.take(Quote("btcusdt", desk.now, seen, 1.0, seen, 1.0))
        tick(desk)
        answer()
        wanted = desk.state.stops.get("btcusdt", {}).get("", {})
        assert sum(wanted.values(), Decimal(0)) <= abs(desk.state.share("btcusdt", "").quantity)
        assert all(quantity > 0 for quantity in wanted.values())
    for _ in range(40):
        tick(desk)
        answer()
    wanted = desk.state.stops.get("btcusdt", {}).get("", {})
    working = [each for each in desk.state.open_orders.values() if each.terms.type is OrderType.STOP]
    needed = sum(wanted.values(), Decimal(0))
    assert sum((each.leaves_quantity for each in working), Decimal(0)) >= needed
    assert needed == abs(desk.state.share("btcusdt", "").quantity)  # all of it was entered with a stop
    assert desk.machine.gaps.open == {}
    assert desk.replayed() == desk.state
