"""Owns starts that must fail: what a daemon says when it can't begin, and what it leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: How long a daemon may take to see that it can't start, on a busy machine.
PATIENCE = 20.0

#: The C core of gRPC writes to stderr by itself; and what a start had done before it failed is in the log.
_LOG = re.compile(r"[EWI]\d{4} \d\d:|\d{4}-\d\d-\d\dT\S+ \[info ")


@dataclass(frozen=True)
class Refusal:
    """What it said, and the files it left in its folder."""

    said: str
    files: frozenset[str]


def refused(
    folder: Path, config: str, *, listen: str | None = "127.0.0.1:0", pythonpath: Path | None = None
) -> Refusal:
    """Start a daemon that must refuse, in one sentence on stderr and nothing on stdout."""
    (folder / "quarterdeck.toml").write_text(config, encoding="utf-8")
    before = files(folder)
    path = {} if pythonpath is None else {"PYTHONPATH": str(pythonpath)}
    command = [str(Path(sys.executable).with_name("quarterdeck")), "serve", "--config", "quarterdeck.toml"]
    done = subprocess.run(
        [*command, *([] if listen is None else ["--listen", listen])],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"} | path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if not _LOG.match(line)]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: "), done.stderr
    return Refusal(lines[0].removeprefix("Error: "), files(folder) - before)


def files(folder: Path) -> frozenset[str]:
    """Everything in a folder."""
    return frozenset(str(path.relative_to(folder)) for path in folder.rglob("*"))
