"""Every kind of plugin, begun from its template, is a package that works as it is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from quarterdeck.cli.scaffold import KINDS, scaffold
from quarterdeck.domain.errors import ConfigError
from quarterdeck.plugin import loader

LONGEST = "a-name-as-long-as-they-may-be1"


def run(folder: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def begun(folder: Path, name: str) -> list[Path]:
    """One package of each kind."""
    return [scaffold(kind, name, folder / kind)[0].parent for kind in KINDS]


def test_there_is_a_template_for_every_kind() -> None:
    assert {kind.replace("risk", "risk rule") for kind in KINDS} == {kind.noun for kind in loader.KINDS.values()}


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass(kind: str, tmp_path: Path) -> None:
    scaffold(kind, "my-first", tmp_path / "new")
    run(tmp_path / "new", "pytest", "-q", "-p", "no:cacheprovider")


@pytest.mark.parametrize("name", ["x", LONGEST])
def test_its_style_is_clean(name: str, tmp_path: Path) -> None:
    begun(tmp_path, name)
    run(tmp_path, "ruff", "check", "--no-cache", ".")
    run(tmp_path, "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow
def test_its_types_are_clean(tmp_path: Path) -> None:
    begun(tmp_path, "my-first")
    sources = [str(folder) for kind in KINDS for folder in (tmp_path / kind / "src").iterdir()]
    run(Path.cwd(), "mypy", "--strict", "--config-file=", *sources)


@pytest.mark.parametrize("kind", KINDS)
def test_its_metadata_names_what_the_loader_looks_for(kind: str, tmp_path: Path) -> None:
    files = scaffold(kind, "my-first", tmp_path / "new")
    project = tomllib.loads((tmp_path / "new" / "pyproject.toml").read_text())["project"]
    module = f"quarterdeck_{kind}_my_first"
    assert project["name"] == f"quarterdeck-{kind}-my-first"
    assert project["entry-points"] == {"quarterdeck": {"my-first": module}}
    assert tmp_path / "new" / "src" / module / "__init__.py" in files
    assert tmp_path / "new" / "src" / module / "py.typed" in files
    assert files == sorted(path for path in (tmp_path / "new").rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_to_fill_in(kind: str, tmp_path: Path) -> None:
    for path in scaffold(kind, "my-first", tmp_path / "new"):
        text = path.read_text()
        assert re.search(r"\$[{a-z]|TODO|FIXME|NotImplemented", text) is None, path


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    assert scaffold("sizer", "x", tmp_path)


@pytest.mark.parametrize("content", ["file", "folder"])
def test_nothing_is_overwritten(content: str, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    if content == "folder":
        (target / ".hidden").mkdir(parents=True)
    else:
        target.write_text("precious")
    with pytest.raises(ConfigError, match="mine: is not empty; nothing is overwritten, name another folder"):
        scaffold("sizer", "x", target)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "name", ["", "My-First", "my_first", "-first", "first-", "my--first", "1st", "my first", "../x", LONGEST + "2", "é"]
)
def test_a_name_that_is_not_allowed_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        scaffold("sizer", name, tmp_path / "new")
    assert str(refused.value) == (
        f"name {name!r}: must be lower-case words joined by single dashes, such as 'my-sizer', at most 30 characters"
    )
    assert not list(tmp_path.iterdir())


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kind 'strateggy': unknown \(did you mean 'strategy'\?\); must be one of"):
        scaffold("strateggy", "x", tmp_path / "new")


def test_what_can_not_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> None:
        raise OSError(28, f"no space left for {len(text)} characters in {encoding}", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigError, match="new: can't be written: no space left"):
        scaffold("sizer", "x", tmp_path / "new")
    assert not list(tmp_path.iterdir())
