"""A real daemon, the real plugin, a simulated Bybit: whatever goes wrong, both hold the same in the end."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tests.bybit.conftest import Ship

Wait = Callable[..., None]


def test_an_order_is_filled_protected_and_agreed_upon(ship: Ship, wait: Wait) -> None:
    ship.start()
    with ship.client() as client:
        order = client.orders.create(
            instrument="btcusdt", side="BUY", type="MARKET", quantity=Decimal("0.1"), stop_loss=Decimal(49_000)
        ).order
        wait(lambda: client.orders.get(order.id).state == "FILLED")
        stops = [one for one in client.orders.list() if one.role == "STOP_LOSS"]
        assert [stop.state for stop in stops] == ["OPEN"]
        wait(lambda: ship.agrees(client))
        assert ship.position() == Decimal("0.1")
    assert ship.daemon.stop() == 0
