"""A real daemon, the real plugin, a simulated Bybit: whatever goes wrong, both hold the same in the end."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tests.bybit.conftest import KEYS, Ship

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
    command = Path(f"/proc/{ship.daemon.process.pid}/cmdline").read_bytes()
    assert ship.daemon.stop() == 0
    files = {path.name: path.read_bytes() for path in ship.daemon.log.parent.rglob("*") if path.is_file()}
    secret = KEYS["SIMULATED_API_SECRET"].encode()
    assert [name for name, body in files.items() if b"btcusdt" in body] != [], "this looks at what was written"
    assert [name for name, body in files.items() if secret in body] == [], "I17: the secret was written down"
    assert secret not in command
