"""`quarterdeck bybit check` against a simulator that can be one Bybit or the other: it has to tell them apart."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.domain.market import Quote
from quarterdeck.plugin import ConfigError
from quarterdeck_bybit_simulator import LinkIds, Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.catalog import BTC, BTC_SPOT
from quarterdeck_bybit_simulator.fixtures import API_KEY, API_SECRET
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitSettings
from quarterdeck_exchange_bybit.check import streams
from quarterdeck_exchange_bybit.check.report import Answer, Finding
from quarterdeck_exchange_bybit.check.run import check, questions

CONFIRMED, DIFFERENT, NOT_CHECKED = Finding.CONFIRMED, Finding.DIFFERENT, Finding.NOT_CHECKED


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSimulator]:
    monkeypatch.setenv("SIMULATED_API_KEY", API_KEY)
    monkeypatch.setenv("SIMULATED_API_SECRET", API_SECRET)
    monkeypatch.setattr(streams, "BOOK_SECONDS", 1.0)
    member = Member(API_KEY, API_SECRET, addresses=("10.0.0.1",))
    with RunningSimulator(Simulator([BTC, BTC_SPOT], SimulatorSettings(members=(member,)))) as running:
        sizes = cycle((5.0, 5.1))

        def show() -> None:
            size = next(sizes)
            for symbol in ("btcusdt", "btcusdt-spot"):
                running.simulator.show(Quote(symbol, time.time_ns(), 50_000.0, size, 50_000.1, size))

        running.call(show)
        ended = threading.Event()

        def move() -> None:
            while not ended.wait(0.2):
                running.call(show)

        mover = threading.Thread(target=move, daemon=True)
        mover.start()
        yield running
        ended.set()
        mover.join()


def turn(running: RunningSimulator, **settings: Any) -> None:
    for name, value in settings.items():
        running.call(lambda name=name, value=value: setattr(running.simulator.settings, name, value))  # type: ignore[misc]  # bound early


def settings_for(running: RunningSimulator, symbol: str = "btcusdt") -> BybitSettings:
    url = running.server.socket_url
    site = {"rest": running.server.rest_url, "private": url, "public": url}
    table = {"environment": "testnet", "symbols": [symbol], "credentials": "env:SIMULATED", "simulator": site}
    return BybitSettings.model_validate(table)


async def answers(running: RunningSimulator, *allowed: str, symbol: str = "btcusdt") -> dict[str, Answer]:
    lines, left = await check(settings_for(running, symbol), allowed, dcp_window=3)
    assert left == []
    account = next(iter(running.simulator.accounts.values()))
    assert await asyncio.to_thread(running.call, account.open_orders) == []
    assert await asyncio.to_thread(running.call, lambda: account.quantity("btcusdt")) == Decimal(0)
    return {line.name: line.answer for line in lines}


def found(report: dict[str, Answer], finding: Finding) -> set[str]:
    return {name for name, answer in report.items() if answer.finding is finding}


async def test_all_is_as_assumed(running: RunningSimulator) -> None:
    report = await answers(running, "fill")
    assert found(report, DIFFERENT) == set(), report
    assert found(report, NOT_CHECKED) == {"dcp-stops"}, report
    assert report["link-closed"].evidence == "refused with 110072: OrderLinkedID is duplicate"


async def test_a_pair_is_asked_about_what_is_particular_to_pairs(running: RunningSimulator) -> None:
    report = await answers(running, "fill", symbol="btcusdt-spot")
    assert report.keys() == {each.name for each in questions("spot")}
    assert report.keys() > {"market-unit", "fee-coin", "cancel-all", "book"}
    assert found(report, CONFIRMED) == report.keys(), report
    held = running.call(next(iter(running.simulator.accounts.values())).venue.balances)
    assert held.get("BTC", 0) < BTC_SPOT.min_quantity  # all of it was sold again


async def test_without_leave_nothing_is_traded(running: RunningSimulator) -> None:
    report = await answers(running)
    assert found(report, NOT_CHECKED) == {each.name for each in questions("linear") if each.needs}
    assert running.call(lambda: running.simulator.truth.of("execution")) == []


async def test_ids_that_may_be_used_again_are_told(running: RunningSimulator) -> None:
    turn(running, link_ids=LinkIds.OPEN_ONLY)
    report = await answers(running)
    assert found(report, DIFFERENT) == {"link-closed"}
    assert report["link-open"].finding is CONFIRMED
    assert "accepted" in report["link-closed"].evidence


@pytest.mark.slow
@pytest.mark.parametrize(("keeps", "finding"), [(True, CONFIRMED), (False, DIFFERENT)])
async def test_what_disconnection_protection_leaves(running: RunningSimulator, keeps: bool, finding: Finding) -> None:
    turn(running, dcp_keeps_stops=keeps)
    assert (await answers(running, "dcp"))["dcp-stops"].finding is finding


async def test_slow_queries_are_told_and_hide_nothing_that_has_to_go(running: RunningSimulator) -> None:
    turn(running, visibility_delay=500_000_000)
    report = await answers(running)
    assert report["visible"].finding is CONFIRMED
    assert int(report["visible"].evidence.split("found ")[1].split()[0]) >= 400


async def test_an_instrument_that_is_traded_is_left_alone(running: RunningSimulator) -> None:
    user = next(iter(running.simulator.accounts))
    running.call(lambda: running.simulator.trade_elsewhere(user, "btcusdt", "Buy", Decimal("0.01")))
    with pytest.raises(ConfigError, match="btcusdt has 0 open orders or a position"):
        await check(settings_for(running))
    assert running.call(lambda: running.simulator.accounts[user].quantity("btcusdt")) == Decimal("0.01")


def test_live_needs_a_word_more(running: RunningSimulator) -> None:
    done = command("--environment", "live", "--credentials", "env:SIMULATED")
    assert done.returncode == 1
    assert "real money; give --live-money" in done.stderr


@pytest.mark.slow
def test_the_command_reports(running: RunningSimulator) -> None:
    turn(running, link_ids=LinkIds.OPEN_ONLY)
    options = ("--environment", "testnet", "--credentials", "env:SIMULATED", "--simulator", running.server.address)
    done = command(*options, "--json")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout.strip().rpartition("\n")[2])["check"]
    assert (report["different"], report["left"]) == (1, [])
    assert [each["name"] for each in report["answers"]] == [each.name for each in questions("linear")]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "quarterdeck"
    return subprocess.run(
        [program, "bybit", "check", *words], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
