"""A shell in which a page's commands are given one after another, as a reader would; and a daemon, where one is needed.

Pages speak of the usual address. Here every session has one of its own, so that tests can run beside each other and
beside a daemon of the user's: it is put into what is run, and `quarterdeck serve` is told to listen there.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.docs.fences import matches

USUAL_ADDRESS = "127.0.0.1:50551"
TOOLS = Path(sys.executable).parent
PATIENCE = 90.0

_MARKET = """\
[feed]
plugin = "synthetic"
settings = { speed = 10.0 }
"""

_NOTICE = re.compile(r"^(\[\d+\][-+ ] |bash: line \d+: +\d+ Killed ).*\n", re.MULTILINE)
"""What a shell says of background jobs, whenever it happens to notice."""

_SERVE = """\
#!/bin/sh
if [ "$1" = serve ]; then
    shift
    exec {program} serve --listen "$QUARTERDECK_ADDRESS" "$@"
fi
exec {program} "$@"
"""


class Answer(NamedTuple):
    """What a command printed, on both outputs, and how it ended."""

    printed: str
    code: int


class Session:
    """One shell in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._home = folder / "home"
        self._folder = folder / "here"
        self._programs = folder / "bin"
        for each in (self._home, self._folder, self._programs):
            each.mkdir()
        self.address = f"unix:{folder / 'daemon.sock'}"
        wrapper = self._programs / "quarterdeck"
        wrapper.write_text(_SERVE.format(program=shlex.quote(str(TOOLS / "quarterdeck"))))
        wrapper.chmod(0o755)
        self._daemon: subprocess.Popen[str] | None = None
        self._printed = ""
        self._more = threading.Condition()

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(self._programs), str(TOOLS), os.environ["PATH"]])
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TERM") if name in os.environ}
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=self._folder,
            env={**kept, "HOME": str(self._home), "PATH": path, "QUARTERDECK_ADDRESS": self.address},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.run("set -m")  # background jobs as in a terminal, each with a process group of its own
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._write("for job in $(jobs -p); do kill -9 -- -$job; done 2>/dev/null; exit\n")
        self._shell.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self._shell.stdin, self._shell.stdout):
            if stream:
                stream.close()
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.communicate(timeout=PATIENCE)

    def serve(self) -> None:
        """Start a daemon on a free port, unless there is one already; from now on it is the one that is meant."""
        if self._daemon is not None or Path(self.address.removeprefix("unix:")).exists():
            return
        folder = self._home / "daemon"
        folder.mkdir()
        (folder / "quarterdeck.toml").write_text(_MARKET)
        with (folder / "log").open("w") as log:
            self._daemon = subprocess.Popen(
                [TOOLS / "quarterdeck", "--json", "serve", "--listen", "127.0.0.1:0"],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        ready = self._daemon.stdout.readline() if self._daemon.stdout else ""
        assert ready, (folder / "log").read_text()
        self.address = json.loads(ready)["address"]
        assert self.run(f"export QUARTERDECK_ADDRESS={shlex.quote(self.address)}").code == 0

    def run(self, command: str, expected: str = "") -> Answer:
        """Give a command and wait for its end. One in the background has ended when it has printed what is expected."""
        end = f"end-{secrets.token_hex(8)}"
        command = self.addressed(command)
        with self._more:
            self._printed = ""
        self._write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' {end} $?\n")
        ended = re.compile(rf"\n?{end} (\d+)\n")
        text = self._wait(lambda text: bool(ended.search(text)), command)
        found = ended.search(text)
        code = int(found[1]) if found else -1

        def said(text: str) -> str:
            return _NOTICE.sub("", ended.sub("", text))

        if command.rstrip().endswith("&"):
            text = self._wait(lambda text: matches(self.addressed(expected), said(text)), command)
        return Answer(said(text), code)

    def program(self, text: str) -> Answer:
        """Run a Python program where the shell is."""
        file = self._home / f"{secrets.token_hex(4)}.py"
        file.write_text(self.addressed(text))
        return self.run(f"{shlex.quote(sys.executable)} {shlex.quote(str(file))}")

    def addressed(self, text: str) -> str:
        """A text in which the usual address is this session's."""
        return text.replace(USUAL_ADDRESS, self.address)

    def _write(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def _read(self) -> None:
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            with self._more:
                self._printed += line
                self._more.notify_all()

    def _wait(self, enough: Callable[[str], bool], command: str) -> str:
        """What was printed, once it is enough."""
        until = time.monotonic() + PATIENCE
        with self._more:
            while not enough(self._printed):
                left = until - time.monotonic()
                assert left > 0, f"{command!r} has not ended after {PATIENCE:.0f} s; so far:\n{self._printed}"
                self._more.wait(left)
            return self._printed
