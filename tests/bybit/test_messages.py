"""What Bybit says and nobody expects: words, numbers and messages that can't be understood, and trades of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.client import SyncClient
from quarterdeck.domain.market import FundingRate
from tests.bybit.conftest import PERPETUAL, USER, Ship, assert_agrees
from tests.bybit.test_faults import buy_when_heard, state

Wait = Callable[..., None]

#: Seconds for which every new connection is closed.
STORM = 6.0

#: So deep that reading it raises what no parser of messages expects.
DEEP = '{"topic":"execution","data":' + "[" * 100_000 + "]" * 100_000 + "}"
NAN = (
    '{"topic":"execution","id":"1","creationTime":1700000000000,"data":[{"category":"linear","symbol":"BTCUSDT",'
    '"execType":"Trade","orderId":"1","side":"Buy","execTime":"1700000000000","execId":"1","execQty":NaN}]}'
)
NEW = json.dumps({"topic": "horoscope", "id": "1", "creationTime": 1_700_000_000_000, "data": [{"mood": None}]})


def quarantined(ship: Ship) -> list[str]:
    return [line for line in ship.daemon.log.read_text().splitlines() if "line_quarantine" in line]


@pytest.mark.parametrize(
    ("rules", "alerts"),
    [
        pytest.param(
            [
                {"match": {"topic": "order"}, "do": "corrupt", "field": "orderStatus", "value": "Frozen"},
                {"match": {"topic": "wallet"}, "do": "replace", "body": NEW},
            ],
            0,
            id="a status and a topic that are new",
        ),
        pytest.param(
            [{"match": {"topic": "execution"}, "do": "corrupt", "field": "execPrice"}], 1, id="a price is missing"
        ),
        pytest.param(
            [{"match": {"topic": "execution"}, "do": "corrupt", "field": "symbol"}], 1, id="nobody knows of what"
        ),
        pytest.param(
            [{"match": {"topic": "execution"}, "do": "corrupt", "field": "execQty", "value": ""}], 1, id="no number"
        ),
        pytest.param(
            [
                {"match": {"topic": "execution"}, "do": "replace", "body": NAN},
                {
                    "match": {"topic": "wallet"},
                    "do": "replace",
                    "body": json.dumps({"topic": "order", "x": "x" * 9_000_000}),
                },
            ],
            1,
            id="not a number, and nine megabytes",
        ),
        pytest.param(
            [{"match": {"topic": "execution"}, "do": "replace", "body": DEEP}], 1, id="the handler itself raises"
        ),
    ],
)
def test_a_message_that_is_not_understood(
    afloat: Ship, helm: SyncClient, wait: Wait, rules: list[dict[str, Any]], alerts: int
) -> None:
    """F30, F32: put aside with one alert each, and whatever it told of is asked for; nothing falls over."""
    wait(lambda: helm.system.status().state == "READY")
    before = len(quarantined(afloat))
    for rule in rules:
        afloat.fault(**rule, count=1)
    order = buy_when_heard(helm, "0.02")
    wait(lambda: state(helm, order) == "FILLED")
    assert_agrees(afloat, helm, 60)
    assert len(quarantined(afloat)) - before == alerts
    assert len(list(helm.fills.list(order=order))) == 1


def test_a_storm_of_connections(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F31: each is accepted and closed at once; ever fewer are tried, and then it goes on."""
    order = buy_when_heard(helm, "0.02", type="LIMIT", limit_price=Decimal(49_900))
    wait(lambda: state(helm, order) == "OPEN")
    afloat.fault(match={"path": "connect"}, do="close")
    used, before = cpu(afloat), sockets(afloat)
    afloat.running.call(afloat.running.server.drop_all)
    time.sleep(STORM)
    tried = sockets(afloat)[len(before) :]
    assert cpu(afloat) - used < STORM / 2
    for kind in set(tried):
        assert tried.count(kind) <= 9, tried  # without a growing wait it would be two dozen
    wait(lambda: all(sockets(afloat)[len(before) :].count(kind) >= 2 for kind in set(before)))  # and none is given up
    assert helm.system.status().state == "SAFE"
    afloat.quote(49_800.0)
    afloat.mend()
    wait(lambda: state(helm, order) == "FILLED", 60)
    assert_agrees(afloat, helm, 60)


def sockets(ship: Ship) -> list[str]:
    """The kinds of all sockets that were ever opened."""
    found = ship.running.call(lambda: ship.simulator.truth.of("socket"))
    return [str(entry.data["of"]) for entry in found if entry.data["open"]]


def cpu(ship: Ship) -> float:
    """Seconds of CPU the daemon has used."""
    fields = Path(f"/proc/{ship.daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_what_bybit_does_with_a_position_itself(afloat: Ship, helm: SyncClient, wait: Wait) -> None:
    """F40: deleveraging, settlement, delivery, corporate actions and funding are booked as what they are."""
    order = buy_when_heard(helm, "0.1")
    wait(lambda: state(helm, order) == "FILLED")
    account = afloat.simulator.accounts[USER]
    kinds = (("AdlTrade", "CreateByAdl_PassThrough"), ("Settle", ""), ("Delivery", ""), ("CorporateAction", ""))
    for kind, made_by in kinds:
        afloat.running.call(partial(account.take_over, PERPETUAL, Decimal("-0.01"), kind, made_by))
        time.sleep(0.3)  # the market moves
    wait(lambda: afloat.position() == Decimal("0.06"))
    for rate in (0.0001, -0.0002):
        afloat.running.call(partial(afloat.simulator.show, FundingRate("btcusdt", time.time_ns(), rate)))
    assert_agrees(afloat, helm)
    made = [one.role for one in helm.orders.list() if one.role == "LIQUIDATION"]
    assert len(made) == len(kinds)
    paid = [each.body for each in helm.events.list(types=["FundingPaid"])]
    assert len(paid) == 2
