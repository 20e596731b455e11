"""The account as a whole: opening, snapshots, days, peaks, and what is no profit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.engine.deciders import RatioSizer, Rule, SizerThat
from core.tests.engine.desk import IDS, INSTRUMENTS, Desk, d
from quarterdeck.domain import report as r
from quarterdeck.domain.market import DAY, HOUR, FundingRate, Quote, Side, Trade
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.account import next_snapshot_time
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.engine.state import State


def test_an_account_opens_with_what_it_holds() -> None:
    desk = Desk(balances=[("USDT", Decimal(10_000)), ("BTC", Decimal("0.5"))])
    assert (desk.state.mode, desk.state.settle, desk.state.is_new) == ("paper", "USDT", False)
    assert desk.state.wallet == 10_000
    assert desk.state.ledger.wallet("BTC") == d("0.5")
    assert all(desk.state.ledger.balance(currency) == 0 for currency in ("USDT", "BTC"))


def test_nothing_is_valued_before_the_account_is_open() -> None:
    machine = Machine(State(), dict(INSTRUMENTS), Deciders(RatioSizer()), IDS)
    assert machine.step(Trade("btcusdt", 1, 1.0, 1.0, Side.BUY), DAY) is None
    assert machine.step(i.Timer.TICK, DAY) is None
    assert machine.state == State()


def test_a_daemon_says_when_it_starts_and_stops(desk: Desk) -> None:
    desk.take(i.StartDaemon("1.0", "paper", ("exchange/paper 1.0",)))
    assert not desk.state.clean
    desk.take(i.StopDaemon("asked to"))
    assert desk.state.clean


# ---------------------------------------------------------------- snapshots


def test_the_first_market_event_values_the_account(desk: Desk) -> None:
    (snapshot,) = desk.events(e.PortfolioSnapshotTaken)
    assert (snapshot.equity, snapshot.peak_equity, snapshot.drawdown) == (d(10_000), d(10_000), d(0))
    assert snapshot.risk_ratio == d("0.01")


@pytest.mark.parametrize(
    "news",
    [
        lambda now: Quote("btcusdt", now, 50_000.0, 1.0, 50_000.0, 1.0),
        lambda now: Trade("btcusdt", now, 50_000.0, 1.0, Side.BUY),
        lambda now: FundingRate("btcusdt", now, 0.0001),
        lambda now: i.Timer.TICK,
    ],
    ids=["quote", "trade", "funding", "timer"],
)
def test_a_snapshot_falls_on_the_first_news_of_an_hour(desk: Desk, news: object) -> None:
    assert callable(news)
    desk.now = next_snapshot_time(desk.now) - 2_000_000
    assert desk.take(news(desk.now)) == []
    assert [type(event) for event in desk.take(news(desk.now))] == [e.PortfolioSnapshotTaken]
    assert desk.take(news(desk.now)) == []
    assert desk.state.snapshot_time % HOUR == 0


def test_a_snapshot_is_taken_before_the_strategy_sees_the_candle(desk: Desk) -> None:
    script = desk.bot()
    desk.now += HOUR
    script.wishes = []
    assert [type(event).__name__ for event in desk.candle(50_000.0)] == ["PortfolioSnapshotTaken"]


def test_after_a_restart_the_hour_is_not_valued_twice(desk: Desk) -> None:
    restarted = Machine(desk.replayed(), dict(INSTRUMENTS), desk.machine.deciders, IDS)
    assert restarted.step(i.Timer.TICK, desk.now + 1) is None
    assert restarted.step(i.Timer.TICK, desk.now + HOUR) is not None


def test_a_snapshot_says_what_the_account_is_worth(desk: Desk) -> None:
    desk.fill(desk.work(desk.submit("0.1")), price=50_000, fee="2.75")
    desk.take(r.FundingSettled("f", "btcusdt", d("-0.25"), d("0.0001"), d("0.1"), desk.now))
    desk.fill(desk.work(desk.submit("0.04", Side.SELL, reduce_only=True)), price=50_500)
    desk.candle(50_200.0)
    desk.now += HOUR
    desk.take(i.Timer.TICK)
    snapshot = desk.last(e.PortfolioSnapshotTaken)
    assert (snapshot.realized_pnl, snapshot.unrealized_pnl) == (d(20), d(12))
    assert (snapshot.fees, snapshot.funding) == (d("2.75"), d("-0.25"))
    assert (snapshot.wallet, snapshot.equity) == (d(10_017), d(10_029))
    assert snapshot.open_positions == 1


def test_a_sizer_that_can_not_say_does_not_keep_the_account_from_being_valued() -> None:
    desk = Desk(Deciders(SizerThat(lambda: pytest.fail("asked")), rules=[Rule()]))
    assert desk.last(e.PortfolioSnapshotTaken).risk_ratio == 0


# ---------------------------------------------------------------- days and peaks


def at_midnight(desk: Desk) -> None:
    """Go to the next day, UTC."""
    desk.now += DAY - desk.now % DAY


def test_the_days_loss_is_counted_from_its_first_snapshot(desk: Desk) -> None:
    view = desk.machine.view
    desk.hold("0.1")
    desk.candle(51_000.0)
    assert view.day_start_equity == 10_000
    at_midnight(desk)
    desk.candle(51_000.0)
    assert view.day_start_equity == 10_100
    desk.now += HOUR
    desk.candle(49_000.0)
    assert view.day_start_equity == 10_100


def test_the_candle_that_closes_a_day_at_midnight_starts_the_next(desk: Desk) -> None:
    desk.now += DAY - desk.now % DAY - 1_000_000  # the desk takes each input a millisecond later
    desk.candle(50_000.0)
    assert desk.state.snapshot_time % DAY == 0
    assert desk.state.day == desk.now // DAY


def test_the_peak_is_the_highest_recorded_equity(desk: Desk) -> None:
    desk.hold("0.1")
    for price in (52_000.0, 48_000.0, 51_000.0):
        desk.now += HOUR
        desk.candle(price)
    assert desk.state.peak_equity == 10_200
    snapshot = desk.last(e.PortfolioSnapshotTaken)
    assert (snapshot.peak_equity, snapshot.drawdown) == (d(10_200), d("0.00980392"))


def test_money_put_in_or_taken_out_is_neither_profit_nor_loss(desk: Desk) -> None:
    desk.hold("0.1")
    desk.candle(51_000.0)
    for amount in ("5000", "-2000"):
        desk.take(r.BalanceChanged(f"c{amount}", "USDT", d(amount), "transfer", desk.now))
    desk.now += HOUR
    desk.candle(51_000.0)
    assert desk.machine.view.equity == 13_100
    assert (desk.state.day_start_equity, desk.state.peak_equity) == (d(13_000), d(13_100))
    assert desk.last(e.PortfolioSnapshotTaken).drawdown == 0


def test_money_of_another_currency_does_not_move_the_settle_currencys_day(desk: Desk) -> None:
    desk.take(r.BalanceChanged("c", "BTC", d("0.1"), "deposit", desk.now))
    assert desk.state.day_start_equity == 10_000
    assert desk.state.ledger.wallet("BTC") == d("0.1")
