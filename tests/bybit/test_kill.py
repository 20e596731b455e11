"""The kill switch over a real daemon and the simulated Bybit's own limits: few requests, and no stop stripped.

One daemon for all of it. What is asserted is what reached Bybit; how long it takes, `python -m bench kill` says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.client import SyncClient
from quarterdeck_bybit_simulator.protection import unprotected
from tests.bybit.conftest import USER, Ship, sail, until

HELD = [f"held{number}usdt" for number in range(5)]
ENTRIES = 30
D = Decimal


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    with sail(tmp_path_factory.mktemp("kill"), HELD) as ship:
        ship.start()
        yield ship


def by_hand(ship: Ship, symbol: str, link: str, **terms: Any) -> None:
    """An order that rests and did not come from the daemon. It is not held to the rate at which those may leave."""
    wanted = {"category": "linear", "symbol": symbol.upper(), "side": "Buy", "orderType": "Limit", "qty": "0.01",
              "price": "49000", "orderLinkId": link} | terms  # fmt: skip
    create = ship.simulator.api.writes["/v5/order/create"]
    ship.running.call(lambda: create(ship.simulator.accounts[USER], wanted))


def working(ship: Ship) -> Counter[str]:
    """What works at Bybit, by kind."""
    account = ship.simulator.accounts[USER]
    return ship.running.call(lambda: Counter(each.row()["stopOrderType"] or "rests" for each in account.open_orders()))


def enter(client: SyncClient, **terms: Any) -> None:
    """Place an order again until it has left: too many may have been sent lately."""

    def has_left() -> bool:
        order = client.orders.create(**terms).order.id
        until(lambda: client.orders.get(order).state not in ("PREPARED", "SENT"))
        return client.orders.get(order).state != "NOT_SENT"

    until(has_left)


@pytest.fixture
def client(ship: Ship) -> Iterator[SyncClient]:
    """Five positions with their stops, thirty entries in their books, and a client to pull the switch with."""
    with ship.client() as client:
        client.risk.release_kill_switch("the next case")
        held = {one.instrument.rpartition("/")[2] for one in client.positions.list()}
        for symbol in [each for each in HELD if each not in held]:
            enter(client, instrument=symbol, side="BUY", type="MARKET", quantity=D("0.01"), stop_loss=D(48_000))
        for number in range(ENTRIES):
            by_hand(ship, HELD[number % len(HELD)], f"hand-{len(ship.creates())}")
        for symbol in HELD[:2]:
            enter(client, instrument=symbol, side="BUY", type="LIMIT", quantity=D("0.01"), limit_price=D(49_500))
        until(lambda: working(ship) == {"rests": ENTRIES + 2, "PartialStopLoss": 5})
        until(lambda: len([one for one in client.orders.list() if one.state == "OPEN"]) == ENTRIES + 7)
        yield client
        ship.mend()


def pull(ship: Ship, client: SyncClient, mode: Any, left: dict[str, int]) -> Counter[str]:
    """Pull the switch until no more than that works at Bybit; returns what reached it that changes something."""
    before = len(ship.simulator.truth)
    client.risk.engage_kill_switch("a test", mode=mode)
    until(lambda: working(ship) == left)
    until(lambda: not ship.differences(client))
    facts = ship.running.call(lambda: [each for each in ship.simulator.truth if each.number > before])
    asked = [each.data for each in facts if each.kind == "request" and each.data["method"] == "POST"]
    sweeps = [json.loads(each["body"]) for each in asked if each["path"].endswith("/cancel-all")]
    assert all(each["orderFilter"] == "Order" for each in sweeps)
    assert ship.running.call(lambda: list(unprotected(ship.simulator.truth, before))) == []
    assert 10006 not in {each["code"] for each in asked}
    return Counter(each["path"].rpartition("/")[2] for each in asked)


def test_halting_empties_every_book_by_one_request_and_leaves_the_stops(ship: Ship, client: SyncClient) -> None:
    assert pull(ship, client, "CANCEL_ONLY", {"PartialStopLoss": 5}) == {"cancel-all": 5}
    assert all(ship.position(each) for each in HELD)


def test_what_has_to_stay_in_a_book_keeps_it_from_being_swept(ship: Ship, client: SyncClient) -> None:
    """An exit of ours, and one by hand: the entries beside them go by name."""
    client.orders.create(
        instrument=HELD[0], side="SELL", type="LIMIT", quantity=D("0.005"), limit_price=D(51_000), reduce_only=True
    )
    by_hand(ship, HELD[1], "hand-exit", side="Sell", price="51000", qty="0.005", reduceOnly=True)
    until(lambda: working(ship)["rests"] == ENTRIES + 4)
    until(lambda: len([one for one in client.orders.list() if one.state == "OPEN"]) == ENTRIES + 9)
    asked = pull(ship, client, "CANCEL_ONLY", {"PartialStopLoss": 5, "rests": 2})
    assert asked.pop("cancel-all") == 3
    assert set(asked) == {"cancel", "cancel-batch"}
    client.orders.cancel_all()
    account = ship.simulator.accounts[USER]
    ship.running.call(lambda: account.cancel(account.existing("", "hand-exit", "linear")))
    until(lambda: not working(ship)["rests"])


def test_everything_is_closed_though_bybit_takes_no_more_orders(ship: Ship, client: SyncClient) -> None:
    """F33: closes go where nothing else of ours does."""
    ship.fault(match={"path": "/v5/order/create"}, do="code", code=10006)
    assert pull(ship, client, "FLATTEN", {}) == {"cancel-all": 5, "create-batch": 5}
    assert not any(ship.position(each) for each in HELD)
