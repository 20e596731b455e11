"""Owns `quarterdeck plugins`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Prose, table
from quarterdeck.client import Plugin
from quarterdeck.client.words import PluginKind
from quarterdeck.plugin.loader import load

app = single()

COLUMNS: tuple[Column[Plugin], ...] = (
    Column("kind", lambda each: figures.word(each.kind)),
    Column("name", lambda each: each.name),
    Column("in use", lambda each: Text("yes", style="green") if each.enabled else ""),
    Prose("from", lambda each: f"{each.distribution} {each.version}"),
    Prose("what it is", lambda each: each.summary),
)


@command(app)
def plugins(
    cli: Cli,
    installed: Annotated[
        bool, typer.Option("--installed", help="What is installed here, without asking a daemon.")
    ] = False,
) -> None:
    """List plugins, what they offer and where they come from."""
    if installed:
        found, sequence = _installed(), None
    else:
        with cli.daemon() as daemon:
            listing = daemon.system.plugins()
            found, sequence = list(listing), listing.snapshot_sequence
    cli.out.listed("plugins", found, sequence, table(COLUMNS, found, "No plugin is installed."))


_KINDS: Mapping[str, PluginKind] = {
    "exchange": "EXCHANGE",
    "feed": "FEED",
    "strategy": "STRATEGY",
    "sizer": "SIZER",
    "scaler": "SCALER",
    "risk rule": "RISK",
}
"""The contract's words for the loader's."""


def _installed() -> list[Plugin]:
    return [
        Plugin(
            kind=_KINDS[each.kind.noun],
            name=each.name,
            distribution=each.distribution,
            version=each.version,
            summary=each.summary,
            enabled=False,
        )
        for each in load().all()
    ]
