"""Does what the pages tell a reader to do: their commands and programs are run, their configurations checked."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.daemon.config import Config
from quarterdeck.daemon.parts import build_parts
from tests.docs.fences import Action, Fence, commands, fences, matches
from tests.docs.session import USUAL_ADDRESS, Session
from tests.repository import ROOT, files

PAGES = {str(path.relative_to(ROOT)): path for path in files() if path.suffix == ".md"}
RUN = [name for name, path in PAGES.items() if any(f.action is Action.RUN for f in fences(path.read_text()))]


def test_the_pages_that_must_be_run_are() -> None:
    assert set(RUN) >= {
        "README.md",
        "docs/api.md",
        "docs/plugins.md",
        "docs/operations.md",
        "docs/bybit.md",
        "clients/python/README.md",
    }


@pytest.mark.parametrize("name", PAGES)
def test_everybody_knows_what_to_do_with_each_fence(name: str) -> None:
    for fence in fences(PAGES[name].read_text()):
        assert fence.action in Action


@pytest.mark.parametrize("name", PAGES)
def test_what_is_shown_is_what_would_be_read(name: str) -> None:
    for fence in fences(PAGES[name].read_text()):
        where = f"{name}:{fence.line}"
        if fence.action is Action.COMPARE:
            assert fence.text == (ROOT / fence.argument).read_text().rstrip(), f"{where} is not {fence.argument}"
        elif fence.action is Action.CHECK and fence.language == "toml":
            build_parts(Config.model_validate(completed(tomllib.loads(fence.text), PAGES[name])))
        elif fence.action is Action.CHECK:
            json.loads(fence.text)


def completed(table: dict[str, Any], page: Path) -> dict[str, Any]:
    """A configuration in which a plugin's own README need not repeat which plugin is meant."""
    kind, _, plugin = page.parent.name.partition("-")
    return {key: {"plugin": plugin, **value} if key == kind else value for key, value in table.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_what_a_page_says_is_what_happens(name: str, tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for fence in fences(PAGES[name].read_text()):
            if fence.needs_daemon or (fence.language == "python" and USUAL_ADDRESS in fence.text):
                session.serve()
            if fence.action is Action.RUN:
                follow(session, fence, name)


def follow(session: Session, fence: Fence, page: str) -> None:
    """Do what one fence says."""
    where = f"{page}:{fence.line}"
    if fence.language == "python":
        printed, code = session.program(fence.text)
        assert code == 0, f"{where} failed:\n{printed}"
    elif fence.language == "bash":
        printed, code = session.run(fence.text)
        assert code == 0, f"{where} failed:\n{printed}"
    else:
        for command in commands(fence):
            printed, code = session.run(command.text, command.expected)
            here = f"{page}:{command.line}: {command.text}"
            assert (code != 0) is command.fails, f"{here} ended with {code}:\n{printed}"
            if command.expected:
                expected = session.addressed(command.expected)
                assert matches(expected, printed), f"{here}\nshould print\n{expected}\nand printed\n{printed}"


@pytest.mark.parametrize(
    "text", ["$ echo this\nthat", "$ false", "$ true  # fails", "$ echo fine\nError: it is not", "$ no-such-command"]
)
def test_what_does_not_happen_is_noticed(text: str, tmp_path: Path) -> None:
    with Session(tmp_path) as session, pytest.raises(AssertionError):
        follow(session, Fence("console", text, 1), "a page")
