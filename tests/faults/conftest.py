"""Settings of the tests that make a real daemon fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quarterdeck.domain.amounts import use_money_context
from tests.faults.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(autouse=True)
def money() -> None:
    use_money_context()
