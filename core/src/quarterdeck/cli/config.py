"""Owns `quarterdeck config`: writing, checking and showing a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from quarterdeck.cli.command import Cli, command, group
from quarterdeck.cli.problem import Problem
from quarterdeck.cli.toml import written
from quarterdeck.daemon.apart import Claims, Named, check_apart
from quarterdeck.daemon.config import TEMPLATE, Config, load
from quarterdeck.daemon.parts import build_parts
from quarterdeck.plugin.loader import build, choose

app = group("Write, check and show a configuration.")

DEFAULT_PATH = Path("quarterdeck.toml")

ConfigPath = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration.")]


@command(app, asks_daemon=False)
def init(cli: Cli, path: ConfigPath = DEFAULT_PATH) -> None:
    """Write a configuration to begin with."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise Problem(
            f"{path} exists already.",
            code="ALREADY_EXISTS",
            metadata={"path": str(path)},
            hint="Give another name, or remove it first.",
        ) from None
    except OSError as error:
        raise Problem(f"{path} can't be written: {error.strerror}.", metadata={"path": str(path)}) from None
    said = f"Wrote {path}. Edit it, check it with `quarterdeck config check`, run it with `quarterdeck serve`."
    cli.out.answer({"path": str(path)}, said)


@command(app, asks_daemon=False)
def check(
    cli: Cli,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="The configurations of one daemon, an account each.")
    ] = None,
) -> None:
    """Check configurations, the plugins they name and their settings, and that one daemon can have them all."""
    files = [Named(str(path), load(path)) for path in paths or [DEFAULT_PATH]]
    check_apart(files)
    claims = Claims()
    checked = [_checked(each, claims) for each in files]
    told = "\n".join(f"{each['path']} is good: mode {each['mode']}, {', '.join(each['plugins'])}." for each in checked)
    cli.out.answer(checked[0] if len(checked) == 1 else {"files": checked}, told)


def _checked(file: Named, claims: Claims) -> dict[str, Any]:
    path, config = file
    parts = build_parts(config)
    claims.claim(config.account.id, parts.exchange)
    for bot in config.bots:
        where = f"bots.{bot.id}"
        build(choose(parts.plugins.strategies, bot.strategy, f"{where}.strategy"), bot.settings, f"{where}.settings")
    return {"path": path, "mode": config.mode, "plugins": parts.names}


@command(app, asks_daemon=False)
def show(cli: Cli, path: ConfigPath = DEFAULT_PATH) -> None:
    """Show a configuration whole, with what it leaves to the defaults."""
    config = load(path)
    cli.out.answer(config.model_dump(mode="json"), as_toml(config).rstrip())


def as_toml(config: Config) -> str:
    """A configuration as the text of a file."""
    return written(config.model_dump())
