"""Bybit changes its rules while the daemon runs: filters, delistings, and refusals of everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.client import QuarterdeckError, SyncClient
from quarterdeck.client.events import InstrumentChanged
from tests.bybit.conftest import PERPETUAL, Ship, assert_agrees
from tests.bybit.test_faults import buy, state

Wait = Callable[..., None]


def relist(ship: Ship, status: str = "Trading", **changes: Any) -> None:
    ship.running.call(lambda: ship.simulator.relist(replace(PERPETUAL, **changes), status))


def refused_by(client: SyncClient, quantity: str = "0.1") -> str:
    with pytest.raises(QuarterdeckError) as caught:
        buy(client, quantity)
    return str(caught.value)


def test_filters_change(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F45: the first refusal has the rules read anew; from then on nothing is sent that they forbid."""
    stop = buy(helm, "0.105", stop_loss=Decimal("49001.3"))
    wait(lambda: state(helm, stop) == "FILLED")
    relist(
        afloat, tick_size=Decimal(1), lot_size=Decimal("0.01"), min_quantity=Decimal("0.02"),
        max_quantity=Decimal(5), min_notional=Decimal(2000),
    )  # fmt: skip
    order = buy(helm, "0.005")
    wait(lambda: state(helm, order) == "REJECTED")
    wait(lambda: helm.market.instrument("btcusdt").lot_size == Decimal("0.01"))
    sent = len(afloat.creates())
    assert "lot size" in refused_by(helm, "0.005")
    assert "MIN_QUANTITY" in refused_by(helm, "0.01")
    assert "MIN_NOTIONAL" in refused_by(helm, "0.03")
    assert "MAX_QUANTITY" in refused_by(helm, "6")
    with pytest.raises(QuarterdeckError, match="tick size"):
        buy(helm, "0.1", type="LIMIT", limit_price=Decimal("48000.1"))
    assert len(afloat.creates()) == sent
    order = buy(helm, "0.05")
    wait(lambda: state(helm, order) == "FILLED")
    bodies = [each.body for each in helm.events.list()]
    assert [each.instrument.tick_size for each in bodies if isinstance(each, InstrumentChanged)] == [1]
    assert_agrees(afloat, helm)
    relist(afloat)
    afloat.fault(match={"path": "/v5/order/create"}, do="code", code=110094, count=1)
    order = buy(helm, "0.1")
    wait(lambda: helm.market.instrument("btcusdt").lot_size == Decimal("0.001"))


def test_what_is_delisted_can_only_be_reduced(ship: Ship, wait: Wait) -> None:
    """F45: 110023, first while the listing does not say so yet, then with it."""
    ship.start()
    with ship.client() as client:
        order = buy(client, "0.1")
        wait(lambda: state(client, order) == "FILLED")
        relist(ship, reduce_only=True)
        for _ in range(3):
            refused = buy(client, "0.01")
            wait(lambda refused=refused: state(client, refused) == "REJECTED")
        asked = requests(ship)
        for _ in range(10):
            assert "REFUSALS: the exchange refused 3 orders of btcusdt in a row: 110023" in refused_by(client)
        assert requests(ship) == asked
        relist(ship, "Settling", reduce_only=True)
        wait(lambda: client.market.instrument("btcusdt").reduce_only)
        assert "INSTRUMENT_REDUCE_ONLY" in refused_by(client)
        client.positions.close("btcusdt")
        wait(lambda: ship.position() == 0)
        wait(lambda: ship.agrees(client))  # ready it is not: the instrument is paused


def requests(ship: Ship) -> int:
    """Orders that reached Bybit, refused ones included."""
    found = ship.running.call(lambda: ship.simulator.truth.of("request"))
    return sum(entry.data["path"] == "/v5/order/create" for entry in found)
