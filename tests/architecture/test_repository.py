"""Guards the repository as a whole: nothing of one machine in it, and documents that keep their word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repository import ROOT, files

MAKE_TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
DOCUMENTS = [path for path in files() if path.suffix == ".md"]

# Spelt in pieces, so that this file keeps the rule too.
MACHINE_PATHS = [f"/{folder}/" for folder in ("work", "root", "opt", "home", "Users", "tmp")]
REGISTRY_HOSTS = [
    f"{host}.{domain}"
    for host, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry.npmjs", "org"),
        ("deb.debian", "org"),
        ("proxy.golang", "org"),
    )
]


def text_of(path: Path) -> str:
    """The text of a file; of a binary one, nothing."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("word", [*MACHINE_PATHS, *REGISTRY_HOSTS])
def test_nothing_of_one_machine(word: str) -> None:
    """A path counts when it stands at the start of a word: `/work/` yes, `docs/work/` no."""
    pattern = re.compile(rf"(?<![\w.~)-]){re.escape(word)}\w" if word.startswith("/") else re.escape(word))
    found = [str(path.relative_to(ROOT)) for path in files() if pattern.search(text_of(path))]
    assert found == []


def test_documented_commands_exist() -> None:
    missing = {
        f"{document.relative_to(ROOT)}: make {target}"
        for document in DOCUMENTS
        for code in re.findall(r"`([^`\n]+)`|^( {4}.+|[^`\n]*make [a-z].*)$", document.read_text(), flags=re.MULTILINE)
        for target in re.findall(r"^\s*\$?\s*(?:[A-Z_]+=\S+ )?make ([a-z][a-z-]*)", code[0] or code[1])
        if target not in MAKE_TARGETS
    }
    assert missing == set()


def test_what_a_change_must_pass_are_the_everyday_recipes() -> None:
    """The last one runs the tests, whose summary is then the last line."""
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    targets = [command.removeprefix("make ") for command in commands]
    assert set(targets) <= MAKE_TARGETS
    assert targets == ["setup", "lint", "types", "gen-check", "sim", "test"]


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
        if "://" not in target and "NNNN" not in target and not (document.parent / target).exists()
    ]
    assert broken == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    listed = set(re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("[0-9]*.md")}
