"""Owns `quarterdeck bybit`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import structlog
import typer

from quarterdeck.domain.amounts import use_money_context
from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.validation import validated
from quarterdeck_exchange_bybit.check.report import Finding, Line, counts
from quarterdeck_exchange_bybit.check.run import check
from quarterdeck_exchange_bybit.rest import Unreachable
from quarterdeck_exchange_bybit.settings import BybitSettings, Environment

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Bybit itself, as this plugin sees it.")

_COLORS = {Finding.CONFIRMED: "green", Finding.DIFFERENT: "red", Finding.NOT_CHECKED: "yellow"}


@app.callback(invoke_without_command=True)
def bybit(context: typer.Context) -> None:
    """Bybit itself, as this plugin sees it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("check")
def check_bybit(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    environment: Annotated[Environment, typer.Option(help="Which Bybit is asked.")],
    symbol: Annotated[
        str, typer.Option(metavar="SYMBOL", help="A perpetual or a pair that nobody trades there.")
    ] = "btcusdt",
    credentials: Annotated[str, typer.Option(help="env:NAME, file:PATH or keyring:NAME.")] = "env:BYBIT",
    fill: Annotated[bool, typer.Option("--fill", help="Open and close a tiny position, too.")] = False,
    dcp: Annotated[
        bool, typer.Option("--dcp", help="Set disconnection protection, too. It stays set; it is for a whole account.")
    ] = False,
    live_money: Annotated[bool, typer.Option("--live-money", help="Yes, on the live exchange.")] = False,
    simulator: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Ask a simulator on this machine instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")] = False,
) -> None:
    """Ask Bybit whether what this plugin takes for true of it is so, with the smallest orders there are."""
    if environment is Environment.LIVE and not live_money and simulator is None:
        raise ConfigError("environment: this would place orders with real money; give --live-money if that is wanted")
    table: dict[str, object] = {"environment": environment.value, "symbols": [symbol], "credentials": credentials}
    if simulator is not None:
        socket = f"ws://{simulator}"
        table["simulator"] = {"rest": f"http://{simulator}", "private": socket, "public": socket}
    settings = validated(BybitSettings, table, "options")
    allowed = {name for name, wanted in (("fill", fill), ("dcp", dcp)) if wanted}
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    use_money_context()
    wants_json = as_json or bool(getattr(context.obj, "as_json", False))
    try:
        lines, left = asyncio.run(check(settings, allowed, tell=_tell if not wants_json else _nothing))
    except Unreachable as error:
        raise ConfigError(f"Bybit: {error}") from error
    _conclude(environment, lines, left, as_json=wants_json)


def _nothing(_: Line) -> None:
    """A program reads the whole report."""


def _tell(line: Line) -> None:
    finding = line.answer.finding
    typer.echo(f"{typer.style(f'{finding.value:<12}', fg=_COLORS[finding])} {line.name:<16} {line.assumption}")
    typer.echo(f"{'':<29} {line.answer.evidence}")


def _conclude(environment: Environment, lines: Sequence[Line], left: Sequence[str], *, as_json: bool) -> None:
    found = counts(lines)
    if as_json:
        report = {"environment": environment.value, **found, "left": list(left), "answers": [x.data() for x in lines]}
        typer.echo(json.dumps({"check": report}))
    else:
        typer.echo("\n" + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in found.items()) + ".")
        for each in left:
            typer.secho(f"Not taken away: {each}", fg="red", err=True)
    if left or found["different"]:
        raise typer.Exit(1)
