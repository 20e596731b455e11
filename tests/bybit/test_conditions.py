"""What surrounds the orders: the rate of requests, the clocks, the process itself, and the key."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.client import QuarterdeckError, SyncClient
from tests.bybit.conftest import Ship, assert_agrees
from tests.bybit.test_faults import buy, state

Wait = Callable[..., None]
SECOND = 1_000_000_000

#: What Bybit answers to a key that is wrong, or may not, or not from here, or has expired.
DEAD = (10003, 10004, 10005, 10010, 33004)

#: Seconds after which Bybit has been asked for its time again.
ADJUSTED = 6.0


def asked(ship: Ship, path: str = "") -> list[Mapping[str, Any]]:
    """The requests that reached Bybit, those it turned away included."""
    found = ship.running.call(lambda: ship.simulator.truth.of("request") + ship.simulator.truth.of("fault"))
    return [entry.data for entry in found if path in str(entry.data["path"])]


def test_a_storm_of_refusals_for_rate_while_the_kill_switch_is_pulled(
    afloat: Ship, helm: SyncClient, wait: Wait
) -> None:
    """F33: what rests is taken off within three seconds, and no order is tried again."""
    resting = [buy(helm, "0.01", type="LIMIT", limit_price=Decimal(48_000)) for _ in range(5)]
    wait(lambda: all(state(helm, one) == "OPEN" for one in resting))
    afloat.fault(match={"path": "/v5/order/create"}, do="code", code=10006)
    before = len(asked(afloat, "/order/create"))
    order = buy(helm, "0.01")
    wait(lambda: state(helm, order) == "UNKNOWN")
    for _ in range(5):
        with pytest.raises(QuarterdeckError):
            buy(helm, "0.01")
    began = time.monotonic()
    helm.risk.engage_kill_switch("a drill")
    wait(lambda: all(state(helm, one) == "CANCELED" for one in resting))
    assert time.monotonic() - began < 3
    assert len(asked(afloat, "/order/create")) == before + 1
    afloat.mend()
    wait(lambda: state(helm, order) == "ABSENT", 60)
    assert len(asked(afloat, "/order/create")) == before + 1


def test_bybits_clock_is_another(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F35: what was signed by the old time is refused and not tried again; within seconds the new time is known."""
    settings = afloat.simulator.settings
    for seconds in (2, -6, 0):
        settings.clock_offset = seconds * SECOND
        assert outcome(helm, wait) in ("FILLED", "REJECTED")
        time.sleep(ADJUSTED)
        assert outcome(helm, wait) == "FILLED"
        assert_agrees(afloat, helm, 60)


def test_bybits_clock_drifts_and_jumps_by_an_hour(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F35: 200 ms a second are followed; an hour is not, since what happened could not be asked for by its time."""
    settings = afloat.simulator.settings
    for _ in range(3):
        settings.clock_offset += SECOND // 5
        time.sleep(1)
        assert outcome(helm, wait) == "FILLED"
    settings.clock_offset = -3_600 * SECOND
    wait(lambda: helm.system.status().state == "SAFE")
    assert any("clock is 3,600 s ahead" in reason for reason in helm.system.status().reasons)
    with pytest.raises(QuarterdeckError):
        buy(helm, "0.01")
    settings.clock_offset = 0
    wait(lambda: helm.system.status().state == "READY", 60)
    assert outcome(helm, wait) == "FILLED"


def outcome(client: SyncClient, wait: Wait) -> str:
    """What becomes of an order."""
    order = buy(client, "0.01")
    wait(lambda: state(client, order) in ("FILLED", "REJECTED", "NOT_SENT"))
    return state(client, order)


def test_a_daemon_that_is_frozen_and_wakes(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F36: what happened meanwhile is known before anything leaves, and nothing leaves stale."""
    resting = buy(helm, "0.02", type="LIMIT", limit_price=Decimal(49_900))
    held = buy(helm, "0.03", stop_loss=Decimal(49_500))
    wait(lambda: state(helm, held) == "FILLED" and state(helm, resting) == "OPEN")
    before = len(asked(afloat, "/order/create"))
    process = afloat.daemon.process
    process.send_signal(signal.SIGSTOP)
    try:
        afloat.quote(49_800.0)
        afloat.trade_by_hand("Buy", "0.01")
        wait(lambda: afloat.position() == Decimal("0.06"))
        afloat.quote(49_400.0)
        wait(lambda: afloat.position() == Decimal("0.03"))
        time.sleep(6)
    finally:
        process.send_signal(signal.SIGCONT)
    assert_agrees(afloat, helm, 60)
    assert state(helm, resting) == "FILLED"
    assert len(asked(afloat, "/order/create")) == before


def test_the_key_dies(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F38: SAFE, with the reason, within a few questions; the position keeps its stop."""
    paths = ("order/create", "order/cancel", "order/realtime", "order/history", "execution/list", "position/list",
             "account/wallet-balance", "account/transaction-log", "account/fee-rate")  # fmt: skip
    for number, path in enumerate(paths):
        afloat.fault(match={"path": f"/v5/{path}"}, do="code", code=DEAD[number % len(DEAD)])
    wait(lambda: helm.system.status().state == "SAFE", 60)
    assert any(str(code) in reason for code in DEAD for reason in helm.system.status().reasons), (
        helm.system.status().reasons
    )
    before, began = len(asked(afloat)), time.monotonic()
    time.sleep(3)
    assert (len(asked(afloat)) - before) / (time.monotonic() - began) < 8
    with pytest.raises(QuarterdeckError):
        buy(helm, "0.01")


def test_a_key_that_will_end_is_told_of(ship: Ship) -> None:
    """F38: fourteen days ahead."""
    ends = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    settings = ship.simulator.settings
    settings.members = tuple(replace(one, expires=ends) for one in settings.members)
    ship.simulator.accounts[settings.members[0].user_id].member = settings.members[0]
    ship.start()
    assert "bybit_key_expires" in ship.daemon.log.read_text()
