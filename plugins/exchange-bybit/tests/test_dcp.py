"""Disconnection protection: set, read back and told; never needed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from quarterdeck.domain.order import OrderType
from quarterdeck.domain.report import Opened
from quarterdeck.plugin import Remarking
from quarterdeck_bybit_simulator.sockets import Kind
from quarterdeck_exchange_bybit import BybitExchange, BybitSettings, dcp

USER = 10_000_001


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcp, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(dcp, "AGAIN_SECONDS", 0.2)


@pytest.fixture
def settings(settings: BybitSettings) -> BybitSettings:
    return BybitSettings.model_validate(settings.model_dump() | {"dcp_seconds": 3})


def says(desk: Any, what: str) -> bool:
    return any(what in remark for remark in desk.exchange.remarks())


def turn(desk: Any, **changes: Any) -> None:
    def change() -> None:
        for name, value in changes.items():
            setattr(desk.running.simulator.settings, name, value)

    desk.running.call(change)


async def test_it_is_set_and_read_back(desk: Any, wait: Any) -> None:
    assert isinstance(desk.exchange, Remarking)
    await wait(lambda: says(desk, "disconnection protection: on: 3 s for DERIVATIVES"))
    (private,) = [each for each in desk.running.server._live if each.kind is Kind.PRIVATE]
    assert "dcp.future" in private.topics


async def test_somebody_who_turns_it_off_is_corrected(desk: Any, wait: Any) -> None:
    account = desk.running.simulator.accounts[USER]
    await wait(lambda: says(desk, "on: 3 s"))
    desk.running.call(lambda: account.dcp.update(DERIVATIVES=40))
    await wait(lambda: account.dcp["DERIVATIVES"] == 3)
    await wait(lambda: says(desk, "on: 3 s"))


async def test_an_account_that_may_not_have_it_trades_without(desk: Any, wait: Any) -> None:
    turn(desk, dcp_is_offered=False)
    desk.running.call(desk.running.simulator.accounts[USER].dcp.clear)
    await wait(lambda: says(desk, "disconnection protection: not available: 10005"))
    assert desk.exchange.is_live


async def test_a_topic_that_is_refused_is_told(running: Any, settings: BybitSettings, wait: Any) -> None:
    rule = {"match": {"path": "subscribe:dcp.future"}, "do": "code"}
    running.call(lambda: running.simulator.faults.add(rule))
    exchange = BybitExchange(settings)
    await exchange.instruments()
    await exchange.open(lambda _: None)
    await wait(lambda: any("not available: dcp.future" in remark for remark in exchange.remarks()))
    assert running.simulator.accounts[USER].dcp == {}, "where it could not act it is not set either"
    await exchange.close()


async def test_an_answer_that_does_not_come_is_not_known(desk: Any, wait: Any) -> None:
    desk.fault(match={"path": "/v5/account/query-dcp-info"}, do="http", status=502)
    await wait(lambda: says(desk, "disconnection protection: not known"))
    desk.mend()
    await wait(lambda: says(desk, "on: 3 s"))


@pytest.mark.parametrize(("keeps", "left"), [(True, ["a1-stop"]), (False, [])])
async def test_what_is_left_when_it_has_acted(desk: Any, wait: Any, keeps: bool, left: list[str]) -> None:
    turn(desk, dcp_keeps_stops=keeps)
    await wait(lambda: says(desk, "on: 3 s"))
    await desk.place("a1-x", OrderType.LIMIT, limit_price=Decimal(40_000))
    await desk.place("a1-stop", OrderType.STOP, trigger_price=Decimal(60_000))
    await wait(lambda: desk.of(Opened, "a1-x") and desk.of(Opened, "a1-stop"))
    desk.fault(match={"path": "auth"}, do="code", code=10003)
    desk.running.call(desk.running.server.drop_all)
    orders = desk.running.simulator.accounts[USER].open_orders
    await wait(lambda: [order.link_id for order in desk.running.call(orders)] == left)
    desk.mend()
    await wait(lambda: desk.exchange.is_live)
    assert [order.link_id for order in await desk.exchange.open_orders()] == left


@pytest.mark.parametrize("seconds", [2, 301])
def test_how_long_it_may_wait(seconds: int) -> None:
    with pytest.raises(ValidationError, match="dcp_seconds"):
        BybitSettings.model_validate({"environment": "testnet", "symbols": ["btcusdt"], "dcp_seconds": seconds})
