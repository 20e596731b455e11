"""Refusals, cancels, amendments and the time requests take to arrive."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.tests.matching.desk import BTC, BUY, LIMIT, MARKET, SELL, STOP, Desk, kinds, prices, reason, trades
from quarterdeck.domain.market import MINUTE, SECOND, Candle
from quarterdeck.domain.order import OrderState, OrderType, TimeInForce
from quarterdeck.domain.report import Amended
from quarterdeck.matching import Latency, Venue, VenueSettings

STRICT = replace(BTC, min_quantity=Decimal("0.1"), min_notional=Decimal(20))

# --- filters


@pytest.mark.parametrize(
    ("why", "kind", "terms"),
    [
        ("UNKNOWN_SYMBOL", MARKET, {"symbol": "dogeusdt"}),
        ("QUANTITY_NOT_ON_LOT", MARKET, {"quantity": "0.015"}),
        ("QUANTITY_NOT_ON_LOT", MARKET, {"quantity": "0"}),
        ("QUANTITY_NOT_ON_LOT", MARKET, {"quantity": "-1"}),
        ("QUANTITY_TOO_SMALL", MARKET, {"quantity": "0.05"}),
        ("QUANTITY_TOO_LARGE", MARKET, {"quantity": "1000.01"}),
        ("NOTIONAL_TOO_SMALL", MARKET, {"quantity": "0.1"}),
        ("PRICE_NOT_ON_TICK", LIMIT, {"limit_price": "99.7"}),
        ("PRICE_NOT_ON_TICK", LIMIT, {"limit_price": "-1"}),
        ("PRICE_NOT_ON_TICK", LIMIT, {"limit_price": "0"}),
        ("PRICE_NOT_ON_TICK", STOP, {"trigger_price": "105.3"}),
        ("PRICE_NOT_ON_TICK", OrderType.TRAILING_STOP, {"trailing_distance": "0.3"}),
        ("PRICE_NOT_ON_TICK", MARKET, {"stop_loss": "95.1"}),
        ("PRICE_NOT_ON_TICK", MARKET, {"take_profit": "105.1"}),
        ("LIMIT_PRICE_MISMATCH", LIMIT, {}),
        ("LIMIT_PRICE_MISMATCH", MARKET, {"limit_price": "100"}),
        ("TRIGGER_PRICE_MISMATCH", STOP, {}),
        ("TRIGGER_PRICE_MISMATCH", MARKET, {"trigger_price": "100"}),
        ("TRAILING_DISTANCE_MISMATCH", OrderType.TRAILING_STOP, {}),
        ("TRAILING_DISTANCE_MISMATCH", STOP, {"trigger_price": "105", "trailing_distance": "1"}),
        ("TIME_IN_FORCE_MISMATCH", MARKET, {"time_in_force": TimeInForce.POST_ONLY}),
        ("LINK_ID_TOO_LONG", MARKET, {"link_id": "x" * 37}),
        ("LINK_ID_TOO_LONG", MARKET, {"link_id": "x" * 34, "stop_loss": "95"}),
    ],
)
def test_filters_are_exact(why: str, kind: OrderType, terms: dict[str, Any]) -> None:
    desk = Desk(STRICT, balances={"USDT": 1_000_000})
    desk.candle(100, 100, 100, 100)
    reports = desk.place(terms.pop("link_id", "a"), BUY, terms.pop("quantity", "1"), kind, **terms)
    assert kinds(reports) == ["Rejected"]
    assert reason(reports) == why


def test_closing_may_be_smaller_than_the_least_order() -> None:
    desk = Desk(STRICT)
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, "0.2")
    desk.candle(100, 100, 100, 100)
    desk.place("b", SELL, "0.01", reduce_only=True)
    assert trades(desk.candle(100, 100, 100, 100)) == [("b", Decimal("0.01"), Decimal(100))]


def test_a_market_order_before_any_price_cannot_be_valued() -> None:
    assert reason(Desk().place("a", BUY, 1)) == "NO_PRICE"
    assert reason(Desk().place("a", BUY, 1, stop_loss=95)) == "NO_PRICE"


def test_protection_needs_free_link_ids(desk: Desk) -> None:
    desk.place("a-sl", BUY, 1, LIMIT, limit_price=95)
    assert reason(desk.place("a", BUY, 1, stop_loss=95)) == "DUPLICATE_LINK_ID"


def test_a_venue_refuses_settings_it_cannot_keep() -> None:
    with pytest.raises(ValueError, match="listed twice"):
        Venue([BTC, BTC], {})
    for leverage in (Decimal("0.5"), Decimal(51)):
        with pytest.raises(ValueError, match="from 1 to 50"):
            Venue([BTC], {}, VenueSettings(leverage={"btcusdt": leverage}))


# --- cancel


def test_cancelled_orders_do_not_trade(desk: Desk) -> None:
    desk.place("a", BUY, 1, LIMIT, limit_price=95)
    desk.place("b", BUY, 1)
    assert kinds(desk.cancel("a")) == ["Canceled"]
    assert kinds(desk.cancel("b")) == ["Canceled"]
    assert desk.candle(100, 100, 90, 90) == []
    assert reason(desk.cancel("a")) == "ORDER_CLOSED"
    assert reason(desk.cancel("nobody")) == "UNKNOWN_ORDER"


def test_a_cancelled_entry_keeps_the_protection_of_what_it_filled() -> None:
    desk = Desk(participation=Decimal(1))
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 3, LIMIT, limit_price=100, stop_loss=95)
    desk.candle(100, 100, 100, 100, volume=1)
    desk.cancel("a")
    assert [order.link_id for order in desk.venue.open_orders()] == ["a-sl"]


# --- amend


def test_an_amended_order_trades_on_its_new_terms(desk: Desk) -> None:
    desk.place("a", BUY, 1, LIMIT, limit_price=90)
    assert desk.amend("a", limit_price=95, quantity=2) == [
        Amended("a", desk.now, Decimal(2), Decimal(95)),
    ]
    desk.candle(100, 100, 96, 97)
    assert trades(desk.candle(97, 97, 94, 95)) == [("a", Decimal(2), Decimal(95))]


def test_an_order_amended_to_a_better_price_than_the_market_takes(desk: Desk) -> None:
    desk.place("a", BUY, 1, LIMIT, limit_price=90)
    desk.amend("a", limit_price=102)
    assert prices(desk.candle(101, 101, 101, 101)) == {"a": Decimal(101)}


def test_a_new_price_or_a_larger_quantity_costs_the_place_in_the_queue(desk: Desk) -> None:
    for link_id in ("a", "b", "c", "d"):
        desk.place(link_id, BUY, 2, LIMIT, limit_price=95)
    desk.candle(100, 100, 96, 100)
    desk.amend("a", quantity=3)
    desk.amend("b", quantity=1)
    found = [link_id for link_id, _, _ in trades(desk.candle(100, 100, 90, 90))]
    assert found == ["b", "c", "d", "a"]


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("QUANTITY_BELOW_FILLED", {"quantity": 1}),
        ("QUANTITY_NOT_ON_LOT", {"quantity": "3.005"}),
        ("PRICE_NOT_ON_TICK", {"limit_price": "94.9"}),
        ("TRIGGER_PRICE_MISMATCH", {"trigger_price": 96}),
        ("INSUFFICIENT_MARGIN", {"quantity": "1000"}),
    ],
)
def test_an_amendment_that_makes_no_sense_changes_nothing(why: str, changes: dict[str, float | str]) -> None:
    desk = Desk(participation=Decimal(1), balances={"USDT": 100})
    desk.candle(100, 100, 100, 100)
    desk.place("a", BUY, 3, LIMIT, limit_price=95)
    desk.candle(95, 95, 95, 95, volume=1)
    before = desk.venue.snapshot()
    assert reason(desk.amend("a", **changes)) == why
    after = desk.venue.snapshot()
    assert (after.orders, after.positions, after.balances) == (before.orders, before.positions, before.balances)


def test_other_amendments_that_make_no_sense(desk: Desk) -> None:
    assert reason(desk.amend("nobody", quantity=1)) == "UNKNOWN_ORDER"
    desk.place("market", BUY, 1)
    assert reason(desk.amend("market", limit_price=99)) == "LIMIT_PRICE_MISMATCH"
    desk.candle(100, 100, 100, 100)
    assert reason(desk.amend("market", quantity=2)) == "ORDER_CLOSED"
    desk.place("stop", SELL, 1, STOP, trigger_price=95, reduce_only=True)
    assert reason(desk.amend("stop", quantity=2)) == "REDUCES_TOO_MUCH"
    desk.place("maker", BUY, 1, LIMIT, limit_price=95, time_in_force=TimeInForce.POST_ONLY)
    assert reason(desk.amend("maker", limit_price=100)) == "POST_ONLY_WOULD_CROSS"
    assert kinds(desk.amend("maker", limit_price=99)) == ["Amended"]
    assert prices(desk.candle(97, 97, 97, 97)) == {"maker": Decimal(99)}


# --- latency


def test_an_order_on_its_way_misses_what_happens_meanwhile() -> None:
    desk = Desk(latency=Latency(fixed=2 * SECOND))
    desk.quote(99, 100)
    assert kinds(desk.place("a", BUY, 1, LIMIT, limit_price=100)) == ["Acked"]
    assert desk.quote(98, 99) == []  # one second later
    reports = desk.quote(97, 98)  # two seconds later: it has just arrived
    assert kinds(reports) == ["Opened", "Filled"]
    assert prices(reports) == {"a": Decimal(98)}


def test_an_order_that_arrives_inside_a_candle_joins_its_path() -> None:
    """Open 100, low 94, high 102, close 100, twenty seconds each: ten seconds in, the price is 97."""
    desk = Desk(latency=Latency(fixed=10 * SECOND))
    desk.candle(100, 100, 100, 100)
    minute = desk.now
    desk.place("a", BUY, 1, stop_loss=95)
    reports = desk.candle(100, 110, 94, 100)
    assert prices(reports) == {"a": Decimal(97), "a-sl": Decimal(95)}
    assert [getattr(report, "time", 0) for report in reports[:2]] == [minute + 10 * SECOND] * 2


def test_an_order_placed_in_mid_candle_does_not_get_its_open(desk: Desk) -> None:
    """The candle is shown when it closes, but the order came half-way: between the low of 94 and the high of 102."""
    opened = desk.now
    desk.now += 30 * SECOND
    desk.place("a", BUY, 1)
    reports = desk.show(Candle("btcusdt", MINUTE, opened, 100.0, 102.0, 94.0, 100.0, 100.0))
    assert prices(reports) == {"a": Decimal(98)}


def test_a_cancel_can_come_too_late() -> None:
    desk = Desk(latency=Latency(fixed=2 * SECOND))
    desk.quote(99, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=98)
    desk.quote(99, 100)
    desk.quote(99, 100)
    assert desk.cancel("a") == []
    assert kinds(desk.quote(97, 98)) == ["Filled"]
    assert reason(desk.quote(97, 98)) == "ORDER_CLOSED"
    assert desk.state("a") is OrderState.FILLED


def test_an_amendment_arrives_later_too() -> None:
    desk = Desk(latency=Latency(fixed=2 * SECOND))
    desk.quote(99, 100)
    desk.place("a", BUY, 1, LIMIT, limit_price=96)
    desk.quote(99, 100)
    desk.quote(99, 100)
    assert desk.amend("a", limit_price=98) == []
    assert trades(desk.quote(97, 98)) == []
    reports = desk.quote(97, 97.5)
    assert kinds(reports) == ["Amended", "Filled"]
    assert prices(reports) == {"a": Decimal("97.5")}


def test_a_cancel_can_overtake_its_order() -> None:
    """Jitter is drawn per request; among these seeds are some where the order arrives last."""
    outcomes = set()
    for seed in range(20):
        desk = Desk(latency=Latency(jitter=5 * SECOND, seed=seed))
        desk.quote(99, 100)
        desk.place("a", BUY, 1, LIMIT, limit_price=98)
        desk.cancel("a")
        reports = [report for _ in range(6) for report in desk.quote(99, 100)]
        outcomes.add(tuple(kinds(reports)))
        assert desk.state("a") is OrderState.CANCELED
    assert outcomes == {("Canceled",), ("Opened", "Canceled")}


def test_jitter_is_bounded_and_repeatable() -> None:
    latency = Latency(fixed=100, jitter=50, seed=7)
    draws = [latency.delay(f"order-{number}") for number in range(200)]
    assert draws == [latency.delay(f"order-{number}") for number in range(200)]
    assert min(draws) >= 100
    assert max(draws) <= 150
    assert len(set(draws)) > 30
    assert draws != [Latency(fixed=100, jitter=50, seed=8).delay(f"order-{number}") for number in range(200)]
