"""Owns `quarterdeck fills`."""

from __future__ import annotations

from typing import Annotated

import typer

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.options import BotFilter, Limit, SymbolFilter
from quarterdeck.cli.output import Column, Figure, table
from quarterdeck.client import Fill

app = single()

COLUMNS: tuple[Column[Fill], ...] = (
    Column("time", lambda each: figures.day_and_time(each.exchange_time)),
    Column("instrument", lambda each: figures.name(each.instrument)),
    Column("side", lambda each: figures.word(each.side)),
    Figure("quantity", lambda each: figures.number(each.quantity)),
    Figure("price", lambda each: figures.number(each.price)),
    Figure("fee", lambda each: f"{figures.number(each.fee)} {each.fee_currency}"),
    Figure("realized", lambda each: figures.gain(each.realized_pnl)),
    Column("liquidity", lambda each: figures.word(each.liquidity)),
    Column("order", lambda each: figures.name(each.order)),
    Column("bot", lambda each: figures.name(each.bot)),
)


@command(app)
def fills(
    cli: Cli,
    symbol: SymbolFilter = "",
    bot: BotFilter = "",
    order: Annotated[str, typer.Option(metavar="ID", help="Only of this order.")] = "",
    limit: Limit = 50,
) -> None:
    """List fills, newest first."""
    with cli.daemon() as daemon:
        listing = daemon.fills.list(instrument=symbol, bot=bot, order=order, limit=limit)
        found = list(listing)
    cli.out.listed("fills", found, listing.snapshot_sequence, table(COLUMNS, found, "There is no such fill."))
