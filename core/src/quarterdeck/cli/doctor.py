"""Owns `quarterdeck doctor`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Prose, table
from quarterdeck.client import Finding, Options, SyncClient

app = single()

#: How the command ends when a check has failed.
BROKEN = 3

#: Folding a long journal again takes its time.
PATIENCE = Options(timeout=600.0, attempt_timeout=600.0)

STYLES = {"OK": "green", "WARNING": "yellow", "FAILED": "bold red"}
"""How a verdict looks; any other is nothing to look at."""


@command(app)
def doctor(
    cli: Cli,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Fold the journal from its first event, not from the newest kept state.")
    ] = False,
) -> None:
    """Have the daemon check itself: each promise, and how it is kept.

    The daemon goes on trading meanwhile. Ends with 3 if a check has failed.
    """
    with cli.daemon() as daemon:
        daemon.system.status()  # whether anybody answers is known sooner than what is wrong
    with SyncClient.connect(cli.address, account=cli.account, options=PATIENCE) as daemon:
        found = daemon.system.diagnose("FULL" if full else "QUICK")
    cli.out.answer(found, table(COLUMNS, found.findings, "Nothing was checked."))
    if any(each.verdict == "FAILED" for each in found.findings):
        raise typer.Exit(BROKEN)


def _verdict(finding: Finding) -> Text:
    return Text(figures.word(finding.verdict), style=STYLES.get(finding.verdict, "dim"))


COLUMNS: tuple[Column[Finding], ...] = (
    Column("check", lambda each: each.check),
    Column("verdict", _verdict),
    Column("promises", lambda each: " ".join(each.invariants)),
    Prose("found", lambda each: each.detail),
)
