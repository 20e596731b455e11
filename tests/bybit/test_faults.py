"""What can go wrong between a daemon and Bybit, one thing at a time. In the end both hold the same, to the cent."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.client import QuarterdeckError, RiskRefused, SyncClient
from tests.bybit.conftest import USER, Ship

Wait = Callable[..., None]
CREATE = "/v5/order/create"


def buy(client: SyncClient, quantity: str = "0.1", **more: Any) -> str:
    """Buy at the market; returns the order's id."""
    terms: dict[str, Any] = {"instrument": "btcusdt", "side": "BUY", "type": "MARKET"} | more
    return client.orders.create(quantity=Decimal(quantity), **terms).order.id


def buy_when_heard(client: SyncClient, quantity: str = "0.1", **more: Any) -> str:
    """The same, after things that may have the stream made anew at any moment."""
    end = time.monotonic() + 60
    while True:
        try:
            return buy(client, quantity, **more)
        except RiskRefused as refused:
            if "UNHEARD" not in str(refused) or time.monotonic() > end:
                raise
            time.sleep(0.2)


def state(client: SyncClient, order: str) -> str:
    return client.orders.get(order).state


def is_ready(client: SyncClient) -> bool:
    return client.system.status().state == "READY"


@pytest.fixture
def client(ship: Ship) -> Any:
    ship.start()
    with ship.client() as client:
        yield client


def check(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """Both hold the same, nothing was sent twice, and the daemon is ready again."""
    wait(lambda: ship.agrees(client))
    wait(lambda: is_ready(client))
    ours = [link for link in ship.creates() if link.startswith("a1-")]
    assert len(ours) == len(set(ours))


def test_the_answer_is_lost_and_the_order_was_taken(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F09."""
    ship.fault(match={"path": CREATE}, do="accept_then_drop", count=1)
    order = buy(client)
    wait(lambda: state(client, order) == "FILLED")
    check(ship, client, wait)
    assert len(ship.creates()) == 1


def test_the_request_is_lost_and_proved_absent(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F10: unknown until nothing can be on its way or out of sight any more; meanwhile the instrument takes no risk."""
    ship.fault(match={"path": CREATE}, do="drop_request", count=1)
    order = buy(client)
    wait(lambda: state(client, order) == "UNKNOWN")
    with pytest.raises(QuarterdeckError):
        buy(client)
    assert client.system.status().unknown_orders
    wait(lambda: state(client, order) == "ABSENT", 60)
    assert ship.creates() == []
    order = buy(client)
    wait(lambda: state(client, order) == "FILLED")
    check(ship, client, wait)


def test_the_order_is_taken_after_we_gave_up(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F11."""
    ship.fault(match={"path": CREATE}, do="delay_accept", ms=1_300, count=1)
    order = buy(client)
    wait(lambda: state(client, order) == "FILLED")
    check(ship, client, wait)
    assert len(ship.creates()) == 1


def test_taken_and_rejected_a_moment_later(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F13."""
    order = buy(client, type="LIMIT", limit_price=Decimal(50_001), time_in_force="POST_ONLY")
    wait(lambda: state(client, order) in ("CANCELED", "REJECTED"))
    assert "PostOnly" in client.orders.get(order).reason
    check(ship, client, wait)


def test_an_order_that_comes_in_sight_late(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F20: not found for five seconds, and there all the time."""
    ship.simulator.settings.visibility_delay = 5_000_000_000
    ship.fault(match={"path": CREATE}, do="accept_then_drop", count=1)
    ship.fault(match={"topic": "*"}, do="mute", count=20)
    order = buy(client, type="LIMIT", limit_price=Decimal(48_000))
    wait(lambda: state(client, order) == "OPEN", 60)
    ship.mend()
    check(ship, client, wait)


def test_fills_during_a_break_of_the_stream(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F22."""
    orders = [buy(client, "0.01", type="LIMIT", limit_price=Decimal(49_900)) for _ in range(5)]
    wait(lambda: all(state(client, order) == "OPEN" for order in orders))
    ship.fault(match={"path": "auth"}, do="code", code=10003)
    ship.running.call(ship.running.server.drop_all)
    wait(lambda: client.system.status().state == "SAFE")
    with pytest.raises(QuarterdeckError):
        buy(client)
    ship.quote(49_800.0)
    wait(lambda: ship.position() == Decimal("0.05"))
    ship.mend()
    wait(lambda: all(state(client, order) == "FILLED" for order in orders), 60)
    check(ship, client, wait)


def test_a_mute_stream_is_noticed(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F23: pings are answered and nothing is told; noticed within fifteen seconds."""
    ship.fault(match={"topic": "*"}, do="mute")
    began = time.monotonic()
    order = buy(client)
    wait(lambda: client.system.status().state == "SAFE", 16)
    assert time.monotonic() - began < 16
    ship.mend()
    wait(lambda: state(client, order) == "FILLED", 60)
    check(ship, client, wait)


def test_executions_told_many_times_and_in_any_order(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F26, F27."""
    ship.fault(match={"topic": "*"}, do="dup", times=5, shuffle_ms=500)
    orders = [buy(client, "0.01", stop_loss=Decimal(49_000)) for _ in range(5)]
    wait(lambda: all(state(client, order) == "FILLED" for order in orders))
    time.sleep(1)  # the last copies
    check(ship, client, wait)
    assert len(list(client.fills.list())) == 5


def test_bybit_turns_our_address_away(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F34: no entry leaves, what protects a position stays, and cancels and exits take the trade socket."""
    order = buy(client, stop_loss=Decimal(49_000))
    resting = buy(client, "0.01", type="LIMIT", limit_price=Decimal(48_000))
    wait(lambda: state(client, order) == "FILLED" and state(client, resting) == "OPEN")
    ship.fault(match={"path": CREATE}, do="http", status=403, count=1)
    refused = buy(client)
    wait(lambda: state(client, refused) in ("REJECTED", "NOT_SENT"))
    other = buy(client)
    wait(lambda: state(client, other) == "NOT_SENT")
    assert len(ship.creates()) == 2
    stops = [one for one in client.orders.list() if one.role == "STOP_LOSS"]
    assert [stop.state for stop in stops] == ["OPEN"]
    assert any("turns this address away" in remark for remark in client.system.status().exchange_remarks)
    client.orders.cancel(resting)
    wait(lambda: state(client, resting) == "CANCELED")
    client.positions.close("btcusdt")
    wait(lambda: ship.position() == 0)
    operations = ship.running.call(lambda: [one.data["op"] for one in ship.simulator.truth.of("operation")])
    assert operations == ["order.cancel", "order.create-batch"]


def test_maintenance(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F37: nothing becomes final because Bybit does not answer, and it goes on by itself."""
    order = buy(client, "0.01", type="LIMIT", limit_price=Decimal(48_000))
    wait(lambda: state(client, order) == "OPEN")
    ship.simulator.settings.is_in_maintenance = True
    wait(lambda: client.system.status().state == "SAFE", 90)
    assert state(client, order) == "OPEN"
    ship.simulator.settings.is_in_maintenance = False
    check(ship, client, lambda condition: wait(condition, 90))
    assert state(client, order) == "OPEN"


def test_a_liquidation(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F39: the venue takes the position away, and the books are right."""
    account = ship.simulator.accounts[USER]
    ship.running.call(lambda: account.venue.set_leverage("btcusdt", Decimal(100)))
    order = buy(client, "1.5")
    wait(lambda: state(client, order) == "FILLED")
    ship.running.call(lambda: account.adjust("USDT", Decimal(-99_000)))
    wait(lambda: ship.agrees(client))
    ship.quote(49_400.0)
    wait(lambda: ship.position() == 0)
    wait(lambda: ship.agrees(client))
    roles = {one.role for one in client.orders.list()}
    assert "LIQUIDATION" in roles


def test_what_the_owner_does_by_hand(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F41: booked as somebody else's, never adopted, never undone."""
    order = buy(client)
    wait(lambda: state(client, order) == "FILLED")
    ship.trade_by_hand("Sell", "0.3")
    wait(lambda: ship.position() == Decimal("-0.2"))
    check(ship, client, wait)
    assert [one.role for one in client.orders.list() if one.role == "EXTERNAL"] == ["EXTERNAL"]


def test_the_kill_switch_leaves_the_stops(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F44: resting entries go, what protects the position stays."""
    order = buy(client, stop_loss=Decimal(49_000))
    wait(lambda: state(client, order) == "FILLED")
    resting = [buy(client, "0.01", type="LIMIT", limit_price=Decimal(48_000)) for _ in range(5)]
    wait(lambda: all(state(client, one) == "OPEN" for one in resting))
    client.risk.engage_kill_switch("a drill")
    wait(lambda: all(state(client, one) == "CANCELED" for one in resting))
    stops = [one for one in client.orders.list() if one.role == "STOP_LOSS"]
    assert [stop.state for stop in stops] == ["OPEN"]
    assert client.system.status().state == "KILLED"
    client.risk.engage_kill_switch("flat now", mode="FLATTEN")
    wait(lambda: ship.position() == 0)
    wait(lambda: ship.agrees(client))


def test_a_daemon_that_is_killed_with_an_order_under_way(ship: Ship, client: SyncClient, wait: Wait) -> None:
    """F03: accepted, never answered, and the daemon is gone; the next one adopts it."""
    ship.fault(match={"path": CREATE}, do="delay_answer", ms=5_000, count=1)
    order = buy(client, stop_loss=Decimal(49_000))
    wait(lambda: ship.position() == Decimal("0.1"))
    ship.daemon.kill()
    ship.trade_by_hand("Buy", "0.05")
    ship.start()
    wait(lambda: state(client, order) == "FILLED", 60)
    check(ship, client, wait)
    assert ship.position() == Decimal("0.15")
    assert len([link for link in ship.creates() if link]) == 1
