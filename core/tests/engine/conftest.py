"""Settings of the tests of the engine."""

from __future__ import annotations

import pytest

from core.tests.engine.desk import Desk
from quarterdeck.domain.amounts import use_money_context


@pytest.fixture(autouse=True)
def money() -> None:
    use_money_context()


@pytest.fixture
def desk() -> Desk:
    """An account with 10 000 USDT that has seen a price of 50 000 on each instrument."""
    return Desk()
