"""The trade socket: REST's methods in another envelope, its own ids, and a service that restarts."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import aiohttp
import pytest
from pybit.unified_trading import WebSocketTrading

from quarterdeck_bybit_simulator import SimulatorServer
from quarterdeck_bybit_simulator.gate import signature
from quarterdeck_bybit_simulator.sockets import Kind

ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.1", "price": "40000"}


class Caller:
    """A client of the trade socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._numbers = itertools.count(1)

    async def say(self, **message: Any) -> Any:
        await self.socket.send_json(message)
        return await self.socket.receive_json()

    async def log_in(self, secret: str = "secret", **changes: Any) -> Any:  # noqa: S107 - made up
        expires = int(time.time() * 1000) + 5_000
        args = ["key", expires, signature(secret, f"GET/realtime{expires}")]
        return await self.say(**{"op": "auth", "args": args} | changes)

    async def ask(self, op: str = "order.create", late: int = 0, **changes: Any) -> Any:
        header = {"X-BAPI-TIMESTAMP": str(int(time.time() * 1000) - late), "X-BAPI-RECV-WINDOW": "5000"}
        message = {"reqId": f"r{next(self._numbers)}", "header": header, "op": op, "args": [ORDER]}
        return await self.say(**message | changes)


@pytest.fixture
async def caller(server: SimulatorServer) -> Any:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.socket_url}/v5/trade") as socket:
        yield Caller(socket)


async def test_orders_come_and_go(caller: Caller, server: SimulatorServer) -> None:
    assert (await caller.log_in())["retCode"] == 0
    taken = await caller.ask()
    assert set(taken) == {"reqId", "retCode", "retMsg", "op", "data", "retExtInfo", "header", "connId"}
    assert (taken["retCode"], taken["reqId"], taken["header"]["X-Bapi-Limit-Status"]) == (0, "r1", "9")
    named = {"category": "linear", "symbol": "BTCUSDT", "orderId": taken["data"]["orderId"]}
    assert (await caller.ask("order.amend", args=[named | {"price": "41000"}]))["retCode"] == 0
    assert (await caller.ask("order.cancel", args=[named]))["retCode"] == 0
    both = await caller.ask("order.create-batch", args=[{"category": "linear", "request": [ORDER, {"symbol": "NONE"}]}])
    assert [each["code"] for each in both["retExtInfo"]["list"]] == [0, 10001]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"args": []}, 10001), ({"args": ["key", 1, ""]}, 10004), ({"secret": "other"}, 10004)],
)
async def test_who_may_not_log_in(caller: Caller, changes: dict[str, Any], code: int) -> None:
    assert (await caller.log_in(**changes))["retCode"] == code
    assert (await caller.ask()).get("retCode") != 0


async def test_nobody_logs_in_twice(caller: Caller) -> None:
    await caller.log_in()
    assert (await caller.log_in())["retCode"] == 20001


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"op": "order.vanish"}, 10404),
        ({"op": "order.cancel-all"}, 10404),
        ({"reqId": "x" * 37}, 10001),
        ({"late": 6_000}, 10002),
        ({"header": {}}, 10001),
        ({"args": [ORDER, ORDER]}, 10001),
    ],
)
async def test_what_is_turned_away(caller: Caller, changes: dict[str, Any], code: int) -> None:
    await caller.log_in()
    assert (await caller.ask(**changes))["retCode"] == code


async def test_an_id_is_good_for_one_request(caller: Caller) -> None:
    await caller.log_in()
    assert (await caller.ask(reqId="once"))["retCode"] == 0
    assert (await caller.ask(reqId="once"))["retCode"] == 20006


async def test_limits_are_those_of_the_user(caller: Caller, server: SimulatorServer) -> None:
    await caller.log_in()
    codes = [(await caller.ask())["retCode"] for _ in range(11)]
    assert codes == [0] * 10 + [10006]
    server.simulator.settings.operation_limit = 11
    assert (await caller.ask())["retCode"] == 10403


async def test_a_service_that_restarts_serves_new_connections(caller: Caller, server: SimulatorServer) -> None:
    await caller.log_in()
    server.restart_trade_service()
    assert (await caller.ask())["retCode"] == 10019
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.socket_url}/v5/trade") as socket:
        other = Caller(socket)
        await other.log_in()
        assert (await other.ask())["retCode"] == 0


async def test_too_many_connections_are_turned_away(server: SimulatorServer) -> None:
    server.simulator.settings.connection_limit = 1
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.socket_url}/v5/trade"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await session.ws_connect(f"{server.socket_url}/v5/trade")


@pytest.mark.parametrize(("after", "there"), [(False, 0), (True, 1)])
async def test_faults_say_whether_it_was_done(caller: Caller, server: SimulatorServer, after: bool, there: int) -> None:
    await caller.log_in()
    server.simulator.faults.add({"match": {"path": "order.create"}, "do": "code", "code": 10429, "after": after})
    assert (await caller.ask())["retCode"] == 10429
    assert len(server.simulator.truth.of("order")) == there


async def test_pybit(server: SimulatorServer) -> None:
    """Its client for the trade socket works on it unchanged.

    It drops answers that come before it has noted whom to tell, which is after it has sent: so they take a moment here.
    """
    for operation in ("order.create", "order.cancel"):
        server.simulator.faults.add({"match": {"path": operation}, "do": "delay_answer", "ms": 200})

    def session() -> list[dict[str, Any]]:
        class Redirected(WebSocketTrading):  # type: ignore[misc]  # pybit has no types
            def _connect(self, url: str) -> None:
                super()._connect(server.socket_url + url[url.index("/v5/") :])

        told: list[dict[str, Any]] = []
        client = Redirected(testnet=True, api_key="key", api_secret="secret")
        client.place_order(told.append, **ORDER, orderLinkId="p1")
        client.cancel_order(told.append, category="linear", symbol="BTCUSDT", orderLinkId="p1")
        end = time.monotonic() + 10
        while len(told) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        client.exit()
        return told

    told = await asyncio.to_thread(session)
    assert [each["op"] for each in told] == ["order.create", "order.cancel"]
    assert server.sent[Kind.TRADE] >= 3
