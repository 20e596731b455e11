"""Settings of the tests that make a real daemon fail, and what they do with one."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quarterdeck.client import Options, QuarterdeckError, SyncClient
from quarterdeck.domain.amounts import use_money_context
from tests.faults.nursery import Nursery
from tests.faults.sweep import Forked

IMPATIENT = Options(timeout=8.0, attempt_timeout=4.0)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(autouse=True)
def money() -> None:
    use_money_context()


@pytest.fixture
def daemons(nursery: Nursery) -> Iterator[Callable[[Path, str], Forked]]:
    """Makes daemons, which have ended when the test has."""
    made: list[Forked] = []

    def make(folder: Path, url: str) -> Forked:
        made.append(Forked(folder, url, nursery))
        return made[-1]

    yield make
    for daemon in made:
        daemon.process.send_signal(signal.SIGCONT)
        daemon.kill()


def rest(client: SyncClient, order_id: str) -> None:
    """Place an order that stays where it is."""
    client.orders.create(
        order_id=order_id, instrument="btcusdt", side="BUY", type="LIMIT", quantity="0.01", limit_price="50000"
    )


def confirm(client: SyncClient, prefix: str, most: int) -> tuple[list[str], QuarterdeckError | None]:
    """Place orders until one is not taken; returns those that were, and what the last one met."""
    confirmed: list[str] = []
    for number in range(most):
        try:
            rest(client, f"{prefix}-{number}")
        except QuarterdeckError as error:
            return confirmed, error
        confirmed.append(f"{prefix}-{number}")
    return confirmed, None


def wait_for(what: Callable[[], bool], patience: float = 15.0) -> None:
    deadline = time.monotonic() + patience
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
