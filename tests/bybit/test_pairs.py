"""Pairs on a simulated Bybit, which keeps its fee of what is bought: what is held can be sold, and all of it agrees."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.bybit.conftest import assert_agrees, sail, until

PAIR = "btcusdt-spot"


def test_what_is_bought_of_a_pair_is_protected_and_can_be_closed(tmp_path: Path) -> None:
    with sail(tmp_path, (PAIR,)) as ship:
        ship.start()
        with ship.client() as client:
            order = client.orders.create(
                instrument=PAIR,
                side="BUY",
                type="LIMIT",
                quantity=Decimal("0.1"),
                limit_price=Decimal(50_100),
                stop_loss=Decimal(49_000),
            ).order
            until(lambda: client.orders.get(order.id).state == "FILLED")
            (trade,) = client.fills.list(order=order.id)
            assert (trade.fee, trade.fee_currency) == (Decimal("0.000055"), "BTC")
            assert [held.quantity for held in client.positions.list()] == [Decimal("0.099945")]
            assert_agrees(ship, client)
            client.positions.close(PAIR)
            until(lambda: not [held for held in client.positions.list() if held.quantity])
            assert_agrees(ship, client)
            wallets = {each.currency: each.wallet for each in client.accounts.overview().balances}
            assert wallets["BTC"] == Decimal("0.000945")
            assert client.risk.state().trading_state == "ACTIVE"
        ship.daemon.kill()
        ship.start()
        with ship.client() as client:
            assert_agrees(ship, client)
