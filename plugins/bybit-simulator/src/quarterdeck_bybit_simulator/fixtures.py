"""Owns pytest's way to a simulator: import `bybit_simulator` from here in a conftest."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from quarterdeck.domain.market import Quote
from quarterdeck_bybit_simulator.catalog import BTC, BTC_SPOT
from quarterdeck_bybit_simulator.settings import Member, SimulatorSettings
from quarterdeck_bybit_simulator.simulator import Simulator
from quarterdeck_bybit_simulator.threaded import RunningSimulator

#: What a client of the fixture signs with.
API_KEY, API_SECRET = "key-of-tests", "secret-of-tests"

#: Where its market stands: the best bid, and a tick above it the best ask.
PRICE = 50_000.0


@pytest.fixture
def bybit_simulator() -> Iterator[RunningSimulator]:
    """A simulated Bybit at work: Bitcoin as a perpetual and as a pair, one account with 100 000 USDT, no rate limits.

    `server.rest_url` and `server.socket_url` are where it is; whatever else touches it goes through `call`.
    """
    settings = SimulatorSettings(members=(Member(API_KEY, API_SECRET),), limits_apply=False)
    with RunningSimulator(Simulator([BTC, BTC_SPOT], settings)) as running:
        for one in (BTC, BTC_SPOT):
            quote = Quote(one.symbol, time.time_ns(), PRICE, 5.0, PRICE + 0.1, 5.0)
            running.call(lambda quote=quote: running.simulator.show(quote))  # type: ignore[misc]  # bound early
        yield running
