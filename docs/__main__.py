"""Owns the one command for all generated pages: `python -m docs --check` or `--write`, from the repository's root."""

from __future__ import annotations

import subprocess
import sys

from docs.generated import DOCS, ROOT

GENERATORS = [f"docs.{path.stem}" for path in sorted(DOCS.glob("generate_*.py"))]

if __name__ == "__main__":
    commands = [[sys.executable, "-m", generator, *sys.argv[1:]] for generator in GENERATORS]
    sys.exit(max(subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands))  # noqa: S603 - ours
