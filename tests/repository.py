"""What the guards know of this repository: its files, its distributions, its import packages."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One folder with a `pyproject.toml` of its own."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name on a package index."""
        return str(self.manifest["project"]["name"])

    @property
    def is_plugin(self) -> bool:
        """Whether it stands in plugins/."""
        return self.folder.parent.name == "plugins"

    @property
    def source(self) -> Path:
        """The folder that goes on the import path."""
        return self.folder / "src"

    @property
    def packages(self) -> list[str]:
        """Its import packages: `quarterdeck.<x>` where it fills the namespace, else the package itself."""
        tops = [folder for folder in self.source.iterdir() if folder.is_dir() and folder.name.isidentifier()]
        found: list[str] = []
        for top in tops:
            namespace = not (top / "__init__.py").exists()
            folders = [folder for folder in top.iterdir() if folder.is_dir()] if namespace else [top]
            found += [".".join(f.relative_to(self.source).parts) for f in folders if any(f.rglob("*.py"))]
        return sorted(found)


@cache
def distributions() -> tuple[Distribution, ...]:
    """Every distribution of the repository, by folder."""
    manifests = sorted(path for path in ROOT.glob("*/**/pyproject.toml") if ".venv" not in path.parts)
    tracked = set(files())
    return tuple(Distribution(path.parent, tomllib.loads(path.read_text())) for path in manifests if path in tracked)


@cache
def files() -> tuple[Path, ...]:
    """Every file that is tracked by git or about to be: not ignored, and there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file()))


@cache
def settings() -> dict[str, Any]:
    """The root `pyproject.toml`."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def is_generated(path: Path) -> bool:
    """Whether `make gen` writes the file."""
    return "_pb2" in path.name
