"""Guards that every distribution is described the same way, and that no tool forgets one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repository import ROOT, Distribution, distributions, files, settings

every_distribution = pytest.mark.parametrize("each", distributions(), ids=lambda each: str(each.name))


def test_there_are_distributions() -> None:
    assert {each.name for each in distributions()} >= {"quarterdeck", "quarterdeck-client", "quarterdeck-protos"}


def test_every_plugin_folder_is_a_distribution() -> None:
    folders = {path.relative_to(ROOT).parts[1] for path in files() if path.is_relative_to(ROOT / "plugins")}
    assert folders == {each.folder.name for each in distributions() if each.is_plugin}


def test_one_version_for_all() -> None:
    assert len({each.manifest["project"]["version"] for each in distributions()}) == 1


def test_installer_knows_every_distribution() -> None:
    tool = settings()["tool"]["uv"]
    assert set(tool["sources"]) == {each.name for each in distributions()}
    members = {folder for pattern in tool["workspace"]["members"] for folder in ROOT.glob(pattern)}
    assert {each.folder for each in distributions()} <= members


@every_distribution
def test_described(each: Distribution) -> None:
    project = each.manifest["project"]
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "Apache-2.0"
    assert (each.folder / project["readme"]).is_file()


@every_distribution
def test_dependencies_have_floors_and_local_ones_are_of_this_version(each: Distribution) -> None:
    project = each.manifest["project"]
    wanted = [
        *project["dependencies"],
        *(x for group in project.get("optional-dependencies", {}).values() for x in group),
    ]
    assert [requirement for requirement in wanted if ">=" not in requirement] == []
    local = [requirement for requirement in wanted if requirement.startswith("quarterdeck")]
    assert {requirement.partition(">=")[2] for requirement in local} <= {project["version"]}


@every_distribution
def test_dependencies_are_pinned(each: Distribution) -> None:
    """`make lock` was run after the last change of a dependency."""
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "dev.txt").read_text(), flags=re.MULTILINE))
    wanted = {re.split(r"[>=<\[; ]", requirement)[0] for requirement in each.manifest["project"]["dependencies"]}
    assert wanted - {local.name for local in distributions()} <= pinned


@every_distribution
def test_sorted_dependencies(each: Distribution) -> None:
    wanted = each.manifest["project"]["dependencies"]
    assert wanted == sorted(wanted, key=lambda requirement: re.split(r"[>=<\[;]", requirement)[0])


@every_distribution
def test_namespace_stays_open_and_types_are_published(each: Distribution) -> None:
    """One `quarterdeck/__init__.py` would hide every other distribution's part of the namespace."""
    assert not (each.source / "quarterdeck" / "__init__.py").exists()
    for package in each.packages:
        assert (each.source / Path(*package.split(".")) / "py.typed").is_file(), package


@pytest.mark.parametrize("each", [each for each in distributions() if each.is_plugin], ids=lambda each: str(each.name))
def test_plugin_is_named_for_its_folder(each: Distribution) -> None:
    module = f"quarterdeck_{each.folder.name.replace('-', '_')}"
    assert each.name == f"quarterdeck-{each.folder.name}"
    assert each.packages == [module]
    offered = each.manifest["project"].get("entry-points", {}).get("quarterdeck")
    assert offered is None or set(offered.values()) == {module}  # a companion of a plugin offers nothing itself


def test_short_names_of_plugins_are_unique() -> None:
    names = [
        name
        for each in distributions()
        if each.is_plugin
        for name in each.manifest["project"].get("entry-points", {}).get("quarterdeck", ())
    ]
    assert len(names) == len(set(names))
