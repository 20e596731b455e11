"""State as the fold of the journal: total, strict, and bounded in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from core.tests.engine.desk import Desk, d, order
from quarterdeck.domain import report as r
from quarterdeck.domain.order import IllegalTransition
from quarterdeck.engine import events as e
from quarterdeck.engine import fold as folding
from quarterdeck.engine import inputs as i
from quarterdeck.engine import reports
from quarterdeck.engine.fold import fold, rebuild_indexes
from quarterdeck.engine.state import State


def test_every_event_has_its_fold_and_every_report_its_meaning() -> None:
    assert set(folding._FOLDS) == set(get_args(e.Event))
    assert set(reports._APPLY) == set(get_args(r.Report))


def test_events_are_folded_in_their_order_and_none_twice(desk: Desk) -> None:
    state = desk.replayed()
    for recorded in (desk.journal[-1], replace(desk.journal[-1], sequence=state.sequence + 2)):
        with pytest.raises(ValueError, match="does not follow"):
            fold(state, recorded)
    assert state == desk.replayed()


def test_a_move_that_is_not_in_the_table_is_refused_loudly(desk: Desk) -> None:
    placed = desk.submit("0.1")
    state = desk.replayed()
    with pytest.raises(IllegalTransition):
        fold(state, e.Recorded(state.sequence + 1, 0, e.OrderOpened(placed.order_id, "x")))


def test_a_fill_of_an_order_nobody_remembers_is_refused_loudly(desk: Desk) -> None:
    entry = desk.hold("0.1")
    fill = replace(desk.last(e.OrderFilled), order_id="gone")
    state = desk.replayed()
    with pytest.raises(ValueError, match="not in memory"):
        fold(state, e.Recorded(state.sequence + 1, 0, fill))
    assert entry.order_id != "gone"


def test_indexes_can_be_made_again_from_the_orders(desk: Desk) -> None:
    desk.bot("sma")
    desk.protect(desk.hold("0.1", bot_id="sma", stop_loss="49000"))
    desk.work(desk.submit("0.1", bot_id="sma", stop_loss="49000"))
    lost = desk.send(desk.submit("0.05"))
    desk.take(r.Unknown(lost.link_id, "timeout", desk.now))
    desk.submit("0.1", symbol="btcusdt-spot")
    state = desk.replayed()
    for exposure in state.exposures.values():
        exposure.pending_buy += 7
        exposure.unknown += 7
        exposure.stopped_value += 7
    state.bots["sma"].working += 7
    rebuild_indexes(state)
    assert state == desk.state


def test_only_the_latest_closed_orders_stay_in_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "CLOSED_ORDERS_KEPT", 2)
    held = [desk.hold("0.001") for _ in range(3)]
    assert list(desk.state.closed_orders) == [each.order_id for each in held[1:]]
    assert desk.state.order_by_link(held[0].link_id) is None
    assert set(desk.state.links) == {each.link_id for each in held[1:]}
    assert set(desk.state.trades) == {each.order_id for each in held[1:]}
    desk.take(r.Acked(held[0].link_id, "x", desk.now))
    assert len(desk.anomalies) == 1


def test_only_the_latest_requests_and_fundings_are_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "REQUESTS_KEPT", 2)
    monkeypatch.setattr(folding, "CLOSED_ORDERS_KEPT", 2)
    for number in range(3):
        desk.take(order("0.001"), i.Request(f"r{number}", ""))
        desk.take(r.FundingSettled(f"f{number}", "btcusdt", d(1), d(0), d(0), desk.now))
    assert list(desk.state.requests) == ["r1", "r2"]
    assert list(desk.state.funding_ids) == ["f1", "f2"]


def test_a_new_state_knows_nothing() -> None:
    state = State()
    assert state.is_new
    assert state.wallet == 0
    assert state.order("x") is None
    assert state.share("btcusdt", "").quantity == 0
    assert list(state.orders_of()) == []
