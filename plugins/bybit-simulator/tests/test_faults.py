"""What goes wrong on purpose, seen over the network."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from quarterdeck_bybit_simulator import LinkIds
from quarterdeck_bybit_simulator.gate import signature

MARKET = {"category": "linear", "side": "Buy", "orderType": "Market", "qty": "0.1", "orderLinkId": "a"}


async def post(server: Any, path: str, **params: Any) -> dict[str, Any]:
    body, stamp = json.dumps({"symbol": "BTCUSDT"} | params), str(time.time_ns() // 1_000_000)
    headers = {"X-BAPI-API-KEY": "key", "X-BAPI-TIMESTAMP": stamp, "X-BAPI-RECV-WINDOW": "5000",
               "X-BAPI-SIGN": signature("secret", f"{stamp}key5000{body}")}  # fmt: skip
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.rest_url}{path}", data=body, headers=headers) as answer,
    ):
        return dict(await answer.json())


async def listen(server: Any, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    """A private socket that hears of orders."""
    socket = await session.ws_connect(f"{server.socket_url}/v5/private", autoping=False)
    expires = time.time_ns() // 1_000_000 + 5_000
    await socket.send_json({"op": "auth", "args": ["key", expires, signature("secret", f"GET/realtime{expires}")]})
    assert (await socket.receive_json())["success"]
    await socket.send_json({"op": "subscribe", "args": ["order"]})
    assert (await socket.receive_json())["success"]
    return socket


@pytest.mark.parametrize(("mode", "code", "orders"), [(LinkIds.ALWAYS, 110072, 1), (LinkIds.OPEN_ONLY, 0, 2)])
async def test_a_request_that_arrives_twice(server: Any, mode: LinkIds, code: int, orders: int) -> None:
    server.simulator.settings.link_ids = mode
    server.simulator.faults.add({"match": {"path": "/v5/order/create"}, "do": "twice", "count": 1})
    assert (await post(server, "/v5/order/create", **MARKET))["retCode"] == code
    assert len(server.simulator.truth.of("order")) == orders


async def test_a_rule_may_be_about_one_symbol(server: Any) -> None:
    server.simulator.faults.add({"match": {"path": "/v5/order/create", "symbol": "BTCUSDT"}, "do": "code", "code": 7})
    assert (await post(server, "/v5/order/create", **MARKET))["retCode"] == 7
    assert (await post(server, "/v5/order/create", **MARKET, symbol="ETHUSDT"))["retCode"] == 10001


async def test_a_cancel_that_comes_too_late_is_granted_and_taken_back(server: Any) -> None:
    target = {"category": "linear", "orderLinkId": "a"}
    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        socket = await listen(server, session)
        await post(server, "/v5/order/create", **MARKET)
        server.simulator.faults.add({"match": {"path": "/v5/order/cancel"}, "do": "too_late"})
        assert (await post(server, "/v5/order/cancel", **target))["retCode"] == 0
        rows: list[dict[str, Any]] = []
        while [row["orderStatus"] for row in rows].count("Filled") < 2:
            rows += (await socket.receive_json())["data"]
    filled = [(row["cancelType"], row["rejectReason"]) for row in rows if row["orderStatus"] == "Filled"]
    assert filled == [("UNKNOWN", "EC_NoError"), ("CancelByUser", "EC_OrigClOrdIDDoesNotExist")]


async def test_a_frozen_socket_answers_nothing_and_stays_open(server: Any) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await listen(server, session)
        await socket.ping()
        assert (await socket.receive(5)).type is aiohttp.WSMsgType.PONG
        server.simulator.faults.add({"match": {"path": "ping:private"}, "do": "freeze", "count": 1})
        await socket.send_json({"op": "ping"})
        await socket.ping()
        await post(server, "/v5/order/create", **MARKET)
        with pytest.raises(TimeoutError):
            await socket.receive(0.3)
        assert not socket.closed


async def test_a_message_may_come_late(server: Any) -> None:
    server.simulator.faults.add({"match": {"topic": "order"}, "do": "delay", "ms": 300})
    async with aiohttp.ClientSession() as session:
        socket = await listen(server, session)
        began = time.monotonic()
        await post(server, "/v5/order/create", **MARKET)
        assert (await socket.receive_json(timeout=5))["topic"] == "order"
        assert time.monotonic() - began > 0.25
