"""Applies the rules of `tidy.py` to the sources, and shows each rule a file it must refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.architecture import tidy
from tests.repository import ROOT, distributions, files, is_generated

Rule = Callable[[str], tidy.Complaints]

# Exemptions: file, from the root -> why. One that is not needed any more fails too.
LONG_FILES: dict[str, str] = {}
FLOATS: dict[str, str] = {}

CORE = ROOT / "core" / "src" / "quarterdeck"
PYTHON = [path for path in files() if path.suffix == ".py" and not is_generated(path)]
SOURCES = [path for path in PYTHON if any(path.is_relative_to(each.source) for each in distributions())]
PURE = [path for path in SOURCES if any(path.is_relative_to(CORE / part) for part in ("domain", "engine", "matching"))]
EXACT = [path for path in SOURCES if any(path.is_relative_to(CORE / part) for part in ("domain", "engine"))]


def complaints(rule: Rule, paths: Iterable[Path], exempt: Iterable[str] = ()) -> list[str]:
    """What the rule says of the files, one line each, ready to click on."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {complaint}"
        for path in paths
        if str(path.relative_to(ROOT)) not in set(exempt)
        for line, complaint in rule(path.read_text())
    ]


def test_there_is_something_to_check() -> None:
    assert {path.parent.name for path in PURE} >= {"domain", "engine", "matching"}
    assert len(SOURCES) < len(PYTHON)


def test_pure_code_imports_only_pure_code() -> None:
    assert complaints(tidy.impure_imports, PURE) == []


def test_pure_code_asks_neither_clock_nor_chance_nor_files() -> None:
    assert complaints(tidy.impure_calls, PURE) == []


def test_pure_code_never_waits() -> None:
    assert complaints(tidy.async_code, PURE) == []


def test_obligations_are_exact() -> None:
    assert complaints(tidy.floats, EXACT, FLOATS) == []


def test_every_module_says_what_it_owns() -> None:
    assert complaints(tidy.missing_docstring, SOURCES) == []


def test_whoever_silences_a_tool_says_why() -> None:
    assert complaints(tidy.bare_ignores, PYTHON) == []


def test_no_file_is_long() -> None:
    assert complaints(tidy.long_file, SOURCES, LONG_FILES) == []


@pytest.mark.parametrize(("rule", "exempt"), [(tidy.long_file, LONG_FILES), (tidy.floats, FLOATS)])
def test_every_exemption_is_needed_and_has_a_reason(rule: Rule, exempt: dict[str, str]) -> None:
    for name, reason in exempt.items():
        assert reason, name
        assert complaints(rule, [ROOT / name]) != [], f"{name} needs no exemption"


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (tidy.impure_imports, "import time"),
        (tidy.impure_imports, "import datetime"),
        (tidy.impure_imports, "from random import random"),
        (tidy.impure_imports, "def later():\n    import asyncio"),
        (tidy.impure_imports, "from google.protobuf import message"),
        (tidy.impure_imports, "import quarterdeck.daemon.clock"),
        (tidy.impure_imports, "from quarterdeck.domain_tools import x"),
        (tidy.impure_calls, "from datetime import datetime\nat = datetime.now()"),
        (tidy.impure_calls, "at = datetime.datetime.utcnow()"),
        (tidy.impure_calls, "name = uuid4.uuid4()"),
        (tidy.impure_calls, "with open('x') as file: pass"),
        (tidy.impure_calls, "seed = os.urandom(8)"),
        (tidy.impure_calls, "slot = hash(symbol) % 8"),
        (tidy.impure_calls, "__import__('time')"),
        (tidy.async_code, "async def decide(): pass"),
        (tidy.floats, "FEE = 0.00055"),
        (tidy.floats, "x = float(price)"),
        (tidy.floats, "x = 1e-9"),
        (tidy.missing_docstring, "x = 1"),
        (tidy.missing_docstring, ""),
        (tidy.bare_ignores, "x = 1  # noqa"),
        (tidy.bare_ignores, "x = 1  # noqa: S101"),
        (tidy.bare_ignores, "x = 1  #noqa:S101 - reason"),
        (tidy.bare_ignores, "x = 1  # type: ignore"),
        (tidy.bare_ignores, "x = 1  # type: ignore[misc]"),
        (tidy.bare_ignores, "# ruff: noqa: S101 - reason"),
        (tidy.bare_ignores, "# mypy: ignore-errors"),
        (tidy.long_file, "\n" * 501),
    ],
)
def test_rule_refuses(rule: Rule, source: str) -> None:
    assert list(rule(source)) != []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (tidy.impure_imports, "from __future__ import annotations\nfrom quarterdeck.domain.order import Order"),
        (tidy.impure_imports, "import quarterdeck.matching"),
        (tidy.impure_calls, "now = state.now\nopened = position.open\nx = book.open(order)"),
        (tidy.async_code, "def decide(): pass"),
        (tidy.floats, "def close(candle) -> float: return candle.close"),
        (tidy.floats, "FEE = Decimal('0.00055')"),
        (tidy.missing_docstring, '"""Owns nothing."""'),
        (tidy.bare_ignores, "x = 1  # noqa: BLE001, S110 - whatever a plugin raises, the answer is no"),
        (tidy.bare_ignores, "x = 1  # type: ignore[attr-defined]  # the stubs lack it"),
        (tidy.bare_ignores, "x = 1  # noqa: ARG002  # the interface asks for it"),
        (tidy.bare_ignores, "text = '# noqa'"),
        (tidy.long_file, "\n" * 500),
    ],
)
def test_rule_accepts(rule: Rule, source: str) -> None:
    assert list(rule(source)) == []
