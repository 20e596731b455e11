"""Guards that the list of faults names tests and scenarios that exist, and leaves no scenario out."""

from __future__ import annotations

import re

from quarterdeck.daemon.failpoints import NAMES
from tests.repository import ROOT

TEXT = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
SCENARIOS = {path.stem for path in (ROOT / "core/src/quarterdeck/simulation/scenarios").glob("*.toml")}


def test_every_path_exists() -> None:
    paths = re.findall(r"`((?:core|tests|plugins)/[^`]+)`", TEXT)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_scenario_is_named() -> None:
    named = {
        name
        for group in re.findall(r"scenarios? ((?:`[a-z-]+`(?:, )?)+)", TEXT)
        for name in re.findall(r"`([a-z-]+)`", group)
    }
    assert named - SCENARIOS == set(), "no such scenario"
    assert SCENARIOS - named == set(), "not in docs/faults.md"


def test_every_failpoint_is_one() -> None:
    groups = re.findall(r"failpoints ((?:`[a-z.]+`(?:, )?)+)", TEXT)
    named = {name for group in groups for name in re.findall(r"`([a-z.]+)`", group)}
    assert named
    assert named <= set(NAMES)
