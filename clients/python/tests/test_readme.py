"""The examples of the README run, one after the other, against a daemon that answers anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from clients.python.tests.account_history import AccountHistory
from clients.python.tests.fake_daemon import FakeDaemon
from clients.python.tests.test_public import METHODS
from clients.python.tests.test_replica import serve
from quarterdeck.client import DEFAULT_TARGET

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_examples_run(daemon: FakeDaemon) -> None:
    serve(daemon, AccountHistory(seed=3, length=10), until=10)
    del daemon.answers["ListPositions"]  # a made-up position says more than none
    examples = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    script = "\n".join(examples).replace(DEFAULT_TARGET, daemon.target)
    command = [sys.executable, "-W", "error", "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 0, run.stderr
    assert "is recorded at" in run.stdout
    assert len(run.stdout.splitlines()) >= 9


def test_the_table_names_every_method() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", README, flags=re.MULTILINE)
    assert {group: sorted(re.findall(r"`(\w+)`", methods)) for group, methods in rows} == METHODS
