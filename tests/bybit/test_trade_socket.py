"""A daemon whose orders take the trade socket, with disconnection protection set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from quarterdeck.client import SyncClient
from quarterdeck_bybit_simulator.sockets import Kind
from tests.bybit.conftest import USER, Ship, assert_agrees, sail
from tests.bybit.test_faults import buy, buy_when_heard, state

Wait = Callable[..., None]

WAITS = 3


@pytest.fixture(scope="module")
def afloat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    with sail(tmp_path_factory.mktemp("socket"), more=f'orders = "websocket"\ndcp_seconds = {WAITS}') as ship:
        ship.start()
        yield ship


def by_rest(ship: Ship) -> list[str]:
    """Requests by REST that change orders."""
    paths = ship.running.call(lambda: [one.data["path"] for one in ship.simulator.truth.of("request")])
    return [path for path in paths if path.startswith(("/v5/order/create", "/v5/order/cancel", "/v5/order/amend"))]


def test_the_socket_ends_before_the_answer(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F09 on the socket: not known, asked about, found; nothing goes out a second time, on no way."""
    before = len(afloat.creates())
    afloat.fault(match={"path": "order.create"}, do="accept_then_drop", count=1)
    afloat.fault(match={"topic": "*"}, do="mute")  # else the stream would tell before anybody has to ask
    head = helm.system.status().head_sequence
    order = buy_when_heard(helm, stop_loss=Decimal(49_000))
    wait(lambda: "OrderUnknown" in [event.type for event in helm.events.list(after=head)])
    afloat.mend()
    wait(lambda: state(helm, order) == "FILLED")
    assert len([link for link in afloat.creates()[before:] if link]) == 1
    assert by_rest(afloat) == []
    assert_agrees(afloat, helm)


def test_a_socket_that_is_not_let_in_holds_entries_back(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    resting = buy_when_heard(helm, "0.01", type="LIMIT", limit_price=Decimal(48_000))
    wait(lambda: state(helm, resting) == "OPEN")
    afloat.fault(match={"path": "auth"}, do="code", code=10003)
    afloat.running.call(lambda: afloat.running.server.drop_all(Kind.TRADE))
    wait(lambda: "the trade socket is down" in helm.system.status().exchange_remarks)
    entry = buy(helm)
    wait(lambda: state(helm, entry) == "NOT_SENT")
    helm.orders.cancel(resting)
    wait(lambda: state(helm, resting) == "CANCELED")
    assert by_rest(afloat) == ["/v5/order/cancel"]
    afloat.mend()
    wait(lambda: "the trade socket is down" not in helm.system.status().exchange_remarks)


@pytest.mark.parametrize("keeps", [True, False])
def test_disconnection_protection_acts(afloat: Ship, helm: SyncClient, wait: Wait, keeps: bool) -> None:
    """F44: entries are gone, and the position has its stop again, whether Bybit left it or took it."""
    account = afloat.simulator.accounts[USER]
    afloat.simulator.settings.dcp_keeps_stops = keeps
    wait(lambda: any(f"protection: on: {WAITS} s" in each for each in helm.system.status().exchange_remarks))
    wait(lambda: "the trade socket is down" not in helm.system.status().exchange_remarks)
    order = buy_when_heard(helm, stop_loss=Decimal(49_000))
    resting = buy_when_heard(helm, "0.01", type="LIMIT", limit_price=Decimal(48_000))
    wait(lambda: state(helm, order) == "FILLED" and state(helm, resting) == "OPEN")
    wait(lambda: len(afloat.running.call(account.open_orders)) == 2)
    afloat.fault(match={"path": "auth"}, do="code", code=10003)
    afloat.running.call(afloat.running.server.drop_all)
    wait(lambda: len(afloat.running.call(account.open_orders)) == int(keeps))
    afloat.mend()
    wait(lambda: state(helm, resting) == "CANCELED")
    wait(lambda: [one.terms.trigger_price for one in afloat.running.call(account.stops)] == [Decimal(49_000)])
    assert_agrees(afloat, helm, 60)
