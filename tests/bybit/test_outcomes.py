"""What became of an order: answers that prove nothing, requests that cross with fills, ends that are only half ends.

One daemon for all of it, each case on an instrument of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.client import Options, SyncClient
from quarterdeck.matching import VenueSettings
from quarterdeck_bybit_simulator import LinkIds
from tests.bybit.conftest import Ship, assert_agrees, sail, until

CREATE, CANCEL, AMEND = "/v5/order/create", "/v5/order/cancel", "/v5/order/amend"
CREATE_BATCH, CANCEL_BATCH = "/v5/order/create-batch", "/v5/order/cancel-batch"
D = Decimal
PATIENT = Options(timeout=60, attempt_timeout=60)

#: Answers that are no proof, each by the rule that gives it. The last ones close the method for a while.
CODES = [10000, 10014, 10016, 10019, 170001, 170007, 170032, 170146, 170147, 20006, 500000]
LIMITED = [429, 10006, 10403, 10429, 170005, 20003]
BODIES = [(502, "<html>no</html>"), (503, ""), (200, "<html>busy</html>"), (200, ""), (200, '{"retCode": 0, "res')]
CODES_AND_PAGES: list[dict[str, Any]] = [
    *({"do": "code", "code": code} for code in CODES),
    *({"do": "http", "status": status, "body": body} for status, body in BODIES),
]
AMBIGUOUS: list[dict[str, Any]] = [
    *CODES_AND_PAGES,
    *({"do": "code", "code": code} for code in LIMITED),
]
LOST = [f"lost{number}usdt" for number in range(len(AMBIGUOUS))]
TAKEN = [f"taken{number}usdt" for number in range(len(AMBIGUOUS))]
OTHERS = ["twice", "again", "raced", "late", "grown", "cut", "half", "thin", "large", "nameless", "stale", "phantom",
          "asked", "legged"]  # fmt: skip


@dataclass
class Desk:
    """A daemon at work, and somebody who trades on it."""

    ship: Ship
    client: SyncClient

    def order(self, symbol: str, quantity: str, side: str = "BUY", **terms: Any) -> str:
        """Place an order and wait until it has left: too many may have been sent lately. Returns its id."""
        end = time.monotonic() + 30
        while True:
            terms = {"side": side, "type": "MARKET"} | terms
            order = self.client.orders.create(instrument=symbol, quantity=D(quantity), **terms).order.id
            self.until(order, lambda state: state not in ("PREPARED", "SENT"))
            if self.state(order) != "NOT_SENT":
                return order
            assert time.monotonic() < end, self.client.orders.get(order)

    def rest(self, symbol: str, quantity: str, **terms: Any) -> str:
        """A limit order below the market, and wait until it works."""
        order = self.order(symbol, quantity, type="LIMIT", limit_price=D(49_900), **terms)
        self.until(order, lambda state: state == "OPEN")
        return order

    def state(self, order: str) -> str:
        return self.client.orders.get(order).state

    def until(self, order: str, holds: Callable[[str], bool]) -> None:
        """Wait for an order's state."""
        until(lambda: holds(self.state(order)))

    def arrive(self, request: Callable[[], object]) -> None:
        """Ask for something, and wait until Bybit has it and the fault that is in force has met it."""
        used = self.ship.simulator.faults.used
        request()
        until(lambda: self.ship.simulator.faults.used > used)

    def agree(self) -> None:
        assert_agrees(self.ship, self.client)


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ship]:
    symbols = [*LOST, *TAKEN, *(f"{name}usdt" for name in OTHERS)]
    largest = {"largeusdt": D("0.1"), "namelessusdt": D("0.1")}
    venue = VenueSettings(participation=D(1))
    with sail(tmp_path_factory.mktemp("outcomes"), symbols, largest=largest, venue=venue) as ship:
        ship.start()
        yield ship


@pytest.fixture
def desk(ship: Ship) -> Iterator[Desk]:
    with ship.client() as client:
        yield Desk(ship, client)
        ship.mend()
        ship.simulator.settings.link_ids = LinkIds.ALWAYS
        ship.simulator.settings.split_keeps_link = True
        ship.simulator.settings.read_lag = 0


@pytest.fixture(scope="module")
def lost(ship: Ship) -> dict[str, str]:
    """An order per ambiguous answer, none of which Bybit has taken; they are in doubt while other cases go on."""
    with ship.client() as client:
        desk = Desk(ship, client)
        orders: dict[str, str] = {}
        for symbol, rule in zip(LOST, AMBIGUOUS, strict=True):
            ship.fault(match={"path": CREATE, "symbol": symbol.upper()}, count=1, **rule)
            order = desk.order(symbol, "0.01")
            assert desk.state(order) == "UNKNOWN", rule
            orders[order] = str(rule)
        ship.mend()
        return orders


def test_an_ambiguous_answer_to_an_order_that_was_taken(lost: dict[str, str], desk: Desk) -> None:
    """F12: never refused by it; found and adopted."""
    for symbol, rule in zip(TAKEN, AMBIGUOUS, strict=True):
        desk.ship.fault(match={"path": CREATE, "symbol": symbol.upper()}, after=True, count=1, **rule)
        order = desk.order(symbol, "0.01")
        assert desk.state(order) in ("UNKNOWN", "FILLED"), rule
        desk.until(order, lambda state: state == "FILLED")
    assert {desk.state(order) for order in lost} <= {"UNKNOWN", "ABSENT"}
    desk.agree()


def test_a_request_that_arrives_twice_finds_its_id_taken(desk: Desk) -> None:
    """F14: an order of that id exists, which is no refusal: it is read, however late the stream tells of it."""
    desk.ship.fault(match={"path": CREATE, "symbol": "TWICEUSDT"}, do="twice", count=1)
    desk.ship.fault(match={"topic": "*"}, do="delay", ms=2_000)
    order = desk.order("twiceusdt", "0.1")
    assert desk.state(order) in ("UNKNOWN", "FILLED")
    desk.until(order, lambda state: state == "FILLED")
    desk.agree()
    assert desk.ship.position("twiceusdt") == D("0.1")


def test_a_fill_before_the_cancel(desk: Desk) -> None:
    """F15: the cancel finds nothing; the order was filled, once."""
    order = desk.rest("racedusdt", "0.1")
    desk.ship.fault(match={"path": CANCEL}, do="delay_accept", ms=800, count=1)
    desk.arrive(lambda: desk.client.orders.cancel(order))
    desk.ship.dip("racedusdt", 49_900, 1.0)
    desk.until(order, lambda state: state == "FILLED")
    until(lambda: [entry for entry in desk.ship.simulator.truth.of("request") if entry.data["code"] == 110001])
    desk.agree()
    assert desk.state(order) == "FILLED"


def test_a_cancel_that_is_granted_and_came_too_late(desk: Desk) -> None:
    """F15: told as filled twice, the second time as canceled by its user."""
    order = desk.rest("lateusdt", "0.1")
    desk.ship.fault(match={"path": CANCEL}, do="too_late", ms=800, count=1)
    desk.arrive(lambda: desk.client.orders.cancel(order))
    desk.ship.dip("lateusdt", 49_900, 1.0)
    desk.until(order, lambda state: state == "FILLED")
    desk.agree()
    assert desk.state(order) == "FILLED"
    assert len(list(desk.client.fills.list(order=order))) == 1


def test_a_fill_while_it_is_amended(desk: Desk) -> None:
    """F17: what is left is the new quantity less what was filled."""
    order = desk.rest("grownusdt", "1.0")
    desk.ship.fault(match={"path": AMEND}, do="delay_accept", ms=800, count=1)
    desk.arrive(lambda: desk.client.orders.amend(order, quantity=D("0.6")))
    desk.ship.dip("grownusdt", 49_900, 0.4)
    until(lambda: desk.client.orders.get(order).quantity == D("0.6"))
    assert desk.client.orders.get(order).filled_quantity == D("0.4")
    desk.agree()
    desk.ship.dip("grownusdt", 49_900, 5.0)
    desk.until(order, lambda state: state == "FILLED")
    desk.agree()
    assert desk.ship.position("grownusdt") == D("0.6")


def test_an_amendment_to_less_than_was_filled_meanwhile(desk: Desk) -> None:
    """F17: refused (110064); the order goes on as it was."""
    order = desk.rest("cutusdt", "1.0")
    desk.ship.fault(match={"path": AMEND}, do="delay_accept", ms=800, count=1)
    desk.arrive(lambda: desk.client.orders.amend(order, quantity=D("0.3")))
    desk.ship.dip("cutusdt", 49_900, 0.4)
    until(lambda: [entry for entry in desk.ship.simulator.truth.of("request") if entry.data["code"] == 110064])
    desk.until(order, lambda state: state == "PARTIALLY_FILLED")
    desk.agree()
    left = desk.client.orders.get(order)
    assert (left.quantity, left.filled_quantity) == (D("1.0"), D("0.4"))
    desk.client.orders.cancel(order)
    desk.until(order, lambda state: state == "CANCELED")
    desk.agree()


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("rule", [CODES_AND_PAGES[0], CODES_AND_PAGES[-1]], ids=["code", "page"])
def test_a_doubtful_answer_to_a_change_and_to_a_cancel(desk: Desk, rule: dict[str, Any], taken: bool) -> None:
    """F12: what came of it is what the stream tells, and the wish may be told again."""
    order = desk.rest("askedusdt", "0.1")
    desk.ship.fault(match={"path": AMEND}, after=taken, count=1, **rule)
    desk.arrive(lambda: desk.client.orders.amend(order, limit_price=D(49_800)))
    desk.agree()
    assert desk.client.orders.get(order).limit_price == D(49_800 if taken else 49_900)
    desk.ship.fault(match={"path": CANCEL}, after=taken, count=1, **rule)
    desk.arrive(lambda: desk.client.orders.cancel(order))
    desk.agree()
    if desk.state(order) != "CANCELED":
        assert not taken
        desk.client.orders.cancel(order)
        desk.until(order, lambda state: state == "CANCELED")
    desk.agree()


def test_canceled_when_a_part_was_filled(desk: Desk) -> None:
    """F19: the part is booked, the rest is free, and the stop covers what is held."""
    order = desk.rest("halfusdt", "1.0", stop_loss=D(49_000))
    desk.ship.dip("halfusdt", 49_900, 0.4)
    desk.until(order, lambda state: state == "PARTIALLY_FILLED")
    desk.client.orders.cancel(order)
    desk.until(order, lambda state: state == "CANCELED")
    desk.agree()
    assert desk.client.orders.get(order).filled_quantity == D("0.4")
    (stop,) = desk.client.orders.list(instrument="halfusdt", open_only=True)
    assert (stop.role, stop.quantity, stop.trigger_price) == ("STOP_LOSS", D("0.4"), D(49_000))
    desk.ship.quote(48_990.0, "halfusdt")
    desk.until(stop.id, lambda state: state == "FILLED")
    desk.agree()
    assert desk.ship.position("halfusdt") == 0


def test_a_market_order_that_finds_too_little(desk: Desk) -> None:
    """F19: Bybit's market orders are immediate or cancel."""
    desk.ship.sizes["thinusdt"] = 0.04
    time.sleep(0.5)  # until it is quoted so
    order = desk.order("thinusdt", "0.1", stop_loss=D(49_000))
    desk.until(order, lambda state: state in ("CANCELED", "EXPIRED"))
    desk.agree()
    assert desk.client.orders.get(order).filled_quantity == D("0.04")
    (stop,) = desk.client.orders.list(instrument="thinusdt", open_only=True)
    assert (stop.role, stop.quantity) == ("STOP_LOSS", D("0.04"))


@pytest.mark.parametrize(("symbol", "keeps_link"), [("largeusdt", True), ("namelessusdt", False)])
def test_one_order_that_becomes_three(desk: Desk, symbol: str, keeps_link: bool) -> None:
    """F21: Bybit splits what only reduces and is too large; whatever it calls the parts, they close the position."""
    desk.ship.simulator.settings.split_keeps_link = keeps_link
    for _ in range(3):
        desk.until(desk.order(symbol, "0.09"), lambda state: state == "FILLED")
    (order,) = desk.client.positions.close(symbol).orders
    desk.ship.repeated.add(order.link_id)
    until(lambda: desk.ship.position(symbol) == 0)
    desk.until(order.id, lambda state: state in ("FILLED", "CANCELED"))
    desk.agree()
    if keeps_link:
        told = desk.client.orders.get(order.id)
        assert (told.state, told.filled_quantity) == ("FILLED", D("0.27"))
        assert len(list(desk.client.fills.list(order=order.id))) == 3
    assert desk.client.positions.get(symbol).quantity == 0


@pytest.mark.parametrize("taken", [True, False])
def test_a_close_in_doubt(desk: Desk, taken: bool) -> None:
    """F18: a close is a batch of one; that it went through as a whole says nothing of what is in it."""
    desk.until(desk.order("leggedusdt", "0.1"), lambda state: state == "FILLED")
    desk.ship.fault(match={"path": CREATE_BATCH, "leg": 1}, do="code", code=10016, after=taken, count=1)
    (order,) = desk.client.positions.close("leggedusdt").orders
    desk.until(order.id, lambda state: state == ("FILLED" if taken else "UNKNOWN"))
    if not taken:
        return  # it is proved absent with the others, below
    desk.agree()
    assert desk.ship.position("leggedusdt") == 0


def test_lists_that_are_behind(desk: Desk) -> None:
    """F16: what they still show works no more, what they do not show yet does, and no second stop is placed for it."""
    desk.ship.simulator.settings.read_lag = 3_000_000_000
    canceled = desk.rest("staleusdt", "0.1")
    time.sleep(3)  # until the lists show it
    desk.client.orders.cancel(canceled)
    desk.until(canceled, lambda state: state == "CANCELED")
    entry = desk.order("phantomusdt", "0.1", stop_loss=D(49_000))
    desk.until(entry, lambda state: state == "FILLED")
    with SyncClient.connect(desk.ship.daemon.address, options=PATIENT) as patient:
        assert not patient.system.reconcile().differences  # looks until nothing can be out of sight
    assert desk.state(canceled) == "CANCELED"
    (stop,) = desk.client.orders.list(instrument="phantomusdt", open_only=True)
    assert (stop.role, stop.state) == ("STOP_LOSS", "OPEN")
    desk.ship.simulator.settings.read_lag = 0
    desk.agree()


def test_orders_that_were_never_taken_are_proved_absent(lost: dict[str, str], desk: Desk) -> None:
    """F12: every list was asked twice, at a time when none of them could be under way or out of sight."""
    end = time.monotonic() + 60
    while still := {rule: state for order, rule in lost.items() if (state := desk.state(order)) != "ABSENT"}:
        assert set(still.values()) == {"UNKNOWN"}, still
        assert time.monotonic() < end, still
        time.sleep(0.2)
    until(lambda: not desk.client.system.status().unknown_orders)
    desk.agree()


def test_a_batch_of_which_some_fail(desk: Desk) -> None:
    """F18: each order has its own outcome: two are in doubt, of which one was canceled; one is refused and works on."""
    orders = [desk.rest(symbol, "0.01") for symbol in TAKEN[:12]]
    for leg, code, done in ((1, 10016, False), (2, 10016, True), (3, 110001, False)):
        desk.ship.fault(match={"path": CANCEL_BATCH, "leg": leg}, do="code", code=code, after=done, count=1)
    used = desk.ship.simulator.faults.used
    desk.client.orders.cancel_all()
    until(lambda: [desk.state(order) for order in orders].count("CANCELED") == 11)
    assert desk.ship.simulator.faults.used == used + 3
    desk.agree()
    (refused,) = [order for order in orders if desk.state(order) == "OPEN"]
    desk.client.orders.cancel(refused)
    desk.until(refused, lambda state: state == "CANCELED")
    desk.agree()


def test_an_id_that_may_be_used_again_was(desk: Desk) -> None:
    """F14: the network repeats an order and Bybit takes both: booked as it is, and nothing new until one has looked."""
    desk.ship.simulator.settings.link_ids = LinkIds.OPEN_ONLY
    desk.ship.fault(match={"path": CREATE, "symbol": "AGAINUSDT"}, do="twice", count=1)
    order = desk.order("againusdt", "0.1")
    until(lambda: desk.client.orders.get(order).filled_quantity == D("0.2"))
    until(lambda: not desk.ship.differences(desk.client))
    status = desk.client.system.status()
    assert status.state == "SAFE"
    assert any("filled beyond its quantity" in reason for reason in status.reasons)
