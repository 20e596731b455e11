"""What the venue says, twice, late, out of order or wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.tests.engine.desk import LIMIT, Desk, d, lost, names
from quarterdeck.domain import report as r
from quarterdeck.domain.ledger import Book
from quarterdeck.domain.market import SECOND, Side
from quarterdeck.domain.order import Order, OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import CancelAtVenue
from quarterdeck.engine.reports import LATE


def reports_of(placed: Order, now: int) -> dict[str, r.Report]:
    """One report of each kind that says where an order is."""
    link = placed.link_id
    return {
        "acked": r.Acked(link, "x", now),
        "opened": r.Opened(link, "x", now),
        "rejected": r.Rejected(link, "no", now),
        "unknown": r.Unknown(link, "timeout", now),
        "not_sent": r.NotSent(link, "no connection", now),
        "absent": r.Absent(link, "asked", now),
        "canceled": r.Canceled(link, "as asked", now),
        "expired": r.Expired(link, "IOC", now),
    }


# ---------------------------------------------------------------- an order's life


@pytest.mark.parametrize(
    ("report", "state"),
    [
        ("acked", OrderState.ACKED),
        ("opened", OrderState.OPEN),
        ("rejected", OrderState.REJECTED),
        ("unknown", OrderState.UNKNOWN),
        ("not_sent", OrderState.NOT_SENT),
        ("absent", OrderState.ABSENT),
        ("canceled", OrderState.CANCELED),
        ("expired", OrderState.EXPIRED),
    ],
)
def test_each_report_moves_a_sent_order_once(desk: Desk, report: str, state: OrderState) -> None:
    placed = desk.send(desk.submit("0.1", **LIMIT))
    news = reports_of(placed, desk.now)[report]
    assert len(desk.take(news)) == 1
    assert placed.state is state
    assert desk.take(news) == []
    assert desk.anomalies == []
    assert desk.machine.view.pending_quantity("btcusdt") == (d("0.1") if placed.is_open else 0)


def test_the_exchanges_id_and_reason_are_kept(desk: Desk) -> None:
    placed = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(r.Opened(placed.link_id, "x-77", desk.now))
    desk.take(r.Canceled(placed.link_id, "by hand", desk.now))
    assert (placed.exchange_order_id, placed.reason) == ("x-77", "by hand")
    assert desk.last(e.OrderCanceled).filled_quantity == 0


@pytest.mark.parametrize("late", ["acked", "opened", "unknown"])
def test_news_that_better_news_has_overtaken_is_dropped(desk: Desk, late: str) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.fill(placed, "0.04", 49_000)
    assert desk.take(reports_of(placed, desk.now)[late]) == []
    desk.fill(placed, "0.06", 49_000)
    assert desk.take(reports_of(placed, desk.now)[late]) == []
    assert desk.anomalies == []


def test_a_timeout_of_a_request_that_works_already_is_no_contradiction(desk: Desk) -> None:
    placed = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(r.Opened(placed.link_id, "x", desk.now))
    assert desk.take(r.Unknown(placed.link_id, "timeout", desk.now)) == []
    assert (placed.state, desk.anomalies) == (OrderState.OPEN, [])


@pytest.mark.parametrize("report", ["rejected", "not_sent", "absent"])
def test_what_contradicts_a_partly_filled_order_is_an_anomaly(desk: Desk, report: str) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.fill(placed, "0.04", 49_000)
    desk.take(reports_of(placed, desk.now)[report])
    assert placed.state is OrderState.PARTIALLY_FILLED
    assert len(desk.anomalies) == 1
    assert placed.order_id in desk.anomalies[0]
    assert desk.state.trading_state is TradingState.REDUCING
    assert desk.last(e.TradingStateChanged).automatic


@pytest.mark.parametrize(("made", "contradicts"), [(0, False), (LATE, False), (LATE + SECOND, True)])
def test_a_trade_made_long_after_the_orders_end_is_booked_and_an_anomaly(
    desk: Desk, made: int, contradicts: bool
) -> None:
    """One that was made before, and is only told late, is none: we were away, or the venue was slow."""
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.take(r.Canceled(placed.link_id, "by hand", desk.now))
    ended = desk.now
    desk.now += 5 * LATE
    desk.fill(placed, "0.04", 49_000, time=ended + made)
    assert desk.state.positions["btcusdt"].quantity == d("0.04")
    assert (placed.state, placed.filled_quantity) == (OrderState.CANCELED, d("0.04"))
    assert (len(desk.anomalies) == 1) is contradicts


@pytest.mark.parametrize("report", ["acked", "opened", "rejected", "unknown", "canceled", "expired"])
def test_news_of_an_order_that_was_not_sent_is_an_anomaly(desk: Desk, report: str) -> None:
    placed = desk.submit("0.1", **LIMIT)
    desk.take(reports_of(placed, desk.now)[report])
    assert placed.state is OrderState.PREPARED
    assert len(desk.anomalies) == 1


@pytest.mark.parametrize("report", ["rejected", "unknown", "not_sent", "canceled", "expired", "acked", "opened"])
def test_an_order_that_is_over_stays_over(desk: Desk, report: str) -> None:
    done = desk.hold("0.1")
    assert desk.take(reports_of(done, desk.now)[report]) == []
    assert (done.state, desk.anomalies) == (OrderState.FILLED, [])


@pytest.mark.parametrize("settled", ["acked", "opened", "absent", "rejected", "canceled"])
def test_evidence_ends_the_limbo(desk: Desk, settled: str) -> None:
    placed = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(r.Unknown(placed.link_id, "timeout", desk.now))
    assert desk.machine.view.unknown_orders("btcusdt") == 1
    assert desk.machine.view.pending_quantity("btcusdt") == d("0.1")
    desk.take(reports_of(placed, desk.now)[settled])
    assert desk.machine.view.unknown_orders("btcusdt") == 0


def test_a_fill_is_evidence_too(desk: Desk) -> None:
    placed = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(r.Unknown(placed.link_id, "timeout", desk.now))
    desk.fill(placed, "0.04")
    assert (placed.state, desk.machine.view.unknown_orders("btcusdt")) == (OrderState.PARTIALLY_FILLED, 0)


def test_a_trigger_is_told_once(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", type=OrderType.STOP, trigger_price="51000"))
    assert names(desk.take(r.Triggered(placed.link_id, desk.now))) == ["OrderTriggered"]
    assert desk.take(r.Triggered(placed.link_id, desk.now)) == []
    assert placed.triggered


def news_of(link: str) -> list[r.Report]:
    """Of an order that the journal does not know, all that tells nothing of its terms."""
    return [
        r.Acked(link, "x", 0),
        r.Opened(link, "x", 0),
        r.Rejected(link, "", 0),
        r.Unknown(link, "", 0),
        r.NotSent(link, "", 0),
        r.Absent(link, "", 0),
        r.Triggered(link, 0),
        r.Canceled(link, "", 0),
        r.Expired(link, "", 0),
        r.CancelRejected(link, "", 0),
        r.Amended(link, 0, quantity=d(1)),
        r.AmendRejected(link, "", 0),
    ]


@pytest.mark.parametrize("report", news_of("somebody-elses"), ids=lambda report: type(report).__name__)
def test_news_of_somebody_elses_order_without_its_terms_tells_nothing(desk: Desk, report: r.Report) -> None:
    assert desk.take(report) == []
    assert desk.anomalies == []


@pytest.mark.parametrize("report", news_of(lost()), ids=lambda report: type(report).__name__)
def test_news_of_an_order_of_ours_that_is_not_known_is_an_anomaly(desk: Desk, report: r.Report) -> None:
    assert names(desk.take(report)) == ["TradingStateChanged"]
    assert len(desk.anomalies) == 1
    assert desk.take(report) == []  # said again, and recorded once: trading is reduced already
    assert len(desk.anomalies) == 2


# ---------------------------------------------------------------- fills


def test_a_fill_moves_order_position_share_and_money(desk: Desk) -> None:
    desk.bot("sma")
    placed = desk.work(desk.submit("0.1", bot_id="sma", **LIMIT))
    (event,) = desk.fill(placed, "0.04", 49_000, "t-1", "1.0780")
    assert isinstance(event, e.OrderFilled)
    assert (event.order_state, event.filled_quantity) == (OrderState.PARTIALLY_FILLED, d("0.04"))
    assert (event.position_quantity, event.position_average_price) == (d("0.04"), d(49_000))
    assert (placed.filled_quantity, placed.cost, placed.fees) == (d("0.04"), d(1_960), d("1.078"))
    assert desk.state.positions["btcusdt"].quantity == desk.state.share("btcusdt", "sma").quantity == d("0.04")
    assert desk.state.wallet == d("9998.922")
    desk.fill(placed, "0.06", 48_000)
    assert (placed.state, placed.average_price) == (OrderState.FILLED, d(48_400))
    assert desk.state.fill_count == 2


def test_the_same_trade_twice_is_one(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.fill(placed, "0.04", 49_000, "t-1")
    assert desk.fill(placed, "0.04", 49_000, "t-1") == []
    desk.fill(placed, "0.06", 49_000, "t-2")
    assert desk.fill(placed, "0.06", 49_000, "t-2") == []
    assert desk.state.positions["btcusdt"].quantity == d("0.1")
    assert desk.anomalies == []


def test_a_fill_before_the_answer_counts_and_the_answer_does_not(desk: Desk) -> None:
    placed = desk.send(desk.submit("0.1"))
    desk.fill(placed)
    assert desk.take(r.Acked(placed.link_id, "x", desk.now)) == []
    assert desk.take(r.Opened(placed.link_id, "x", desk.now)) == []
    assert (placed.state, desk.anomalies) == (OrderState.FILLED, [])


@pytest.mark.parametrize(("quantity", "state"), [("0.06", OrderState.FILLED), ("0.05", OrderState.CANCELED)])
def test_a_fill_that_won_the_race_against_a_cancel_is_booked(desk: Desk, quantity: str, state: OrderState) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.fill(placed, "0.04", 49_000)
    desk.take(r.Canceled(placed.link_id, "as asked", desk.now))
    desk.fill(placed, quantity, 49_000)
    assert placed.state is state
    assert desk.state.positions["btcusdt"].quantity == d("0.04") + d(quantity)
    assert desk.machine.view.pending_quantity("btcusdt") == 0
    assert desk.anomalies == []
    assert desk.state == desk.replayed()


def test_a_fill_beyond_the_quantity_is_booked_and_an_anomaly(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.fill(placed, "0.1", 49_000)
    desk.fill(placed, "0.02", 49_000)
    assert desk.state.positions["btcusdt"].quantity == d("0.12")
    assert placed.state is OrderState.FILLED
    assert "beyond its quantity" in desk.anomalies[0]
    assert desk.state.trading_state is TradingState.REDUCING


@pytest.mark.parametrize("end", ["rejected", "not_sent", "absent"])
def test_a_fill_of_an_order_that_can_have_none_is_booked_and_an_anomaly(desk: Desk, end: str) -> None:
    placed = desk.send(desk.submit("0.1", **LIMIT))
    desk.take(reports_of(placed, desk.now)[end])
    desk.fill(placed, "0.1", 49_000)
    assert desk.state.positions["btcusdt"].quantity == d("0.1")
    assert len(desk.anomalies) == 1
    assert placed.state.lower() == end
    assert desk.state == desk.replayed()


def test_an_order_that_was_filled_before_it_was_sent_is_not_sent_again(desk: Desk) -> None:
    placed = desk.submit("0.1")
    assert names(desk.fill(placed, "0.04"))[:2] == ["OrderSent", "OrderFilled"]
    desk.took_effects()
    assert desk.take(i.Sending(placed.link_id)) == []
    assert desk.took_effects() == []
    assert len(desk.anomalies) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"side": Side.SELL},
        {"symbol": "btcusdt-spot"},
        {"symbol": "dogeusdt"},
        {"quantity": Decimal(0)},
        {"quantity": Decimal("-0.1")},
        {"price": Decimal(0)},
        {"price": Decimal(-1)},
    ],
)
def test_a_trade_the_order_can_not_make_is_not_booked(desk: Desk, wrong: dict[str, Any]) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    told: dict[str, Any] = {"quantity": "0.04", "price": 49_000}
    assert names(desk.fill(placed, **(told | wrong))) == ["TradingStateChanged"]
    assert len(desk.anomalies) == 1
    assert placed.filled_quantity == 0
    assert desk.state.positions == {}
    desk.fill(placed, "0.04", 49_000)
    assert placed.filled_quantity == d("0.04")


def test_two_owners_add_up_and_the_wallet_moves_as_the_venues_does(desk: Desk) -> None:
    """The venue knows one position: 2 at 150. Selling one at 150 realises nothing there, 50 for its owner."""
    desk.bot("a")
    desk.bot("b")
    desk.hold("1", price=100, bot_id="a")
    desk.hold("1", price=200, bot_id="b")
    desk.candle(150.0)
    (event,) = desk.fill(desk.work(desk.submit("1", Side.SELL, reduce_only=True, bot_id="a")), price=150)
    assert isinstance(event, e.OrderFilled)
    assert event.realized_pnl == 50
    assert desk.state.share("btcusdt", "a").realized_pnl == 50
    assert desk.state.wallet == 10_000
    assert desk.machine.view.equity == 10_000
    desk.fill(desk.work(desk.submit("1", Side.SELL, reduce_only=True, bot_id="b")), price=150)
    assert desk.state.share("btcusdt", "b").realized_pnl == -50
    assert desk.state.wallet == desk.machine.view.equity == 10_000
    assert desk.state.realized_pnl == desk.state.positions["btcusdt"].realized_pnl == 0


# ---------------------------------------------------------------- cancels and amendments


def test_a_cancel_that_came_too_late_is_told_once(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.take(i.CancelOrder(placed.order_id))
    late = r.CancelRejected(placed.link_id, "filled", desk.now)
    assert names(desk.take(late)) == ["OrderCancelRejected"]
    assert desk.take(late) == []
    assert not placed.cancel_requested


def test_a_cancel_refused_because_the_order_is_over_says_nothing_new(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.take(i.CancelOrder(placed.order_id))
    desk.fill(placed, price=49_000)
    assert desk.take(r.CancelRejected(placed.link_id, "filled", desk.now)) == []


def test_a_change_is_booked_once(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    news = r.Amended(placed.link_id, desk.now, limit_price=d(48_000))
    assert names(desk.take(news)) == ["OrderAmended"]
    assert desk.take(news) == []
    assert desk.state.exposure("btcusdt").pending_notional == 4_800


def test_a_change_that_fills_overtook_leaves_nothing_to_wait_for(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    desk.fill(placed, "0.06", 49_000)
    events = desk.take(r.Amended(placed.link_id, desk.now, quantity=d("0.06")))
    assert names(events) == ["OrderAmended", "OrderCanceled"]
    assert placed.state is OrderState.CANCELED
    assert desk.machine.view.pending_quantity("btcusdt") == 0


def test_a_change_to_less_than_was_filled_is_an_old_one(desk: Desk) -> None:
    entry = desk.hold("0.1", stop_loss="49000")
    stop = desk.protect(entry)
    desk.fill(stop, "0.06", 49_000)
    assert desk.take(r.Amended(stop.link_id, desk.now, quantity=d("0.05"))) == []
    assert (stop.terms.quantity, stop.state) == (d("0.1"), OrderState.PARTIALLY_FILLED)


def test_a_refused_change_changes_nothing(desk: Desk) -> None:
    placed = desk.work(desk.submit("0.1", **LIMIT))
    before = placed.terms
    assert names(desk.take(r.AmendRejected(placed.link_id, "no", desk.now))) == ["OrderAmendRejected"]
    assert placed.terms == before


# ---------------------------------------------------------------- what the venue opens itself


def test_protection_is_adopted_under_its_parents_owner(desk: Desk) -> None:
    desk.bot("sma")
    entry = desk.hold("0.1", bot_id="sma", stop_loss="49000", take_profit="52000")
    stop, target = desk.protect(entry), desk.protect(entry, OrderRole.TAKE_PROFIT)
    assert (stop.order_id, target.order_id) == (f"{entry.order_id}-sl", f"{entry.order_id}-tp")
    assert (stop.bot_id, stop.parent_id, stop.correlation_id) == ("sma", entry.order_id, entry.correlation_id)
    assert (stop.state, stop.role) == (OrderState.OPEN, OrderRole.STOP_LOSS)
    assert desk.state.exposure("btcusdt").stopped_quantity == d("0.1")
    assert not desk.state.bots["sma"].holding.busy


def test_protection_grows_with_its_parent_and_is_adopted_once(desk: Desk) -> None:
    entry = desk.work(desk.submit("0.1", stop_loss="49000"))
    desk.fill(entry, "0.04")
    stop = desk.protect(entry, quantity="0.04")
    before = desk.state.sequence
    desk.protect(entry, quantity="0.04")
    assert desk.state.sequence == before
    desk.fill(entry, "0.06")
    assert desk.protect(entry, quantity="0.1") is stop
    assert stop.terms.quantity == d("0.1")
    exposure = desk.state.exposure("btcusdt")
    assert (exposure.stopped_quantity, exposure.stopped_value) == (d("0.1"), d(4_900))


def test_protection_that_is_over_is_not_adopted_again(desk: Desk) -> None:
    entry = desk.hold("0.1", stop_loss="49000")
    stop = desk.protect(entry)
    desk.fill(stop, price=49_000)
    before = desk.state.sequence
    desk.protect(entry, quantity="0.2")
    assert desk.state.sequence == before
    assert desk.state.positions["btcusdt"].quantity == 0


@pytest.mark.parametrize(("traded", "left"), [("0.04", "0.06"), ("0.1", None)])
def test_of_protection_that_traded_before_it_was_heard_of_the_rest_is_adopted(
    desk: Desk, traded: str, left: str | None
) -> None:
    entry = desk.hold("0.1", stop_loss="49000")
    link, venue_id = f"{entry.link_id}-sl", "x-7"
    trade = r.Filled(
        link, "t-early", "btcusdt", Side.SELL, d(traded), d(49_000), d(1), "USDT", r.Liquidity.TAKER, desk.now,
        exchange_order_id=venue_id,
    )  # fmt: skip
    desk.take(trade)
    whole = OrderTerms("btcusdt", Side.SELL, OrderType.STOP, d("0.1"), trigger_price=d(49_000), reduce_only=True)
    opened = r.ChildOpened(link, entry.link_id, venue_id, OrderRole.STOP_LOSS, whole, desk.now)
    for _ in range(2):
        desk.take(opened)
        stop = desk.state.order_by_link(link)
        assert (stop and stop.terms.quantity) == (left and d(left))
    assert desk.take(trade) == []
    assert desk.state.positions["btcusdt"].quantity == d("0.1") - d(traded)


def test_trades_without_a_venues_id_are_nobodys_in_particular(desk: Desk) -> None:
    entry = desk.hold("0.1", stop_loss="49000")
    trade = r.Filled(
        "theirs", "t-9", "btcusdt", Side.BUY, d("0.1"), d(50_000), d(0), "USDT", r.Liquidity.TAKER, desk.now
    )
    desk.take(trade)
    whole = OrderTerms("btcusdt", Side.SELL, OrderType.STOP, d("0.1"), trigger_price=d(49_000), reduce_only=True)
    link = f"{entry.link_id}-sl"
    desk.take(r.ChildOpened(link, entry.link_id, "", OrderRole.STOP_LOSS, whole, desk.now))
    stop = desk.state.order_by_link(link)
    assert stop is not None
    assert stop.terms.quantity == d("0.1")


def test_protection_does_not_take_the_id_of_an_order_that_has_it(desk: Desk) -> None:
    taken = desk.work(desk.submit("0.1", order_id="order-2-sl", **LIMIT))
    entry = desk.hold("0.1", stop_loss="49000")
    assert entry.order_id == "order-2"
    stop = desk.protect(entry)
    assert stop.order_id == "order-2-sl-2"
    assert taken.terms.type is OrderType.LIMIT
    assert desk.protect(entry, quantity="0.05") is stop


def test_a_flat_owners_protection_and_exits_are_withdrawn_while_others_hold(desk: Desk) -> None:
    desk.bot("a")
    desk.bot("b")
    mine = desk.hold("0.1", bot_id="a", stop_loss="49000", take_profit="52000")
    theirs = desk.hold("0.1", bot_id="b", stop_loss="49000")
    stop, target, other = desk.protect(mine), desk.protect(mine, OrderRole.TAKE_PROFIT), desk.protect(theirs)
    leave = desk.submit("0.1", Side.SELL, reduce_only=True, bot_id="a", type=OrderType.LIMIT, limit_price="53000")
    desk.work(leave)
    desk.took_effects()
    desk.fill(target, price=52_000)
    assert [each.cancel_requested for each in (stop, leave, other)] == [True, True, False]
    assert desk.took_effects() == [CancelAtVenue(stop.link_id, "btcusdt"), CancelAtVenue(leave.link_id, "btcusdt")]


def test_when_all_is_flat_the_venue_withdraws_protection_itself(desk: Desk) -> None:
    entry = desk.hold("0.1", stop_loss="49000", take_profit="52000")
    stop, target = desk.protect(entry), desk.protect(entry, OrderRole.TAKE_PROFIT)
    desk.took_effects()
    desk.fill(stop, price=49_000)
    assert not target.cancel_requested
    assert desk.took_effects() == []


def test_protection_stays_while_its_owner_holds(desk: Desk) -> None:
    desk.bot("a")
    desk.hold("0.1")
    stop = desk.protect(desk.hold("0.2", bot_id="a", stop_loss="49000"))
    desk.fill(desk.work(desk.submit("0.1", Side.SELL, reduce_only=True, bot_id="a")))
    assert not stop.cancel_requested


def liquidation(desk: Desk, quantity: str) -> Order:
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.MARKET, d(quantity), reduce_only=True)
    desk.take(r.ChildOpened("LIQ-1", "", "x", OrderRole.LIQUIDATION, terms, desk.now))
    return desk.order("liq-1")


def test_a_liquidation_closes_the_only_owners_share(desk: Desk) -> None:
    desk.bot("a")
    desk.hold("0.1", bot_id="a")
    order = liquidation(desk, "0.1")
    assert (order.bot_id, order.role) == ("a", OrderRole.LIQUIDATION)
    desk.fill(order, price=45_000, cause=r.FillCause.LIQUIDATION)
    assert desk.state.share("btcusdt", "a").quantity == desk.state.positions["btcusdt"].quantity == 0
    assert desk.state.wallet == 9_500
    assert desk.anomalies == []


def test_a_liquidation_of_several_owners_still_adds_up(desk: Desk) -> None:
    desk.bot("a")
    desk.hold("0.1", bot_id="a")
    desk.hold("0.1")
    desk.fill(liquidation(desk, "0.2"), price=45_000)
    shares = desk.state.shares["btcusdt"].values()
    assert sum((share.quantity for share in shares), d(0)) == desk.state.positions["btcusdt"].quantity == 0


# ---------------------------------------------------------------- money


def test_funding_counts_once(desk: Desk) -> None:
    desk.hold("0.1")
    news = r.FundingSettled("f-1", "btcusdt", d("-0.5"), d("0.0001"), d("0.1"), desk.now)
    assert names(desk.take(news)) == ["FundingPaid"]
    assert desk.take(news) == []
    assert desk.state.wallet == d("9999.5")
    assert (desk.state.funding, desk.state.positions["btcusdt"].funding) == (d("-0.5"), d("-0.5"))
    assert desk.state.ledger.totals["USDT"][Book.FUNDING] == d("0.5")


def test_a_deposit_is_money_and_no_profit(desk: Desk) -> None:
    news = r.BalanceChanged("c-1", "USDT", d(500), "deposit", desk.now)
    (event,) = desk.take(news)
    assert event == e.BalanceAdjusted("USDT", d(500), d(10_500), "deposit", "c-1")
    assert desk.take(news) == []
    assert desk.state.ledger.totals["USDT"][Book.TRANSFERS] == -10_500
    assert desk.state.realized_pnl == 0
