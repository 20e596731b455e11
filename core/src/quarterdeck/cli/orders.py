"""Owns `quarterdeck orders`, and how orders are listed."""

from __future__ import annotations

from typing import Annotated

import typer

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.options import BotFilter, Limit, SymbolFilter
from quarterdeck.cli.output import Column, Figure, table
from quarterdeck.client import Order

app = single()


COLUMNS: tuple[Column[Order], ...] = (
    Column("recorded", lambda each: figures.day_and_time(each.create_time)),
    Column("order", lambda each: each.id),
    Column("instrument", lambda each: figures.name(each.instrument)),
    Column("side", lambda each: figures.word(each.side)),
    Column("type", lambda each: figures.word(each.type)),
    Figure("quantity", lambda each: figures.number(each.quantity)),
    Figure("filled", lambda each: figures.number(each.filled_quantity)),
    Figure("price", lambda each: figures.number(each.limit_price or each.trigger_price or each.trailing_distance)),
    Figure("average", lambda each: figures.number(each.average_price)),
    Column("role", lambda each: figures.word(each.role)),
    Column("state", lambda each: figures.word(each.state)),
    Column("bot", lambda each: figures.name(each.bot)),
)


@command(app)
def orders(
    cli: Cli,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    symbol: SymbolFilter = "",
    bot: BotFilter = "",
    limit: Limit = 50,
) -> None:
    """List orders, newest first: those that are not over, or all."""
    with cli.daemon() as daemon:
        listing = daemon.orders.list(instrument=symbol, bot=bot, open_only=not all_, limit=limit)
        found = list(listing)
    empty = "There is no such order." if all_ else "No such order is open; --all lists those that are over."
    cli.out.listed("orders", found, listing.snapshot_sequence, table(COLUMNS, found, empty))
