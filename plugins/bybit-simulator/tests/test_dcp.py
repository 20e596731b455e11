"""Disconnection protection: who is not heard for a while loses orders, and Bybit does not say which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck_bybit_simulator.sockets import Kind, Socket, Sockets

SET, INFO = "/v5/order/disconnected-cancel-all", "/v5/account/query-dcp-info"


class Network:
    """Sockets without a network; what is to happen later happens when it is told to."""

    def __init__(self, desk: Any) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.sockets = Sockets(desk.simulator, lambda delay, act: self.waiting.append((delay, act)), lambda _: None)
        self._member = desk.simulator.settings.members[0]

    def listen(self, *topics: str) -> Socket:
        socket = Socket(Kind.PRIVATE, "x", lambda _: None, member=self._member, topics=set(topics))
        self.sockets.open.add(socket)
        return socket

    def wait(self) -> None:
        for _, act in self.waiting:
            act()
        self.waiting.clear()


def orders(desk: Any) -> set[str]:
    rows = desk.call("/v5/order/realtime", category="linear", symbol="BTCUSDT")["result"]["list"]
    return {row["orderLinkId"] for row in rows}


def prepare(desk: Any) -> Network:
    desk.place(orderLinkId="plain")
    stop = {"orderType": "Market", "side": "Sell", "triggerPrice": "45000", "triggerDirection": 2, "reduceOnly": False}
    assert desk.place(orderLinkId="stop", **stop)["retCode"] == 0
    assert desk.call(SET, product="DERIVATIVES", timeWindow=10)["retCode"] == 0
    return Network(desk)


@pytest.mark.parametrize(("keeps", "left"), [(True, {"stop"}), (False, set())])
def test_both_variants(desk: Any, keeps: bool, left: set[str]) -> None:
    desk.simulator.settings.dcp_keeps_stops = keeps
    network = prepare(desk)
    network.sockets.leave(network.listen("order", "dcp.future"))
    assert [delay for delay, _ in network.waiting] == [10]
    network.wait()
    assert orders(desk) == left


def test_only_connections_that_listen_for_it_count(desk: Any) -> None:
    network = prepare(desk)
    first, deaf = network.listen("order", "dcp.future"), network.listen("order")
    network.sockets.leave(deaf)
    assert not network.waiting
    second = network.listen("dcp.future")
    network.sockets.leave(first)
    assert not network.waiting, "another one still listens"
    network.sockets.leave(second)
    network.listen("dcp.future")
    network.wait()
    assert orders(desk) == {"plain", "stop"}, "one that is back in time keeps them"


def test_it_is_not_for_everybody(desk: Any) -> None:
    desk.simulator.settings.dcp_is_offered = False
    assert desk.call(SET, product="DERIVATIVES", timeWindow=10)["retCode"] == 10005
    assert desk.call(INFO)["result"] == {"dcpInfos": []}


@pytest.mark.parametrize("given", [{"timeWindow": 2}, {"timeWindow": 301}, {"timeWindow": 10, "product": "CASH"}])
def test_what_it_does_not_take(desk: Any, given: dict[str, Any]) -> None:
    assert desk.call(SET, **given)["retCode"] == 10001


def test_it_says_what_is_set(desk: Any) -> None:
    desk.call(SET, product="SPOT", timeWindow=20)
    assert desk.call(INFO)["result"]["dcpInfos"] == [{"product": "SPOT", "dcpStatus": "ON", "timeWindow": "20"}]
