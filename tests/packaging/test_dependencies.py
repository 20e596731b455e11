"""Guards that each distribution asks for the third parties it imports, and for no others.

In a development environment everything is installed, so a forgotten dependency shows only on somebody else's machine.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.repository import Distribution, distributions

# Where the import root alone does not tell the distribution: shared roots, and what is the other half of a dependency.
KNOWN = {
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "pydantic_core": "pydantic",
} | {package: each.name for each in distributions() for package in each.packages}

# Asked for, yet not imported by name.
UNSEEN: dict[str, set[str]] = {
    "quarterdeck": {"uvloop"},
}

# Modules that need an extra: the extra, by the package that imports it.
EXTRAS = {
    "quarterdeck.testing": "testing",
    "quarterdeck_bybit_simulator": "testing",
    "quarterdeck_exchange_bybit": "data",
}


@cache
def providers() -> dict[str, str]:
    """Which distribution an import root comes from."""
    return {root: names[0].lower().replace("_", "-") for root, names in packages_distributions().items()}


def provider(module: str) -> str | None:
    """The distribution a module comes from; None for the standard library."""
    for known, distribution in KNOWN.items():
        if module == known or module.startswith(f"{known}."):
            return distribution
    root = module.partition(".")[0]
    return None if root in sys.stdlib_module_names else providers().get(root, f"nobody ({module})")


def imported(path: Path) -> set[str]:
    """Every module a file imports, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def names(requirements: list[str]) -> set[str]:
    """The distributions named by requirement lines."""
    return {re.split(r"[>=<\[; ]", requirement)[0] for requirement in requirements}


@pytest.mark.parametrize("each", distributions(), ids=lambda each: str(each.name))
def test_asks_for_what_it_imports(each: Distribution) -> None:
    project = each.manifest["project"]
    wanted = names(project["dependencies"])
    used: set[str] = set()
    for package in each.packages:
        extra = names(project["optional-dependencies"][EXTRAS[package]]) if package in EXTRAS else set()
        for path in (each.source / Path(*package.split("."))).rglob("*.py"):
            needed = {name for module in imported(path) if (name := provider(module))} - {each.name}
            assert needed - wanted - extra == set(), path
            used |= needed
    assert wanted - used - UNSEEN.get(each.name, set()) == set()
