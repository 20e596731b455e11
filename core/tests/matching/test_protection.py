"""Attached protection and reduce-only orders: what opens, grows, shrinks and ends with the position."""

from __future__ import annotations

from decimal import Decimal

from core.tests.matching.desk import BTC_SPOT, BUY, LIMIT, SELL, STOP, Desk, kinds, prices, reason, trades
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.report import Amended, Canceled, ChildOpened


def test_protection_opens_with_the_fill(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95, take_profit=110)
    _, stop, target = desk.candle(100, 101, 99, 100)
    assert stop == ChildOpened(
        "a-sl",
        "a",
        "x-a-sl",
        OrderRole.STOP_LOSS,
        OrderTerms("btcusdt", SELL, STOP, Decimal(1), trigger_price=Decimal(95), reduce_only=True),
        desk.now - 60_000_000_000,
    )
    assert isinstance(target, ChildOpened)
    assert (target.link_id, target.role, target.terms.type) == ("a-tp", OrderRole.TAKE_PROFIT, OrderType.TAKE_PROFIT)


def test_a_stop_is_live_in_the_candle_of_the_entry(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95, take_profit=110)
    # Long after the open, so the low comes first: bought at 100, stopped at 95, and the high finds nothing.
    reports = desk.candle(100, 120, 94, 100)
    assert kinds(reports) == ["Filled", "ChildOpened", "ChildOpened", "Triggered", "Filled", "Canceled"]
    assert prices(reports) == {"a": Decimal(100), "a-sl": Decimal(95)}
    assert reports[-1] == Canceled("a-tp", "OTHER_SIDE_FILLED", desk.now - 40_000_000_000)
    assert desk.position() == 0


def test_the_target_ends_the_stop(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95, take_profit=110)
    assert prices(desk.candle(100, 112, 96, 100)) == {"a": Decimal(100), "a-tp": Decimal(110)}
    assert desk.state("a-sl") is OrderState.CANCELED


def test_an_entry_that_opens_beyond_its_stop_is_stopped_at_once(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95)
    assert prices(desk.candle(90, 92, 89, 91)) == {"a": Decimal(90), "a-sl": Decimal(90)}


def test_a_limit_entry_is_protected_from_where_the_path_filled_it(desk: Desk) -> None:
    # Flat: 100, 101 (nearer), 94, 95. The entry at 97 and its stop at 95.5 lie on the same fall.
    desk.place("a", BUY, 1, LIMIT, limit_price=97, stop_loss=95.5)
    assert prices(desk.candle(100, 101, 94, 95)) == {"a": Decimal(97), "a-sl": Decimal("95.5")}


def test_protection_grows_with_further_fills() -> None:
    desk = Desk(participation=Decimal(1))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 3, stop_loss=95)
    desk.candle(100, 100, 100, 100, volume=1)
    [_, grown] = desk.candle(100, 100, 100, 100, volume=1)
    assert isinstance(grown, ChildOpened)
    assert grown.terms.quantity == 2
    assert len(desk.venue.open_orders()) == 2


def test_when_the_stop_starts_the_rest_of_the_entry_ends() -> None:
    desk = Desk(participation=Decimal(1))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 3, LIMIT, limit_price=100, stop_loss=95, take_profit=110)
    desk.candle(100, 100, 100, 100, volume=1)
    reports = desk.candle(96, 96, 94, 94, volume=0.5)
    # The open fills half of one more, all there is room for; the stop of the 1.5 starts but finds no room.
    assert trades(reports) == [("a", Decimal("0.5"), Decimal(96))]
    assert kinds(reports)[-2:] == ["Triggered", "Canceled"]
    assert reason(reports) == "PROTECTION_ENDED"
    reports = desk.candle(94, 94, 94, 94, volume=1)
    assert trades(reports) == [("a-sl", Decimal(1), Decimal(94))]
    assert reports[-1] == Amended("a-tp", desk.now - 60_000_000_000, quantity=Decimal("0.5"))
    assert desk.position() == Decimal("0.5")


def test_two_entries_have_each_their_own_protection(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95, take_profit=110)
    desk.place("b", BUY, 2, stop_loss=90, take_profit=120)
    desk.candle(100, 100, 100, 100)
    assert prices(desk.candle(100, 100, 94, 96)) == {"a-sl": Decimal(95)}
    assert desk.position() == 2
    assert [order.link_id for order in desk.venue.open_orders()] == ["b-sl", "b-tp"]


def test_an_entry_that_turns_the_position_protects_only_what_it_opened(desk: Desk) -> None:
    desk.place("short", SELL, 2)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 3, stop_loss=95)
    child = desk.candle(100, 100, 100, 100)[-1]
    assert isinstance(child, ChildOpened)
    assert child.terms.quantity == 1


def test_an_entry_that_only_reduces_opens_no_protection(desk: Desk) -> None:
    desk.place("short", SELL, 2)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 1, stop_loss=95)
    assert kinds(desk.candle(100, 100, 100, 100)) == ["Filled"]


def test_protection_ends_with_the_position(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95, take_profit=110)
    desk.candle(100, 100, 100, 100)
    desk.place("exit", SELL, 1)
    reports = desk.candle(100, 100, 100, 100)
    assert kinds(reports) == ["Filled", "Canceled", "Canceled"]
    assert reason(reports) == "NOTHING_TO_REDUCE"
    assert desk.venue.open_orders() == []


def test_a_child_can_be_moved_and_cancelled(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95, take_profit=110)
    desk.candle(100, 100, 100, 100)
    assert kinds(desk.amend("a-sl", trigger_price=98)) == ["Amended"]
    assert kinds(desk.cancel("a-tp")) == ["Canceled"]
    assert prices(desk.candle(100, 112, 97, 100)) == {"a-sl": Decimal(98)}


def test_a_short_is_protected_by_buys(desk: Desk) -> None:
    desk.place("a", SELL, 1, stop_loss=105, take_profit=90)
    assert prices(desk.candle(100, 106, 85, 100)) == {"a": Decimal(100), "a-sl": Decimal(105)}


def test_spot_holdings_are_protected_too() -> None:
    desk = Desk(BTC_SPOT)
    desk.candle(100, 100, 100, 100, symbol="btcusdt-spot")
    desk.place("a", BUY, 1, symbol="btcusdt-spot", stop_loss=95)
    found = prices(desk.candle(100, 100, 90, 92, symbol="btcusdt-spot"))
    assert found == {"a": Decimal(100), "a-sl": Decimal(95)}
    assert desk.balance("BTC") == 0


def test_protection_on_the_wrong_side_is_refused(desk: Desk) -> None:
    assert reason(desk.place("a", BUY, 1, stop_loss=101)) == "PROTECTION_MISMATCH"
    assert reason(desk.place("b", BUY, 1, take_profit=100)) == "PROTECTION_MISMATCH"
    assert reason(desk.place("c", SELL, 1, LIMIT, limit_price=110, stop_loss=105)) == "PROTECTION_MISMATCH"
    assert reason(desk.place("d", SELL, 1, reduce_only=True, stop_loss=105)) == "PROTECTION_MISMATCH"


# --- reduce-only


def test_reduce_only_needs_something_to_reduce(desk: Desk) -> None:
    assert reason(desk.place("a", SELL, 1, reduce_only=True)) == "NOTHING_TO_REDUCE"
    desk.place("b", BUY, 1)
    desk.candle(100, 100, 100, 100)
    assert reason(desk.place("c", BUY, 1, reduce_only=True)) == "NOTHING_TO_REDUCE"


def test_reduce_only_is_cut_to_the_position(desk: Desk) -> None:
    desk.place("long", BUY, 1)
    desk.candle(100, 100, 100, 100)
    reports = desk.place("a", SELL, 3, LIMIT, limit_price=110, reduce_only=True)
    assert reports[-1] == Amended("a", desk.now, quantity=Decimal(1))
    assert trades(desk.candle(100, 111, 100, 100)) == [("a", Decimal(1), Decimal(110))]
    assert desk.position() == 0


def test_reduce_only_shrinks_with_the_position(desk: Desk) -> None:
    desk.place("long", BUY, 3)
    desk.candle(100, 100, 100, 100)
    desk.place("stop", SELL, 3, STOP, trigger_price=90, reduce_only=True)
    desk.place("part", SELL, 2)
    reports = desk.candle(100, 100, 100, 100)
    assert reports[-1] == Amended("stop", desk.now - 60_000_000_000, quantity=Decimal(1))
    assert trades(desk.candle(100, 100, 85, 90)) == [("stop", Decimal(1), Decimal(90))]


def test_reduce_only_ends_when_the_position_turns(desk: Desk) -> None:
    desk.place("long", BUY, 1)
    desk.candle(100, 100, 100, 100)
    desk.place("stop", SELL, 1, STOP, trigger_price=90, reduce_only=True)
    desk.place("turn", SELL, 3)
    assert kinds(desk.candle(100, 100, 85, 90)) == ["Filled", "Canceled"]
    assert desk.position() == -2


def test_an_exit_that_comes_too_late_is_cancelled(desk: Desk) -> None:
    desk.place("a", BUY, 1, stop_loss=95)
    desk.candle(100, 100, 100, 100)
    desk.place("exit", SELL, 1, reduce_only=True)
    reports = desk.candle(90, 92, 89, 91)  # the gap triggers the stop first
    assert prices(reports) == {"a-sl": Decimal(90)}
    assert desk.state("exit") is OrderState.CANCELED
    assert desk.position() == 0


def test_an_entry_opens_nothing_it_does_not_protect() -> None:
    """Its stop ended because the position was closed by hand; what is left of it may not fill without one."""
    desk = Desk(participation=Decimal(1))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 3, LIMIT, limit_price=95, stop_loss=90)
    desk.candle(95, 95, 95, 95, volume=1)
    desk.place("by-hand", SELL, 1)
    reports = desk.candle(100, 100, 100, 100)
    assert kinds(reports) == ["Filled", "Canceled", "Canceled"]
    assert reason(reports[:2]) == "NOTHING_TO_REDUCE"
    assert reason(reports) == "PROTECTION_ENDED"
    assert desk.state("a") is OrderState.CANCELED
