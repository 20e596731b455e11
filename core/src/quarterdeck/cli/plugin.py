"""Owns `quarterdeck plugin`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quarterdeck.cli.command import Cli, command, group
from quarterdeck.cli.scaffold import KINDS, scaffold

app = group("Begin a plugin of your own.")


@command(app, asks_daemon=False)
def new(
    cli: Cli,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"What it is: {', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What settings will call it, such as my-idea.")],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FOLDER", help="Where to write it; quarterdeck-KIND-NAME here if not given."),
    ] = None,
) -> None:
    """Write a complete plugin package that installs, passes its tests and can be changed from there."""
    target = into or Path(f"quarterdeck-{kind}-{name}")
    files = scaffold(kind, name, target)
    cli.out.answer(
        {"path": str(target), "files": [str(file) for file in files]},
        f"Wrote {len(files)} files. Next:\n  cd {target}\n  pip install -e '.[test]'\n  pytest",
    )
