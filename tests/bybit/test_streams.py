"""What is told too late, not at all, or otherwise than it is. One daemon, one thing at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.client import QuarterdeckError, SyncClient
from tests.bybit.conftest import KEYS, USER, Ship, assert_agrees, sail, until

D = Decimal


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    with sail(tmp_path_factory.mktemp("streams")) as ship:
        ship.start()
        yield ship


@pytest.fixture
def client(ship: Ship) -> Iterator[SyncClient]:
    with ship.client() as client:
        yield client
        ship.mend()


def rest(client: SyncClient, price: int = 49_900) -> str:
    """A limit order that works; returns its id."""
    terms: dict[str, Any] = {"side": "BUY", "type": "LIMIT", "quantity": D("0.1"), "limit_price": D(price)}
    order = client.orders.create(instrument="btcusdt", **terms).order.id
    until(lambda: client.orders.get(order).state == "OPEN")
    return order


def state(client: SyncClient) -> str:
    return client.system.status().state


def opened(ship: Ship, kind: str) -> int:
    """How many sockets of a kind were ever opened."""
    return sum(entry.data["open"] and entry.data["of"] == kind for entry in ship.simulator.truth.of("socket"))


def test_a_connection_that_is_half_open(ship: Ship, client: SyncClient) -> None:
    """F24: it neither says nor takes anything, and is not closed; given up within thirty seconds."""
    order = rest(client)
    before = {kind: opened(ship, kind) for kind in ("private", "linear")}
    used = ship.simulator.faults.used
    for kind in before:
        ship.fault(match={"path": f"ping:{kind}"}, do="freeze", count=1)
    until(lambda: ship.simulator.faults.used == used + len(before))
    began = time.monotonic()
    ship.dip("btcusdt", 49_900, 1.0)
    until(lambda: all(opened(ship, kind) > times for kind, times in before.items()))
    assert time.monotonic() - began < 30
    until(lambda: client.orders.get(order).state == "FILLED")
    assert_agrees(ship, client)


def test_a_topic_that_was_granted_and_is_not_told(ship: Ship, client: SyncClient) -> None:
    """F25: the order's end is told and its trade is not; asking finds it, and the connection is built anew."""
    before = opened(ship, "private")
    ship.fault(match={"topic": "execution"}, do="mute")
    order = rest(client)
    ship.dip("btcusdt", 49_900, 1.0)
    until(lambda: opened(ship, "private") > before)
    until(lambda: client.orders.get(order).state == "FILLED")
    ship.mend()
    assert_agrees(ship, client)


@pytest.mark.parametrize("path", ["auth", "subscribe:execution"])
def test_a_login_or_a_topic_that_is_refused(ship: Ship, client: SyncClient, path: str) -> None:
    """F25: without all that it has to hear it takes no risk, and it asks again with a time of its own each time."""
    order = rest(client)
    logins = len(ship.simulator.truth.of("login"))
    ship.fault(match={"path": path}, do="code", code=10003)
    ship.running.call(ship.running.server.drop_all)
    until(lambda: state(client) == "SAFE")
    ship.dip("btcusdt", 49_900, 1.0)
    until(lambda: len(ship.simulator.truth.of("login")) >= logins + 2)
    assert state(client) == "SAFE"
    with pytest.raises(QuarterdeckError):
        rest(client)
    ship.mend()
    until(lambda: client.orders.get(order).state == "FILLED")
    assert_agrees(ship, client)
    stamps = [entry.data["args"][1] for entry in ship.simulator.truth.of("login")[logins:]]
    assert len(stamps) == len(set(stamps)) >= 3


def test_a_trade_that_is_told_after_the_orders_end(ship: Ship, client: SyncClient) -> None:
    """F28: booked to its order, which stays canceled: at once, when nobody was there, and after a restart."""
    orders = [rest(client, price) for price in (49_500, 49_000, 48_500)]
    links = [client.orders.get(order).link_id for order in orders]
    for order in orders:
        client.orders.cancel(order)
    until(lambda: {client.orders.get(order).state for order in orders} == {"CANCELED"})

    def trade(link: str) -> None:
        ship.running.call(lambda: ship.simulator.trade_late(USER, link, D("0.04")))

    def booked() -> list[Decimal]:
        return [client.orders.get(order).filled_quantity for order in orders]

    trade(links[0])
    until(lambda: booked() == [D("0.04"), 0, 0])
    assert_agrees(ship, client)
    ship.daemon.stop()
    trade(links[1])
    ship.fault(match={"path": "auth"}, do="code", code=10003)
    ship.daemon.launch(KEYS)
    logins = len(ship.simulator.truth.of("login"))
    until(lambda: len(ship.simulator.truth.of("login")) >= logins + 2)  # F25: not ready without a stream
    assert state(client) != "READY"
    ship.mend()
    until(lambda: booked() == [D("0.04"), D("0.04"), 0])
    assert_agrees(ship, client)
    trade(links[2])
    until(lambda: booked() == [D("0.04")] * 3)
    assert_agrees(ship, client)
    assert {client.orders.get(order).state for order in orders} == {"CANCELED"}
