"""Going by the venue's rules: filters that change, instruments that are delisted, orders refused in a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.tests.engine.desk import BTC, SPOT, Desk, d, order
from core.tests.engine.test_protection import held, lose, placed, tick
from quarterdeck.domain import report as r
from quarterdeck.domain.errors import InvalidRequest
from quarterdeck.domain.market import SECOND
from quarterdeck.domain.order import OrderRole, OrderState, OrderType, TimeInForce
from quarterdeck.domain.risk import Refused
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.checks import Verdict, exact_terms

COARSE = replace(BTC, tick_size=d(5), lot_size=d("0.01"), min_quantity=d("0.01"))


def refusal(desk: Desk) -> str:
    (event,) = desk.take(order("0.1"))
    assert isinstance(event, e.OrderRefused)
    return event.refusal.reason


def refuse(desk: Desk, **terms: Any) -> None:
    """The venue turns an entry down."""
    desk.take(r.Rejected(desk.send(desk.submit("0.1", **terms)).link_id, "110094 too small", desk.now))


def test_what_the_venue_changed_is_recorded_and_gone_by(desk: Desk) -> None:
    assert desk.take(i.ListInstruments((BTC, SPOT))) == []
    assert desk.take(i.ListInstruments((COARSE, SPOT))) == [e.InstrumentChanged(COARSE)]
    with pytest.raises(InvalidRequest, match=r"0.015 is not a multiple of the lot size 0.01"):
        desk.take(order("0.015"))
    with pytest.raises(InvalidRequest, match=r"49001 is not a multiple of the tick size 5"):
        desk.take(order("0.1", stop_loss="49001"))
    assert desk.take(i.ListInstruments((COARSE, SPOT))) == []
    assert desk.submit("0.1").state is OrderState.PREPARED
    assert desk.replayed() == desk.state
    assert desk.state.instrument_times.keys() == {"btcusdt"}


def test_what_is_not_listed_any_more_can_only_be_reduced(desk: Desk) -> None:
    waits = desk.submit("0.1")
    desk.hold("0.2")
    gone = replace(BTC, reduce_only=True)
    assert desk.take(i.ListInstruments((SPOT,))) == [e.InstrumentChanged(gone)]
    assert desk.take(i.ListInstruments((SPOT,))) == []
    (event,) = desk.take(order("0.1"))
    assert isinstance(event, e.OrderRefused)
    assert event.refusal == Refused("core", "INSTRUMENT_REDUCE_ONLY")
    assert desk.take(i.Sending(waits.link_id)) == [e.OrderNotSent(waits.order_id, "btcusdt can only be reduced")]
    desk.take(i.ClosePosition("btcusdt"))
    assert desk.last(e.OrderPrepared).role is OrderRole.EXIT
    assert desk.take(i.ListInstruments((BTC, SPOT))) == [e.InstrumentChanged(BTC)]
    assert desk.submit("0.1").state is OrderState.PREPARED


def test_an_order_of_before_is_not_called_off_the_tick(desk: Desk) -> None:
    desk.work(desk.submit("0.015", type=OrderType.LIMIT, limit_price="48001"))
    desk.take(i.ListInstruments((COARSE, SPOT)))
    assert exact_terms(desk.state, desk.machine.instruments).verdict is Verdict.OK


def test_a_stop_is_placed_again_on_the_new_tick_and_lot(desk: Desk) -> None:
    lose(desk, held(desk, "0.125", "49001.3"))
    desk.take(i.ListInstruments((COARSE, SPOT)))
    assert placed(tick(desk, 2)) == [(OrderRole.STOP_LOSS, d("0.12"), d(49_005))]
    stop = desk.work(desk.order(desk.last(e.OrderPrepared).order_id))
    assert stop.is_open
    assert tick(desk, 30) == []


def test_a_large_stop_is_placed_in_parts(desk: Desk) -> None:
    lose(desk, held(desk, "0.12", "49000"))
    desk.take(i.ListInstruments((replace(BTC, max_quantity=d("0.05")), SPOT)))
    sizes = []
    for _ in range(10):
        for role, quantity, _price in placed(tick(desk)):
            sizes.append(quantity)
            assert role is OrderRole.STOP_LOSS
            desk.work(desk.order(desk.last(e.OrderPrepared).order_id))
    assert sizes == [d("0.05"), d("0.05"), d("0.02")]


def test_three_refusals_in_a_row_are_enough(desk: Desk) -> None:
    for _ in range(3):
        refuse(desk)
    assert refusal(desk) == "REFUSALS: the exchange refused 3 orders of btcusdt in a row: 110094 too small"
    assert desk.submit("0.1", symbol="btcusdt-spot").state is OrderState.PREPARED
    desk.now += 59 * SECOND
    assert refusal(desk).startswith("REFUSALS")
    desk.now += SECOND
    assert desk.submit("0.1").state is OrderState.PREPARED
    assert desk.machine.obstacles
    tick(desk)
    assert not desk.machine.obstacles


def test_refusals_far_apart_or_of_other_kinds_are_none(desk: Desk) -> None:
    for _ in range(4):
        refuse(desk)
        desk.now += 6 * SECOND
    for _ in range(4):
        refuse(desk, type=OrderType.LIMIT, limit_price="50001", time_in_force=TimeInForce.POST_ONLY)
    desk.hold("0.1")
    for _ in range(4):
        desk.take(i.ClosePosition("btcusdt"))
        desk.take(r.Rejected(desk.send(desk.order(desk.last(e.OrderPrepared).order_id)).link_id, "no", desk.now))
    assert desk.submit("0.1").state is OrderState.PREPARED
