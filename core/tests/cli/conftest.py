"""What tests of the command line start from: a scripted daemon, and a way to give commands to it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clients.python.tests.fake_daemon import FakeDaemon
from quarterdeck.cli import app
from quarterdeck.cli import command as shared
from quarterdeck.client import Backoff, Options


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object on the last line."""
        return json.loads(self.out.strip().rpartition("\n")[2])


Run = Callable[..., Done]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    folder = tempfile.mkdtemp(prefix="qd")  # a short path: that of a unix socket may have 107 characters
    fake = FakeDaemon(str(Path(folder) / "s"))
    fake.start()
    monkeypatch.setenv("QUARTERDECK_ADDRESS", fake.target)
    yield fake
    fake.stop()
    shutil.rmtree(folder)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a command."""
    hasty = Options(timeout=0.2, attempt_timeout=0.2, backoff=Backoff(initial=0.01, maximum=0.01))
    monkeypatch.setattr(shared, "PATIENCE", hasty)

    def give(*words: str) -> Done:
        result = CliRunner().invoke(app, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return give
