"""Pairs whose venue keeps its fee of what is bought: what is held is what can be sold, and crumbs are no position."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.tests.engine.desk import SPOT, Desk
from quarterdeck.domain.errors import RefusedByState
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole
from quarterdeck.domain.risk import TradingState
from quarterdeck.domain.signal import Action, Signal
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i

PAIR = SPOT.symbol


def buy(desk: Desk, quantity: str = "0.1", fee: str = "0.0001", **terms: Any) -> None:
    entry = desk.work(desk.submit(quantity, symbol=PAIR, **terms))
    desk.fill(entry, fee=fee, fee_currency="BTC")


def test_what_the_venue_kept_is_not_held(desk: Desk) -> None:
    buy(desk)
    position = desk.state.positions[PAIR]
    assert position.quantity == Decimal("0.0999") == desk.state.ledger.wallet("BTC")
    assert position.average_price == 50_000
    assert desk.state.wallet == 10_000 - 5_000
    assert desk.state.fees == position.fees == 5
    filled = desk.last(e.OrderFilled)
    assert (filled.fee, filled.fee_quantity, filled.position_quantity) == (
        Decimal("0.0001"),
        Decimal("0.0001"),
        Decimal("0.0999"),
    )


def test_a_fee_in_money_or_of_a_contract_is_not_in_kind(desk: Desk) -> None:
    desk.fill(desk.work(desk.submit("0.1", symbol=PAIR)), fee="5", fee_currency="USDT")
    desk.fill(desk.work(desk.submit("0.1")), fee="5", fee_currency="BTC")  # no venue does that with a contract
    assert [each.quantity for each in desk.state.positions.values()] == [Decimal("0.1"), Decimal("0.1")]
    assert [each.fee_quantity for each in desk.events(e.OrderFilled)] == [0, 0]


def test_a_rebate_in_kind_is_held(desk: Desk) -> None:
    buy(desk, fee="-0.001")
    assert desk.state.positions[PAIR].quantity == Decimal("0.101")
    assert desk.state.fees == -50


def test_closing_sells_whole_lots_and_writes_off_the_crumbs(desk: Desk) -> None:
    buy(desk)
    desk.take(i.ClosePosition(PAIR, None))
    (closing,) = [each for each in desk.state.open_orders.values() if each.role is OrderRole.EXIT]
    assert closing.terms.quantity == Decimal("0.099")
    desk.fill(desk.work(closing), fee="4.95", fee_currency="USDT", price=50_000)
    crumbs = desk.last(e.PositionAdjusted)
    assert (crumbs.quantity, crumbs.position_quantity) == (Decimal("-0.0009"), Decimal(0))
    assert not desk.state.positions[PAIR].quantity
    assert desk.state.positions[PAIR].realized_pnl == 0
    assert desk.state.ledger.wallet("BTC") == Decimal("0.0009")
    assert desk.state.trading_state is TradingState.ACTIVE
    assert desk.replayed() == desk.state


@pytest.mark.parametrize(
    ("held", "is_crumbs"),
    [("0", False), ("0.0009", True), ("0.0035", True), ("0.003", False), ("0.0049", True), ("0.005", False)],
)
def test_crumbs_are_no_whole_lots_and_can_not_be_sold(held: str, is_crumbs: bool) -> None:
    pair = replace(SPOT, min_quantity=Decimal("0.005"))
    assert pair.is_crumbs(Decimal(held)) is is_crumbs


def test_whole_lots_are_kept_though_they_are_too_few_to_be_sold(desk: Desk) -> None:
    desk.machine.instruments = {PAIR: replace(SPOT, min_quantity=Decimal("0.005"))}
    desk.fill(desk.work(desk.submit("0.1", symbol=PAIR)), fee="5", fee_currency="USDT")
    selling = desk.work(desk.submit("0.097", Side.SELL, symbol=PAIR, reduce_only=True))
    desk.fill(selling, fee="4.85", fee_currency="USDT")
    assert desk.state.positions[PAIR].quantity == Decimal("0.003")
    assert desk.events(e.PositionAdjusted) == []


def test_a_stop_is_wanted_for_what_is_held(desk: Desk) -> None:
    buy(desk, stop_loss="49000")
    assert desk.state.stops[PAIR][""] == {Decimal(49_000): Decimal("0.0999")}


def test_a_bot_is_flat_after_its_exit(desk: Desk) -> None:
    script = desk.bot("sma", PAIR)
    buy(desk, bot_id="sma")
    desk.wish(script, Signal(Action.EXIT), symbol=PAIR)
    (closing,) = [each for each in desk.state.open_orders.values() if each.role is OrderRole.EXIT]
    desk.fill(desk.work(closing))
    assert not desk.state.share(PAIR, "sma").quantity
    assert not desk.state.bots["sma"].holding.quantity


def test_less_than_a_lot_can_not_be_closed(desk: Desk) -> None:
    buy(desk, "0.001", "0.0001")
    assert desk.state.positions[PAIR].quantity == Decimal("0.0009")
    assert desk.machine.instruments[PAIR].closable(Decimal("0.0009")) == 0
    with pytest.raises(RefusedByState, match="nothing of btcusdt-spot is held"):
        desk.take(i.ClosePosition(PAIR, None))
    desk.take(i.EngageKillSwitch("x", flatten=True))
    assert [each for each in desk.state.open_orders.values() if each.terms.side is Side.SELL] == []
