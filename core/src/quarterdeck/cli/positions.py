"""Owns `quarterdeck positions`."""

from __future__ import annotations

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Figure, table
from quarterdeck.client import Position

app = single()

COLUMNS: tuple[Column[Position], ...] = (
    Column("instrument", lambda each: each.id),
    Figure("quantity", lambda each: figures.number(each.quantity)),
    Figure("entry", lambda each: figures.number(each.average_price)),
    Figure("mark", lambda each: figures.number(each.mark_price)),
    Figure("unrealized", lambda each: figures.gain(each.unrealized_pnl)),
    Figure("realized", lambda each: figures.gain(each.realized_pnl)),
    Figure("fees", lambda each: figures.money(each.fees)),
    Figure("stop", lambda each: figures.number(each.stop_loss)),
    Figure("target", lambda each: figures.number(each.take_profit)),
    Figure("liquidation", lambda each: figures.number(each.liquidation_price)),
)
BRIEF = tuple(column for column in COLUMNS if column.heading not in {"realized", "fees", "liquidation"})
"""Where space is short."""

NONE = "No position is open."


@command(app)
def positions(cli: Cli) -> None:
    """List what is held."""
    with cli.daemon() as daemon:
        listing = daemon.positions.list()
        found = list(listing)
    cli.out.listed("positions", found, listing.snapshot_sequence, table(COLUMNS, found, NONE))
