"""Settings of the tests of the venue."""

from __future__ import annotations

import pytest

from core.tests.matching.desk import Desk
from quarterdeck.domain.amounts import use_money_context


@pytest.fixture(autouse=True)
def money() -> None:
    use_money_context()


@pytest.fixture
def desk() -> Desk:
    """A free venue with 10 000 USDT that has seen one candle of btcusdt, from 100 to 100."""
    desk = Desk()
    desk.candle(100, 100, 100, 100)
    return desk
