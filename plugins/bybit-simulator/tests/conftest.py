"""A simulated Bybit with two instruments, and a client that signs."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.market import Quote
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorServer, SimulatorSettings
from quarterdeck_bybit_simulator.catalog import BTC, BTC_SPOT
from quarterdeck_bybit_simulator.gate import signature

use_money_context()


@dataclass
class Desk:
    """A client without a network: requests in, answers out, and what the sockets would tell."""

    simulator: Simulator
    now: int = 1_700_000_000_000_000_000
    told: list[tuple[str, Any]] = field(default_factory=list)

    def call(
        self,
        path: str,
        *,
        key: str = "key",
        secret: str = "secret",  # noqa: S107 - made up
        stamp: int = 0,
        **params: Any,
    ) -> dict[str, Any]:
        """A signed request; reads are GETs. Returns the whole answer."""
        is_read = path in self.simulator.api.reads or path in self.simulator.api.public
        query, body = (urlencode(params), "") if is_read else ("", json.dumps(params))
        stamp_text = str(stamp or self.now // 1_000_000)
        headers = {
            "X-BAPI-API-KEY": key,
            "X-BAPI-TIMESTAMP": stamp_text,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": signature(secret, f"{stamp_text}{key}5000{query or body}"),
        }
        answer = self.simulator.handle("GET" if is_read else "POST", path, query, body, headers, "127.0.0.1")
        assert isinstance(answer.body, Mapping)
        return dict(answer.body) | {"headers": answer.headers}

    def place(self, **changes: Any) -> dict[str, Any]:
        """A limit order far below the market."""
        order = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.1",
                 "price": "40000"}  # fmt: skip
        return self.call("/v5/order/create", **order | changes)

    def quote(self, price: float, symbol: str = "btcusdt") -> None:
        """The market stands here now."""
        self.now += 1_000_000
        self.simulator.show(Quote(symbol, self.now, price, 5.0, round(price + 0.1, 2), 5.0))

    def rows(self, topic: str) -> list[dict[str, Any]]:
        """Everything a private topic has told."""
        return [row for of, message in self.told if of == topic for row in message["data"]]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * 1_000_000_000)


@pytest.fixture
def desk() -> Desk:
    settings = SimulatorSettings(
        members=(Member("key", "secret", balances=(("USDT", Decimal(100_000)), ("BTC", Decimal(1)))),)
    )
    simulator = Simulator([BTC, BTC_SPOT], settings, clock=lambda: made.now)
    made = Desk(simulator)
    simulator.publish = lambda topic, message, user: made.told.append((topic, message))
    made.quote(50_000.0)
    made.quote(50_000.0, "btcusdt-spot")
    return made


@pytest.fixture
async def server() -> AsyncIterator[SimulatorServer]:
    simulator = Simulator([BTC, BTC_SPOT])
    async with SimulatorServer(simulator) as running:
        for symbol in ("btcusdt", "btcusdt-spot"):
            simulator.show(Quote(symbol, time.time_ns(), 50_000.0, 5.0, 50_000.1, 5.0))
        yield running
