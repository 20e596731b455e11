"""Guards that docs/plugins.md tells of every way to extend Quarterdeck, with the signatures the source has."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from textwrap import dedent

import pytest

from quarterdeck import testing
from quarterdeck.cli.scaffold import KINDS as SCAFFOLDS
from quarterdeck.plugin import hookspecs, loader
from quarterdeck.plugin.exchange import BulkCancel, EmbeddedExchange, FrameSource, Reminded
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "plugins.md").read_text()
HOOKS = [name for name in vars(hookspecs.Hooks) if name.startswith("quarterdeck_")]
OPTIONAL: set[type] = {BulkCancel, EmbeddedExchange, FrameSource, Reminded}
INTERFACES: set[type] = {kind.interface for kind in loader.KINDS.values()} | OPTIONAL


def section(heading: str) -> str:
    """What stands under the one heading of that name."""
    found = re.findall(rf"^###+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"docs/plugins.md has {len(found)} headings {heading!r}; `python -m docs --write` mends it"
    return str(found[0])


def members(interface: type) -> list[str]:
    """The signatures of what an interface asks for, as its source has them."""
    found = []
    for node in ast.walk(ast.parse(dedent(inspect.getsource(interface)))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
            node.decorator_list = []
            found.append(" ".join(ast.unparse(node).removesuffix("pass").rstrip().removesuffix(":").split()))
    return found


def test_there_is_something_to_tell() -> None:
    assert len(HOOKS) == len(loader.KINDS)
    assert all(members(interface) for interface in INTERFACES)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading_and_its_signature(hook: str) -> None:
    (signature,) = (line for line in members(hookspecs.Hooks) if f" {hook}(" in line)
    assert signature.replace("(self)", "()") in section(hook)


@pytest.mark.parametrize("interface", sorted(INTERFACES, key=str))
def test_every_member_of_every_interface_is_told(interface: type) -> None:
    told = section(interface.__name__)
    assert [signature for signature in members(interface) if signature not in told] == []


@pytest.mark.parametrize("kind", loader.KINDS.values(), ids=lambda kind: str(kind.noun))
def test_every_kind_is_in_the_table(kind: loader.Kind) -> None:
    assert f"| [`{kind.interface.__name__}`](#{kind.interface.__name__.lower()}) |" in PAGE


def test_what_can_be_begun_is_told() -> None:
    told = re.search(
        r"^This is a complete package .*?; (.*?) can be\s+begun so\.", PAGE, flags=re.MULTILINE | re.DOTALL
    )
    assert told
    assert re.findall(r"`(\w+)`", told[1]) == list(SCAFFOLDS)


def test_every_suite_is_told() -> None:
    (folder,) = testing.__path__
    suites = {path.stem for path in Path(folder).glob("*_suite.py")}
    assert suites
    assert {suite for suite in suites if f"`quarterdeck.testing.{suite}." not in PAGE} == set()
