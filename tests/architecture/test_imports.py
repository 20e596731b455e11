"""Guards the import rules, and guards that they cover every package there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.repository import ROOT, distributions, settings

LINTER = settings()["tool"]["importlinter"]
CONTRACTS: dict[str, dict[str, Any]] = {contract["id"]: contract for contract in LINTER["contracts"]}

PLUGINS = {package for each in distributions() if each.is_plugin for package in each.packages}
OURS = {package for each in distributions() if not each.is_plugin for package in each.packages}
QUARTERDECK = {package for package in OURS if package.startswith("quarterdeck.")}
CORE = QUARTERDECK - {"quarterdeck.client", "quarterdeck.v1"}

# Plugins that simulate a venue: they may import `quarterdeck.matching`.
VENUES = {"quarterdeck_bybit_simulator", "quarterdeck_exchange_paper"}
OPEN_TO_PLUGINS = {"quarterdeck.plugin", "quarterdeck.domain"}


def test_the_import_rules_hold() -> None:
    """A missing linter is a failure: the command is run without looking for it first."""
    command = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run(
        [command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in run.stdout


def test_every_package_on_disk_is_checked() -> None:
    """import-linter is silent about a package that nobody listed."""
    assert set(LINTER["root_packages"]) == QUARTERDECK | PLUGINS


def test_imports_for_types_only_count_too() -> None:
    assert LINTER["exclude_type_checking_imports"] is False
    assert LINTER["include_external_packages"] is True


def test_no_contract_has_an_exception() -> None:
    assert [name for name, contract in CONTRACTS.items() if contract.get("ignore_imports")] == []


def test_every_core_package_has_its_layer() -> None:
    layers = {name.strip() for layer in CONTRACTS["layers"]["layers"] for name in layer.split("|")}
    assert layers == CORE


@pytest.mark.parametrize(
    ("contract", "key", "packages"),
    [
        ("plugins", "source_modules", PLUGINS - VENUES),
        ("plugins", "forbidden_modules", QUARTERDECK - OPEN_TO_PLUGINS),
        ("venue-plugins", "source_modules", PLUGINS & VENUES),
        ("venue-plugins", "forbidden_modules", QUARTERDECK - OPEN_TO_PLUGINS - {"quarterdeck.matching"}),
        ("independent-plugins", "modules", PLUGINS),
        ("core-without-plugins", "source_modules", QUARTERDECK - {"quarterdeck.v1"}),
        ("core-without-plugins", "forbidden_modules", PLUGINS),
        ("client", "forbidden_modules", CORE),
        ("acyclic", "ancestors", (QUARTERDECK | PLUGINS) - {"quarterdeck.v1"}),
    ],
)
def test_contract_lists_what_is_on_disk(contract: str, key: str, packages: set[str]) -> None:
    assert set(CONTRACTS[contract][key]) == packages
