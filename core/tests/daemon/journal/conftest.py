"""Settings of the tests of the journal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quarterdeck.daemon.journal import Journal
from quarterdeck.domain.amounts import use_money_context


@pytest.fixture(autouse=True)
def money() -> None:
    use_money_context()


@pytest.fixture
def url(journal_url: str) -> str:
    """On each kind of database. A test of SQLite's own ways asks for `sqlite_url`."""
    return journal_url


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    journal = Journal.open(url, "main", patience=0.5)
    yield journal
    journal.close()
