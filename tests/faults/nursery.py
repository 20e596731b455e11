"""Owns starting daemons fast: a process that has everything imported and forks one of them for each that is asked for.

What runs in the child is `quarterdeck` itself, in a process of its own that can be killed, stopped and waited for. Only
the imports are shared, and they are most of what a start takes. Talks JSON, a line each way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.e2e.plugins import install

#: What a daemon imports on its way up.
_IMPORTS = (
    "quarterdeck.cli.serve",
    "quarterdeck_exchange_paper",
    "quarterdeck_feed_synthetic",
    "quarterdeck_risk_limits",
    "quarterdeck_sizer_speed_demon",
    "quarterdeck_strategy_sma_cross",
    "patient",
)


class Child:
    """A forked process, as far as `subprocess.Popen` would be asked about it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for the signal that ended it; None while it lives."""
        if self._code is None:
            self._code = self._nursery.ask(wait=self.pid)["code"]
        return self._code

    def wait(self, timeout: float) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"child {self.pid}", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """Forks on demand. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._site = TemporaryDirectory(prefix="quarterdeck-site-")
        install(Path(self._site.name), "patient", Path(__file__).with_name("patient.py").read_text(encoding="utf-8"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONPATH": self._site.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask()  # waits for the imports

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Child:
        """Run `quarterdeck ARGUMENTS` in a folder, with variables beside ours, its output appended to a file."""
        pid = self.ask(arguments=list(arguments), folder=str(folder), environment=dict(environment), log=str(log))[
            "pid"
        ]
        return Child(self, pid)

    def close(self) -> None:
        """End it; children that live are not its business any more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._site.cleanup()

    def ask(self, **question: object) -> dict[str, Any]:
        """One line there, one line back."""
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            return answer


def _serve() -> None:
    for name in _IMPORTS:
        __import__(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, object] = {}
        if "wait" in question:
            pid, status = os.waitpid(question["wait"], os.WNOHANG)
            answer = {"code": os.waitstatus_to_exitcode(status) if pid else None}
        elif question:
            pid = os.fork()
            if not pid:
                _become(question)
            answer = {"pid": pid}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _become(question: Mapping[str, Any]) -> None:
    log = os.open(question["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(3, 256)
    os.chdir(question["folder"])
    os.environ.update(question["environment"])
    sys.argv = ["quarterdeck", *question["arguments"]]
    code: object = 70
    try:
        from quarterdeck.cli import main  # noqa: PLC0415 - only the child becomes a daemon

        main()
    except SystemExit as done:
        code = done.code or 0
    finally:
        import atexit  # noqa: PLC0415 - only the child ends like this

        with suppress(BaseException):
            atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 70)


if __name__ == "__main__":
    _serve()
