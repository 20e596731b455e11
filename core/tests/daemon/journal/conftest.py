"""Settings of the tests of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.daemon.journal import Journal
from quarterdeck.domain.amounts import use_money_context


@pytest.fixture(autouse=True)
def money() -> None:
    use_money_context()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    journal = Journal.open(url, "main")
    yield journal
    journal.close()
