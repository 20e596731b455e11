"""The exchange against a simulated Bybit, over real sockets, by the suite every exchange has to pass."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import ClassVar

import pytest

from quarterdeck.domain.market import Quote
from quarterdeck.testing.checks import check_factory
from quarterdeck.testing.exchange_stage import Stage
from quarterdeck.testing.exchange_suite import ExchangeSuite
from quarterdeck_bybit_simulator.fixtures import API_KEY, API_SECRET
from quarterdeck_bybit_simulator.sockets import Kind
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitExchange, BybitSettings, quarterdeck_exchanges


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_API_KEY", API_KEY)
    monkeypatch.setenv("SIMULATED_API_SECRET", API_SECRET)


def settings_for(running: RunningSimulator, orders: str) -> BybitSettings:
    url = running.server.socket_url
    return BybitSettings.model_validate(
        {
            "environment": "testnet",
            "symbols": ["btcusdt"],
            "credentials": "env:SIMULATED",
            "orders": orders,
            "simulator": {"rest": running.server.rest_url, "private": url, "public": url},
        }
    )


class SimulatedStage(Stage):
    """Bybit in a thread beside the test."""

    def __init__(self, running: RunningSimulator, orders: str) -> None:
        self._running = running
        self.exchange = BybitExchange(settings_for(running, orders))

    async def quote(self, bid: Decimal, ask: Decimal) -> None:
        quote = Quote("btcusdt", time.time_ns(), float(bid), 1e6, float(ask), 1e6)
        await asyncio.to_thread(self._running.call, lambda: self._running.simulator.show(quote))

    async def settle(self) -> None:
        """Whatever the simulator has sent by now has been heard."""
        simulator, exchange = self._running.server, self.exchange
        assert isinstance(exchange, BybitExchange)
        sent = await asyncio.to_thread(self._running.call, lambda: simulator.sent[Kind.PRIVATE])
        async with asyncio.timeout(10):
            while exchange.is_live and exchange.frames_heard < sent:  # noqa: ASYNC110 - counted in another thread
                await asyncio.sleep(0.002)


class TestBybit(ExchangeSuite):
    prefix: ClassVar[str] = "a1-suite-"
    orders: ClassVar[str] = "rest"

    @pytest.fixture(autouse=True)
    def running(self, bybit_simulator: RunningSimulator) -> None:
        self._running = bybit_simulator

    def stage(self) -> SimulatedStage:
        return SimulatedStage(self._running, self.orders)


class TestBybitByWebSocket(TestBybit):
    """The same with orders on the trade socket."""

    orders: ClassVar[str] = "websocket"


def test_factory() -> None:
    settings = {"environment": "testnet", "symbols": ["btcusdt"], "credentials": "env:SIMULATED"}
    check_factory(quarterdeck_exchanges()[0], settings)
