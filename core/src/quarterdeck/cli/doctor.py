"""Owns `quarterdeck doctor`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, NamedTuple

import typer
from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Prose, table
from quarterdeck.cli.status import AWAY, statuses
from quarterdeck.client import Diagnosis, Finding, Options, Status, SyncClient, short_id
from quarterdeck.client.words import DiagnosisDepth

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
        accounts = statuses(cli, daemon)  # whether anybody answers is known sooner than what is wrong
    with SyncClient.connect(cli.address, account=cli.account, options=PATIENCE) as daemon:
        depth: DiagnosisDepth = "FULL" if full else "QUICK"
        if len(accounts) == 1:
            found = daemon.system.diagnose(depth)
            cli.out.answer(found, table(COLUMNS, found.findings, "Nothing was checked."))
            is_broken = _is_broken(found)
        else:
            told = {short_id(each.account): _examined(daemon, each, depth) for each in accounts}
            rows = [_Row(account, each) for account, found in told.items() for each in found.findings]
            cli.out.answer({"accounts": told}, table(OF_SEVERAL, rows, "Nothing was checked."))
            is_broken = any(_is_broken(each) for each in told.values())
    if is_broken:
        raise typer.Exit(BROKEN)


def _examined(daemon: SyncClient, account: Status, depth: DiagnosisDepth) -> Diagnosis:
    """What is found in one of several accounts. One that is not taken up can't look, which is a finding, too."""
    if account.state in AWAY:
        why = f"{account.state}: {'; '.join(account.reasons)}"
        return Diagnosis((Finding("state", (), "FAILED", why, {}, timedelta()),), account.head_sequence)
    return daemon.for_account(short_id(account.account)).system.diagnose(depth)


def _is_broken(found: Diagnosis) -> bool:
    return any(each.verdict == "FAILED" for each in found.findings)


def _verdict(finding: Finding) -> Text:
    return Text(figures.word(finding.verdict), style=STYLES.get(finding.verdict, "dim"))


COLUMNS: tuple[Column[Finding], ...] = (
    Column("check", lambda each: each.check),
    Column("verdict", _verdict),
    Column("promises", lambda each: " ".join(each.invariants)),
    Prose("found", lambda each: each.detail),
)


class _Row(NamedTuple):
    account: str
    finding: Finding


OF_SEVERAL: tuple[Column[_Row], ...] = (
    Column("account", lambda row: row.account),
    Column("check", lambda row: row.finding.check),
    Column("verdict", lambda row: _verdict(row.finding)),
    Column("promises", lambda row: " ".join(row.finding.invariants)),
    Prose("found", lambda row: row.finding.detail),
)
