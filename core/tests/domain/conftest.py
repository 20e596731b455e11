"""Settings of the tests of the domain."""

from __future__ import annotations

import pytest

from quarterdeck.domain.amounts import use_money_context


@pytest.fixture(autouse=True)
def money() -> None:
    use_money_context()
