"""Builds every wheel and shows that it holds what it should and works with nothing but what it asks for."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.repository import Distribution, distributions

BY_NAME = {each.name: each for each in distributions()}

every_distribution = pytest.mark.parametrize("each", distributions(), ids=lambda each: str(each.name))

# Imports every module of the given packages, then loads the entry points. -S leaves the editable installs of this
# checkout out, so that Quarterdeck itself comes from the wheels alone.
IMPORT_EVERYTHING = """
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

target, third_parties, *packages = sys.argv[1:]
sys.path[:0] = [target]
sys.path.append(third_parties)
for package in packages:
    module = import_module(package)
    folder = Path(module.__path__[0])
    assert folder.is_relative_to(target), folder
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(target).with_suffix("").parts
        if parts[-1] == "__main__":
            continue
        import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
foreign = [n for n, file in files.items() if n.startswith("quarterdeck") and file and target not in file]
assert not foreign, foreign
for point in entry_points(group="quarterdeck"):
    if point.value in packages:
        assert point.load() is sys.modules[point.value]
"""


def run(*command: str | Path) -> str:
    """Runs a command; what it printed is the failure's explanation."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def uv(*arguments: str | Path) -> None:
    """Runs the installer with what is here: no network, no cache outside the test."""
    run(Path(sys.executable).parent / "uv", *arguments, "--offline", "--no-cache", "--python", sys.executable)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One wheel per distribution, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    built = {}
    for each in distributions():
        out = folder / each.name
        uv("build", "--wheel", "--no-build-isolation", "--out-dir", out, each.folder)
        (built[each.name],) = out.glob("*.whl")
    return built


def local_requirements(name: str) -> set[str]:
    """The distributions of this repository that one needs, itself among them."""
    wanted = {name}
    for requirement in BY_NAME[name].manifest["project"]["dependencies"]:
        needed = re.split(r"[>=<\[; ]", requirement)[0]
        if needed in BY_NAME and needed not in wanted:
            wanted |= local_requirements(needed)
    return wanted


@every_distribution
def test_wheel_holds_exactly_the_sources(each: Distribution, wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels[each.name]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(each.source).as_posix()
        for path in each.source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == sources
    assert "quarterdeck/__init__.py" not in held
    for package in each.packages:
        assert f"{package.replace('.', '/')}/py.typed" in held


@every_distribution
def test_wheel_says_what_it_is(each: Distribution, wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels[each.name]) as wheel:
        (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(wheel.read(path))
    assert metadata["Name"] == each.name
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert each.name in str(metadata.get_payload()), "the README is the description"


@every_distribution
def test_wheel_works_with_nothing_but_what_it_asks_for(
    each: Distribution, wheels: dict[str, Path], tmp_path: Path
) -> None:
    target = tmp_path / "installed"
    needed = [wheels[name] for name in sorted(local_requirements(each.name))]
    uv("pip", "install", "--no-deps", "--target", target, *needed)
    run(sys.executable, "-I", "-S", "-c", IMPORT_EVERYTHING, target, sysconfig.get_path("purelib"), *each.packages)
