"""A simulated Bybit beside the test, and the exchange connected to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.market import Quote, Side
from quarterdeck.domain.order import OrderTerms, OrderType
from quarterdeck.domain.report import Outcome, Report
from quarterdeck.plugin import PlaceOrder
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_bybit_simulator.fixtures import API_KEY, API_SECRET, bybit_simulator
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit import BybitExchange, BybitSettings

__all__ = ["bybit_simulator"]

CREATE = "/v5/order/create"


@dataclass
class Desk:
    """The exchange, what it has reported and kept, and the simulator to turn."""

    running: RunningSimulator
    exchange: BybitExchange
    heard: list[Report] = field(default_factory=list)
    frames: list[tuple[str, bytes]] = field(default_factory=list)

    def fault(self, **rule: Any) -> None:
        """Put a fault in force."""
        self.running.call(lambda: self.running.simulator.faults.add(rule))

    def mend(self) -> None:
        """Let everything go right again."""
        self.running.call(self.running.simulator.faults.clear)

    def quote(self, price: float) -> None:
        """Move the market."""
        quote = Quote("btcusdt", time.time_ns(), price, 1e6, price + 0.1, 1e6)
        self.running.call(lambda: self.running.simulator.show(quote))

    async def place(self, link_id: str, kind: OrderType = OrderType.MARKET, **terms: Any) -> Outcome:
        """Place an order to buy 0.01."""
        wanted: dict[str, Any] = {"side": Side.BUY, "quantity": Decimal("0.01")} | terms
        return await self.exchange.place(PlaceOrder(link_id, OrderTerms("btcusdt", type=kind, **wanted)))

    def of(self, kind: type[Any], link_id: str = "") -> list[Any]:
        """What was reported of a kind, about one order or all."""
        return [one for one in self.heard if isinstance(one, kind) and link_id in ("", getattr(one, "link_id", ""))]

    def creates(self) -> list[dict[str, Any]]:
        """Orders that reached the venue, as its truth log has them."""
        return self.running.call(lambda: [entry.data["row"] for entry in self.running.simulator.truth.of("order")])


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that another thread makes true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another thread makes it so
            await asyncio.sleep(0.01)


@pytest.fixture
def wait() -> Callable[..., Any]:
    """`until`, for tests."""
    return until


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ban outlasts its test: a later simulator may get the same port."""
    monkeypatch.setattr("quarterdeck_exchange_bybit.budget._ADDRESSES", {})


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSimulator]:
    use_money_context()
    monkeypatch.setenv("SIMULATED_API_KEY", API_KEY)
    monkeypatch.setenv("SIMULATED_API_SECRET", API_SECRET)
    settings = SimulatorSettings(members=(Member(API_KEY, API_SECRET),))
    with RunningSimulator(Simulator([BTC], settings)) as running:
        yield running


@pytest.fixture
def settings(running: RunningSimulator) -> BybitSettings:
    url = running.server.socket_url
    return BybitSettings.model_validate(
        {
            "environment": "testnet",
            "symbols": ["btcusdt"],
            "credentials": "env:SIMULATED",
            "connect_timeout": 0.5,
            "read_timeout": 0.9,
            "receive_window": 1_000,
            "simulator": {"rest": running.server.rest_url, "private": url, "public": url},
        }
    )


@pytest.fixture
async def desk(running: RunningSimulator, settings: BybitSettings) -> AsyncIterator[Desk]:
    desk = Desk(running, BybitExchange(settings))
    desk.quote(50_000.0)
    await desk.exchange.instruments()
    desk.exchange.record_frames(lambda source, body: desk.frames.append((source, body)))
    await desk.exchange.open(desk.heard.append)
    yield desk
    await desk.exchange.close()
