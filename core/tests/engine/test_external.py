"""What others did on the account: their orders, trades and transfers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.tests.engine.desk import Desk, d, lost, names
from quarterdeck.domain import report as r
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import CancelAtVenue


def theirs(link: str = "theirs", trade: str = "t", side: Side = Side.BUY, quantity: str = "0.1") -> r.Filled:
    taker = r.Liquidity.TAKER
    return r.Filled(link, trade, "btcusdt", side, d(quantity), d(50_000), d(1), "USDT", taker, 0, exchange_order_id="x")


def test_a_trade_of_somebody_else_is_booked_at_once_and_once(desk: Desk) -> None:
    assert names(desk.take(theirs())) == ["OrderAdopted", "OrderFilled"]
    assert desk.take(theirs()) == []
    assert desk.take(theirs(link="")) == []
    booked = desk.order("external-3")
    assert (booked.role, booked.state, booked.bot_id) == (OrderRole.EXTERNAL, OrderState.FILLED, "")
    assert desk.state.positions["btcusdt"].quantity == d("0.1")
    assert desk.state.wallet == 9_999
    assert desk.anomalies == []


def test_each_trade_of_an_order_nobody_told_us_of_is_booked(desk: Desk) -> None:
    desk.take(theirs(trade="t1"))
    desk.take(theirs(trade="t2"))
    assert desk.state.positions["btcusdt"].quantity == d("0.2")
    assert desk.anomalies == []


def test_a_trade_of_somebody_else_closes_the_share_of_the_one_owner(desk: Desk) -> None:
    desk.bot("a")
    desk.hold("0.1", bot_id="a")
    desk.take(theirs(side=Side.SELL))
    assert desk.state.share("btcusdt", "a").quantity == 0
    assert desk.state.bots["a"].holding.quantity == 0


def test_a_trade_of_somebody_else_is_nobodys_in_particular_when_several_hold(desk: Desk) -> None:
    for bot in ("a", "b"):
        desk.bot(bot)
        desk.hold("0.1", bot_id=bot)
    desk.take(theirs(side=Side.SELL))
    assert desk.state.share("btcusdt", "").quantity == d("-0.1")


@pytest.mark.parametrize("change", [{"quantity": d(0)}, {"price": d(0)}, {"symbol": "dogeusdt"}])
def test_a_trade_that_can_not_be_booked_is_an_anomaly(desk: Desk, change: dict[str, Any]) -> None:
    assert names(desk.take(replace(theirs(), **change))) == ["TradingStateChanged"]
    assert desk.state.positions == {}


def test_a_trade_of_an_order_of_ours_that_is_not_known_is_booked_and_named(desk: Desk) -> None:
    events = desk.take(theirs(link=lost()))
    assert names(events) == ["OrderAdopted", "OrderFilled", "TradingStateChanged"]
    assert lost() in desk.anomalies[0]


@pytest.mark.parametrize("link", ["theirs", ""])
def test_an_order_of_somebody_else_counts_until_it_ends(desk: Desk, link: str) -> None:
    terms = OrderTerms("btcusdt", Side.BUY, OrderType.LIMIT, d("0.2"), d(49_000))
    news = r.ChildOpened(link, "", "x", OrderRole.EXTERNAL, terms, desk.now)
    assert names(desk.take(news)) == ["OrderAdopted"]
    assert desk.take(news) == []
    assert desk.machine.view.pending_quantity("btcusdt") == d("0.2")
    desk.take(theirs(link))
    order = desk.order("external-3")
    assert (order.state, order.leaves_quantity) == (OrderState.PARTIALLY_FILLED, d("0.1"))
    desk.take(i.EngageKillSwitch("enough"))
    due = CancelAtVenue(link, "btcusdt") if link else CancelAtVenue("", "btcusdt", "x")
    assert desk.took_effects()[-1] == due
    desk.take(r.Canceled(order.link_id, "asked", desk.now))
    assert desk.machine.view.pending_quantity("btcusdt") == 0


def test_protection_of_an_order_nobody_here_placed_is_somebody_elses(desk: Desk) -> None:
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.STOP, d(1), trigger_price=d(1), reduce_only=True)
    desk.take(r.ChildOpened("theirs-sl", "theirs", "x", OrderRole.STOP_LOSS, terms, 0))
    assert desk.order("external-3").role is OrderRole.EXTERNAL
    assert desk.machine.view.pending_quantity("btcusdt") == 0  # it only closes
    assert desk.anomalies == []


def test_protection_of_an_order_of_ours_that_is_not_known_keeps_its_role(desk: Desk) -> None:
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.STOP, d(1), trigger_price=d(1), reduce_only=True)
    desk.take(r.ChildOpened(f"{lost()}-sl", lost(), "x", OrderRole.STOP_LOSS, terms, 0))
    assert desk.order("stop-loss-3").role is OrderRole.STOP_LOSS
    assert len(desk.anomalies) == 1


def test_a_trade_of_what_the_venue_opened_for_us_is_known_by_the_venues_id(desk: Desk) -> None:
    """A plugin that has just been started may not know any more what such an order goes by here."""
    stop = desk.protect(desk.hold("0.1"))
    filled = r.Filled(
        stop.link_id, "t-1", "btcusdt", Side.SELL, d("0.1"), d(49_000), d(1), "USDT", r.Liquidity.TAKER, 0
    )
    nameless = replace(filled, link_id="x-1", exchange_order_id=stop.exchange_order_id)
    assert stop.exchange_order_id
    assert names(desk.take(nameless)) == ["OrderFilled"]
    assert desk.take(filled) == desk.take(nameless) == []
    assert desk.order(stop.order_id).state is OrderState.FILLED
    assert desk.state.positions["btcusdt"].quantity == 0


def test_each_trade_of_protection_that_nobody_told_of_is_an_order_of_its_own(desk: Desk) -> None:
    entry = desk.hold("0.3", stop_loss="49000")
    taker = r.Liquidity.TAKER
    for number, quantity in enumerate(("0.1", "0.2")):
        link, trade = f"{entry.link_id}-sl", f"t-{number}"
        filled = r.Filled(link, trade, "btcusdt", Side.SELL, d(quantity), d(49_000), d(1), "USDT", taker, 0)
        assert names(desk.take(replace(filled, exchange_order_id="77"))) == ["OrderAdopted", "OrderFilled"]
        booked = desk.order(desk.last(e.OrderAdopted).order_id)
        assert (booked.role, booked.parent_id, booked.state) == (OrderRole.STOP_LOSS, entry.order_id, OrderState.FILLED)
    assert desk.anomalies == []
    assert desk.state.positions["btcusdt"].quantity == 0
