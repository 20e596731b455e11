"""Owns `quarterdeck serve`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.config import DEFAULT_PATH
from quarterdeck.cli.logs import log_to_stderr
from quarterdeck.cli.problem import Problem, misused
from quarterdeck.cli.toml import written
from quarterdeck.daemon import failpoints
from quarterdeck.daemon.apart import Named, check_apart
from quarterdeck.daemon.app import UNFINISHED, Daemon, run
from quarterdeck.daemon.config import Config, Mode, load, parse

app = single()


@command(app, asks_daemon=False)
def serve(
    cli: Cli,
    *,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help=f"The configuration; {DEFAULT_PATH} if it is there. Given more than once, one account each.",
        ),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen, instead of what the configuration says.")
    ] = None,
    mode: Annotated[Mode | None, typer.Option(help="How real the trading is, instead of what it says.")] = None,
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait while another daemon uses the journal, then take over.")
    ] = False,
) -> None:
    """Run the daemon until it is told to stop.

    SIGTERM and Ctrl-C stop it in order; protective orders stay at the exchange. The log goes to stderr.
    """
    files = configurations(cli, config or [])
    if mode is not None and len(files) > 1:
        raise misused("--mode is for one account: with several, each configuration says its own.")
    first, *others = (each.config for each in files)
    chosen = [
        with_changes(first, listen=listen, mode=mode, standby=standby),
        *(with_changes(each, standby=standby) for each in others),
    ]
    log_to_stderr(as_json=cli.out.as_json)
    if failpoints.arm(os.environ):
        cli.out.note(f"Failpoints are armed by {failpoints.ARM}: this daemon is meant to fail.")
    code = run(chosen, on_ready=lambda daemon: _ready(cli, daemon))
    if code:
        said = (
            "The daemon stopped, but not all could be finished."
            if code == UNFINISHED
            else "The daemon could not go on."
        )
        raise Problem(said, code="INTERNAL", hint="The log above says more.", exit_code=code)


def configurations(cli: Cli, paths: Sequence[Path]) -> Sequence[Named]:
    """What the user means: the files that were named, the usual one, or the defaults.

    Raises:
        ConfigError: one of them is wrong, or they can't be one daemon's.
    """
    if paths or DEFAULT_PATH.exists():
        files = [Named(str(path), load(path)) for path in paths or [DEFAULT_PATH]]
        check_apart(files)
        return files
    cli.out.note(f"There is no {DEFAULT_PATH} here: running on defaults. `quarterdeck config init` writes one.")
    return [Named("the defaults", Config())]


def with_changes(
    config: Config, *, listen: str | None = None, mode: Mode | None = None, standby: bool = False
) -> Config:
    """The configuration with what the command line says instead.

    Raises:
        ConfigError: that is not allowed.
    """
    table = config.model_dump()
    if listen is not None:
        table["daemon"]["listen"] = listen
    if mode is not None:
        table["mode"] = mode
    if standby:
        table["journal"]["standby"] = True
    return parse(written(table), "command line")


def _ready(cli: Cli, daemon: Daemon) -> None:
    config = daemon.config
    data: dict[str, object] = {"address": daemon.address, "mode": config.mode, "journal": config.journal.url}
    said = f"Mode {config.mode.upper()}"
    if len(daemon.berths) > 1:
        data["accounts"] = [
            {"account": berth.account_id, "mode": berth.config.mode, "journal": berth.config.journal.url}
            for berth in daemon.berths
        ]
        said = "Accounts " + ", ".join(f"{berth.account_id} ({berth.config.mode})" for berth in daemon.berths)
    cli.out.answer(data, f"{said}, listening at {daemon.address}. `quarterdeck status` shows how it is.")
