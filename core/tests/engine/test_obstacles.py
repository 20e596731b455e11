"""Obstacles: nothing that adds risk leaves while one stands, and what reduces it always may."""

from __future__ import annotations

from core.tests.engine.desk import Desk, order
from quarterdeck.domain import report as r
from quarterdeck.domain.order import OrderRole, OrderState
from quarterdeck.domain.risk import Refused
from quarterdeck.engine import events as e
from quarterdeck.engine import inputs as i
from quarterdeck.engine.effects import SendOrder
from quarterdeck.engine.obstacles import Obstacle

DISK = i.SetObstacle(Obstacle("DISK", "the disk is full"))


def test_an_entry_is_refused_by_name_until_the_obstacle_is_gone(desk: Desk) -> None:
    desk.take(DISK)
    (event,) = desk.take(order("0.1"))
    assert isinstance(event, e.OrderRefused)
    assert event.refusal == Refused("core", "DISK: the disk is full")
    desk.take(i.ClearObstacle("DISK"))
    desk.take(i.ClearObstacle("DISK"))
    assert desk.submit("0.1").state is OrderState.PREPARED


def test_what_reduces_is_never_in_the_way(desk: Desk) -> None:
    desk.hold("0.1")
    desk.take(DISK)
    desk.take(i.ClosePosition("btcusdt"))
    assert desk.last(e.OrderPrepared).role is OrderRole.EXIT


def test_one_instruments_obstacle_is_no_others(desk: Desk) -> None:
    desk.take(i.SetObstacle(Obstacle("ODD", "nobody knows", "ethusdt")))
    assert desk.submit("0.1").state is OrderState.PREPARED
    desk.take(i.SetObstacle(Obstacle("ODD", "nobody knows", "btcusdt")))
    (event,) = desk.take(order("0.1"))
    assert isinstance(event, e.OrderRefused)


def test_a_queued_entry_is_looked_at_again_when_its_turn_comes(desk: Desk) -> None:
    waits = desk.submit("0.1")
    desk.take(DISK)
    (event,) = desk.take(i.Sending(waits.link_id))
    assert event == e.OrderNotSent(waits.order_id, "DISK: the disk is full")


def test_a_queued_entry_waits_for_no_order_whose_outcome_is_unknown(desk: Desk) -> None:
    lost, waits = desk.submit("0.1"), desk.submit("0.1")
    desk.take(i.Sending(lost.link_id))
    desk.take(r.Unknown(lost.link_id, "timeout", desk.now))
    desk.took_effects()
    (event,) = desk.take(i.Sending(waits.link_id))
    assert event == e.OrderNotSent(waits.order_id, "what became of another order of btcusdt is unknown")
    assert not any(isinstance(effect, SendOrder) for effect in desk.took_effects())


def test_obstacles_are_not_journaled(desk: Desk) -> None:
    assert desk.take(DISK) == []
    assert desk.replayed() == desk.state
    assert desk.machine.view.obstacle("btcusdt") == DISK.obstacle
