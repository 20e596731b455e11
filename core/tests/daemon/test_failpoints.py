"""Points that fail on demand: nothing without being armed, and no name that is not where it says."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from quarterdeck.daemon import failpoints
from quarterdeck.daemon.failpoints import ARM, COUNT, NAMES, Injected, arm, failpoint, install
from quarterdeck.domain.errors import ConfigError


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    install(None)


def calls() -> Counter[str]:
    """How often each name is called in the daemon's code, by its literal."""
    root = Path(str(files("quarterdeck.daemon")))
    found: Counter[str] = Counter()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
                (name,) = node.args
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: a point's name is a literal"
                found[str(name.value)] += 1
    return found


def test_every_call_has_a_name_of_its_own() -> None:
    found = calls()
    assert set(found) == set(NAMES)
    assert [name for name, times in found.items() if times > 1] == []
    assert len(NAMES) == len(set(NAMES))


def test_unarmed_does_nothing() -> None:
    assert not arm({})
    for name in NAMES:
        failpoint(name)


def test_raises_at_the_hit_that_was_named() -> None:
    assert arm({ARM: "place.after=raise@2; cancel.before=raise"})
    failpoint("place.after")
    with pytest.raises(Injected, match=r"place\.after"):
        failpoint("place.after")
    failpoint("place.after")
    for _ in range(2):
        with pytest.raises(Injected):
            failpoint("cancel.before")
    failpoint("place.before")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere=kill", "there is no failpoint 'nowhere'; there are: start.parts, "),
        ("place.after", "the action is one of: kill, stop, raise, hang, sleep:SECONDS"),
        ("place.after=explode", "the action is one of"),
        ("place.after=kill@0", "the hit is a whole number from 1, not '0'"),
        ("place.after=kill@", "the hit is a whole number from 1, not ''"),
        ("place.after=kill@-1", "the hit is a whole number"),
        ("place.after=sleep:soon", "sleep takes seconds"),
        ("place.after=sleep:nan", "sleep takes seconds"),
        ("place.after=sleep:-1", "sleep takes seconds"),
        ("place.after=kill;place.after=raise", "place.after is armed twice"),
    ],
)
def test_malformed_text_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=ARM) as refused:
        arm({ARM: text})
    assert says in str(refused.value)


def test_counts_until_the_process_ends(tmp_path: Path) -> None:
    script = (
        "import os; from quarterdeck.daemon.failpoints import arm, failpoint\n"
        "arm(os.environ)\n"
        "for _ in range(3): failpoint('place.after')\n"
        "failpoint('cancel.before')\n"
    )
    counts = tmp_path / "counts.json"
    subprocess.run([sys.executable, "-c", script], check=True, env={COUNT: str(counts)})
    assert json.loads(counts.read_text()) == {"place.after": 3, "cancel.before": 1}


def test_kills_the_process(tmp_path: Path) -> None:
    script = (
        "import os; from quarterdeck.daemon.failpoints import arm, failpoint\n"
        "arm(os.environ)\n"
        "failpoint('place.after'); print('one', flush=True)\n"
        "failpoint('place.after'); print('two', flush=True)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], env={ARM: "place.after=kill@2"}, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-9, b"one\n")


def test_a_handler_sees_every_point() -> None:
    seen: list[str] = []
    install(seen.append)
    for name in NAMES:
        failpoint(name)
    assert seen == list(failpoints.NAMES)
