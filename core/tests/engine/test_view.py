"""The account as rules and people see it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.engine.desk import SPOT, Desk, d
from quarterdeck.domain import report as r
from quarterdeck.domain.market import HOUR, MINUTE, Candle, Quote, Side, Ticker, Trade


def test_open_risk_counts_to_the_stop_and_what_has_none_whole(desk: Desk) -> None:
    view = desk.machine.view
    entry = desk.work(desk.submit("0.1", stop_loss="49000"))
    assert view.open_risk("btcusdt") == 100
    desk.fill(entry, "0.04")
    assert view.open_risk("btcusdt") == d("0.04") * 50_000 + 60  # held without a stop for a moment
    desk.protect(entry, quantity="0.04")
    assert view.open_risk("btcusdt") == 100
    desk.fill(entry, "0.06")
    desk.protect(entry, quantity="0.1")
    assert view.open_risk("btcusdt") == 100
    desk.submit("0.01")
    assert view.open_risk("btcusdt") == 600


def test_open_risk_of_a_short(desk: Desk) -> None:
    entry = desk.hold("0.1", Side.SELL, stop_loss="51000")
    desk.protect(entry, quantity="0.05")
    assert desk.machine.view.open_risk("btcusdt") == 50 + d("0.05") * 50_000


@pytest.mark.parametrize(("side", "stop"), [(Side.BUY, "49000"), (Side.SELL, "51000")])
def test_a_stop_larger_than_what_is_left_covers_no_more_than_that(desk: Desk, side: Side, stop: str) -> None:
    desk.protect(desk.hold("0.1", side, stop_loss=stop))
    desk.fill(desk.work(desk.submit("0.06", side.opposite, reduce_only=True)))
    assert desk.machine.view.open_risk("btcusdt") == 40


def test_a_stop_in_profit_is_no_risk(desk: Desk) -> None:
    stop = desk.protect(desk.hold("0.1", stop_loss="49000"))
    desk.take(r.Amended(stop.link_id, desk.now, trigger_price=d(51_000)))
    assert desk.machine.view.open_risk("btcusdt") == 0


def test_spot_holdings_are_worth_their_mark() -> None:
    desk = Desk(balances=[("USDT", Decimal(10_000)), ("BTC", Decimal("0.5"))])
    view = desk.machine.view
    assert (view.wallet, view.equity) == (d(10_000), d(35_000))
    desk.hold("0.1", symbol="btcusdt-spot")
    assert (view.wallet, view.equity, view.unrealized_pnl) == (d(5_000), d(35_000), d(0))
    desk.candle(60_000.0, SPOT.symbol)
    assert view.equity == 41_000
    assert view.exposure_notional == 6_000


def test_positions_are_worth_what_the_venue_says_as_long_as_it_does(desk: Desk) -> None:
    view = desk.machine.view
    desk.hold("0.1")
    before = view.equity
    desk.take(Ticker("btcusdt", desk.now, mark=50_100.0, index=50_090.0))
    assert (view.worth("btcusdt"), view.mark("btcusdt")) == (d(50_100), d(50_000))  # orders go by what is traded
    assert (view.unrealized_pnl, view.equity, view.exposure_notional) == (d(10), before + 10, d(5_010))
    desk.take(Quote("btcusdt", desk.now, 50_199.0, 1.0, 50_201.0, 1.0))
    assert view.unrealized_pnl == 10
    desk.take(Ticker("btcusdt", desk.now))
    assert (view.unrealized_pnl, view.worth("btcusdt")) == (d(20), d(50_200))


def test_a_mark_follows_candles_quotes_and_trades(desk: Desk) -> None:
    view = desk.machine.view
    desk.take(Quote("btcusdt", desk.now, 50_000.0, 1.0, 50_001.0, 1.0))
    assert view.mark("btcusdt") == d("50000.5")
    desk.take(Trade("btcusdt", desk.now, 50_002.5, 1.0, Side.BUY))
    assert view.mark("btcusdt") == d("50002.5")
    desk.take(Candle("btcusdt", 1, desk.now, 1.0, 1.0, 1.0, 49_999.9, 1.0))
    assert view.mark("btcusdt") == d("49999.9")
    assert view.mark("dogeusdt") is None


def test_entries_are_counted_for_an_hour(desk: Desk) -> None:
    view = desk.machine.view
    desk.submit("0.001")
    first = desk.now
    desk.now += HOUR - MINUTE
    desk.submit("0.001")
    assert view.entries_since(desk.now - HOUR) == 2
    assert view.entries_since(first + 1) == 1
    desk.now += 2 * MINUTE
    desk.submit("0.001")
    assert len(desk.state.entry_times) == 2
    assert view.entries_since(0) == 2
