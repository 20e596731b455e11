"""What a daemon that begins anew must still know of what Bybit did for the one before."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quarterdeck.client import SyncClient
from tests.bybit.conftest import Ship


def stops(client: SyncClient) -> list[str]:
    """The states of the stops, by their orders' ids."""
    found = [one for one in client.orders.list() if one.role == "STOP_LOSS"]
    return [one.state for one in sorted(found, key=lambda one: one.id)]


def test_a_stop_that_opened_and_traded_while_nobody_listened_is_its_entrys(
    ship: Ship, wait: Callable[..., None]
) -> None:
    ship.start()
    with ship.client() as client:
        terms: dict[str, Any] = {"instrument": "btcusdt", "side": "BUY", "type": "LIMIT", "quantity": Decimal("0.1")}
        client.orders.create(order_id="entry", limit_price=Decimal(49_950), stop_loss=Decimal(49_850), **terms)
        wait(lambda: client.orders.get("entry").state == "OPEN")
        ship.daemon.kill()
        ship.quote(49_900.0)
        ship.quote(49_800.0)
        wait(lambda: ship.position() == 0)
        ship.start()
        wait(lambda: ship.agrees(client))
        assert client.orders.get("entry").state == "FILLED"
        assert {one.role for one in client.orders.list()} == {"ENTRY", "STOP_LOSS"}
        assert stops(client) == ["FILLED"]
        assert client.system.status().state == "READY"


def test_trades_of_stops_are_booked_once_and_as_theirs(ship: Ship, wait: Callable[..., None]) -> None:
    """Bybit opened them: their executions carry no id of ours, and a new process has no memory of what they are."""
    ship.start()
    with ship.client() as client:
        terms: dict[str, Any] = {"instrument": "btcusdt", "side": "BUY", "type": "MARKET", "quantity": Decimal("0.1")}
        for order_id, stop in (("near", 49_900), ("far", 49_500)):
            client.orders.create(order_id=order_id, stop_loss=Decimal(stop), **terms)
        wait(lambda: stops(client) == ["OPEN", "OPEN"])
        ship.quote(49_800.0)
        wait(lambda: stops(client) == ["OPEN", "FILLED"])
        ship.daemon.kill()
        ship.quote(49_400.0)
        ship.start()
        wait(lambda: stops(client) == ["FILLED", "FILLED"])
        wait(lambda: ship.agrees(client))
        assert not client.system.reconcile().differences
        assert len(list(client.fills.list())) == 4
        assert {one.role for one in client.orders.list()} == {"ENTRY", "STOP_LOSS"}
