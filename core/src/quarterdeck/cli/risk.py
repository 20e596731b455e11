"""Owns `quarterdeck risk`: the limits and the kill switch."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group, RenderableType

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, group
from quarterdeck.cli.options import RequestId
from quarterdeck.cli.output import Column, Figure, fields, one, table
from quarterdeck.client import RiskLimit, RiskState, RiskStateChanged, short_id

app = group("Show the limits; halt trading and release it.")

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the journal.")]

LIMITS: tuple[Column[RiskLimit], ...] = (
    Column("rule", lambda each: each.rule),
    Column("name", lambda each: each.name),
    Figure("limit", lambda each: figures.number(each.limit)),
    Figure("now", lambda each: figures.number(each.observed)),
    Figure("left", lambda each: figures.number(each.headroom)),
)


@command(app)
def state(cli: Cli) -> None:
    """Show what may be traded, and how near the limits are."""
    with cli.daemon() as daemon:
        found = daemon.risk.state()
    cli.out.answer(found, _shown(found))


@command(app)
def halt(
    cli: Cli,
    reason: Reason = "by hand",
    flatten: Annotated[bool, typer.Option("--flatten", help="Close every position, too.")] = False,
    request_id: RequestId = None,
) -> None:
    """Engage the kill switch: trading halts, working entries are canceled, stops stay.

    That of every account, unless one is named.
    """
    with cli.daemon() as daemon:
        engage = daemon.risk.engage_kill_switch if cli.account else daemon.risk.halt_all
        halted = engage(reason, mode="FLATTEN" if flatten else "CANCEL_ONLY", request_id=request_id)
    if len(halted.accounts) < 2:
        _changed(cli, halted)
        return
    said = "\n".join(
        f"{short_id(each.account)}: recorded at {each.sequence}: trading is "
        f"{figures.word(each.risk_state.trading_state)}."
        for each in halted.accounts
    )
    cli.out.answer({"accounts": halted.accounts}, said)


@command(app)
def release(cli: Cli, reason: Reason = "by hand", request_id: RequestId = None) -> None:
    """Release the kill switch; limits that are still broken halt or reduce trading again."""
    with cli.daemon() as daemon:
        changed = daemon.risk.release_kill_switch(reason, request_id=request_id)
    _changed(cli, changed)


def _changed(cli: Cli, changed: RiskStateChanged) -> None:
    said = f"Recorded at {changed.sequence}: trading is {figures.word(changed.risk_state.trading_state)}."
    cli.out.answer(one(changed.risk_state, sequence=changed.sequence), said)


def _shown(found: RiskState) -> RenderableType:
    known: dict[str, RenderableType] = {
        "trading": figures.trading_state(found.trading_state),
        "since": _since(found),
        "today": f"{figures.percent(found.daily_loss)} lost of {figures.money(found.day_start_equity)}",
        "drawdown": f"{figures.percent(found.drawdown)} from {figures.money(found.peak_equity)}",
    }
    return Group(fields(known), "", table(LIMITS, found.limits, "No rule has limits."))


def _since(found: RiskState) -> str:
    began = "the beginning" if found.since_time is None else f"{figures.moment(found.since_time)} UTC"
    return f"{began}, {found.reason}" if found.reason else began
