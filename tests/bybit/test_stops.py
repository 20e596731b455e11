"""Stops that vanish at Bybit or never work: placed again, or the position is closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quarterdeck.client import SyncClient
from tests.bybit.conftest import USER, Ship, assert_agrees
from tests.bybit.test_faults import buy, state

Wait = Callable[..., None]


def working(ship: Ship) -> list[tuple[Decimal, Decimal]]:
    """The stops that work at Bybit: quantity and price."""
    found = ship.running.call(ship.simulator.accounts[USER].stops)
    return sorted((one.leaves, one.terms.trigger_price or Decimal(0)) for one in found)


def end_stops(ship: Ship) -> float:
    """Somebody takes off every stop; returns when."""
    account = ship.simulator.accounts[USER]

    def end() -> None:
        for one in account.stops():
            account.end(one)

    ship.running.call(end)
    assert working(ship) == []
    return time.monotonic()


def hold(ship: Ship, client: SyncClient, wait: Wait, quantity: str = "0.1", stop: str = "49000", **more: Any) -> str:
    """Buy with a stop; returns once it works on both sides."""
    order = buy(client, quantity, stop_loss=Decimal(stop), **more)
    wait(lambda: state(client, order) == "FILLED")
    return order


def test_a_stop_that_vanishes_is_back_within_five_seconds(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F42: taken off by hand, once while it can be heard and once while it can't; canceled here it stays away."""
    hold(afloat, helm, wait)
    wanted = [(Decimal("0.1"), Decimal(49_000))]
    for _ in range(2):  # the second time it is the one that was placed again
        wait(lambda: working(afloat) == wanted)
        wait(lambda: [one.state for one in helm.orders.list() if one.role == "STOP_LOSS"].count("OPEN") == 1)
        gone = end_stops(afloat)
        wait(lambda: working(afloat) == wanted, 10)
        assert time.monotonic() - gone < 5
    assert_agrees(afloat, helm)

    afloat.fault(match={"path": "auth"}, do="code", code=10003)
    afloat.running.call(afloat.running.server.drop_all)
    wait(lambda: helm.system.status().state == "SAFE")
    end_stops(afloat)
    afloat.mend()
    wait(lambda: working(afloat) == wanted, 60)
    assert_agrees(afloat, helm)

    (stop,) = [one for one in helm.orders.list() if one.role == "STOP_LOSS" and one.state == "OPEN"]
    helm.orders.cancel(stop.id)
    wait(lambda: working(afloat) == [])
    time.sleep(4)  # long enough for one to be placed
    assert working(afloat) == []
    assert_agrees(afloat, helm)


def test_a_stop_that_nobody_takes_ends_in_a_close(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F42, I08: it vanishes and none is taken instead: closed within fifteen seconds, and said."""
    hold(afloat, helm, wait)
    wait(lambda: working(afloat))
    afloat.fault(match={"path": "/v5/order/create", "contains": "triggerPrice"}, do="code", code=110009)
    gone = end_stops(afloat)
    wait(lambda: afloat.position() == 0)
    assert time.monotonic() - gone < 15
    assert 2 <= len([one for one in helm.orders.list() if one.state == "REJECTED"]) <= 5
    assert any("no stop can be placed for 0.1 btcusdt" in reason for reason in helm.system.status().reasons)
    afloat.mend()
    wait(lambda: afloat.agrees(helm))
    helm.risk.release_kill_switch("looked at")
    assert_agrees(afloat, helm)


def test_an_entry_that_fills_in_slices_while_its_stop_fails(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F43: Bybit ends each stop it opens; where the price is beyond it already, the slice is closed at the market."""
    afloat.fault(match={"path": "protection"}, do="end", count=1)
    hold(afloat, helm, wait, "0.2")
    wait(lambda: working(afloat) == [(Decimal("0.2"), Decimal(49_000))])
    afloat.fault(match={"path": "protection"}, do="end", count=1)
    afloat.fault(match={"topic": "order"}, do="delay", ms=700, count=1)
    buy(helm, "0.1", stop_loss=Decimal("49999.9"))
    afloat.price = 49_990.0
    wait(lambda: afloat.position() == Decimal("0.2"))
    wait(lambda: working(afloat) == [(Decimal("0.2"), Decimal(49_000))])
    assert helm.risk.state().trading_state == "ACTIVE"
    assert_agrees(afloat, helm)
