"""Shows the reader of pages what it must refuse, and the shell what it must notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.fences import Action, BadFence, Fence, commands, fences, matches
from tests.docs.session import Session


def only(page: str) -> Fence:
    """The one fence of a page."""
    (fence,) = fences(page)
    return fence


@pytest.mark.parametrize(
    ("page", "action"),
    [
        ("```console\n$ true\n```", Action.RUN),
        ("```bash\ntrue\n```", Action.RUN),
        ("```python\npass\n```", Action.RUN),
        ("<!-- run: daemon -->\n\n```python\npass\n```", Action.RUN),
        ("<!-- norun: it takes an hour -->\n```bash\nsleep 3600\n```", Action.LEAVE),
        ("<!-- norun: of another fence -->\ntext\n```bash\ntrue\n```", Action.RUN),
        ("<!-- file: examples/x.py -->\n```python\npass\n```", Action.COMPARE),
        ("```toml\nx = 1\n```", Action.CHECK),
        ("  ```json\n{}\n  ```", Action.CHECK),
        ("```\na picture\n```", Action.LEAVE),
    ],
)
def test_what_is_done_with_a_fence(page: str, action: Action) -> None:
    assert only(page).action is action


@pytest.mark.parametrize(
    "page",
    [
        "```shell\ntrue\n```",
        "```py\npass\n```",
        "<!-- norun: -->\n```bash\ntrue\n```",
        "```text\n$ quarterdeck status\n```",
        "<!-- norun: why -->\n```text\nwords\n```",
        "```bash\ntrue",
    ],
)
def test_a_fence_that_would_escape_is_refused(page: str) -> None:
    with pytest.raises(BadFence):
        _ = only(page).action


def test_commands_of_a_console() -> None:
    fence = only("```console\n$ first \\\n> --option\nprinted\n\nmore\n$ second\n```")
    assert [(each.text, each.expected, each.line) for each in commands(fence)] == [
        ("first \\\n--option", "printed\n\nmore", 2),
        ("second", "", 7),
    ]
    with pytest.raises(BadFence):
        list(commands(only("```console\nquarterdeck status\n```")))


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a b", "\na   b\n", True),
        ("a ... d", "a b\nc d", True),
        ("at 12:...", "at 12:34", True),
        ("a b", "a b c", False),
        ("a.c", "abc", False),
        ("... c", "a b", False),
    ],
)
def test_what_matches(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same


def test_a_session_is_one_shell_in_a_folder_of_its_own(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        assert session.run("false").code == 1
        assert session.run("mkdir -p a && cd a && x=7").code == 0
        printed, code = session.run("echo $x; pwd; echo wrong >&2; cat")
        assert (printed.split(), code) == (["7", str(tmp_path / "here" / "a"), "wrong"], 0)
        printed, _ = session.run("(sleep 0.2; echo ready; sleep 60) &", "ready")
        assert "ready" in printed
        assert session.run("kill %1").code == 0
        printed, code = session.program("print('127.0.0.1:50551')")
        assert (printed.strip(), code) == (session.address, 0)
