"""Owns `quarterdeck instruments`."""

from __future__ import annotations

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Column, Figure, table
from quarterdeck.client import Instrument

app = single()

COLUMNS: tuple[Column[Instrument], ...] = (
    Column("instrument", lambda each: each.id),
    Column("venue symbol", lambda each: each.venue_symbol),
    Column("kind", lambda each: figures.word(each.kind)),
    Figure("tick", lambda each: figures.number(each.tick_size)),
    Figure("lot", lambda each: figures.number(each.lot_size)),
    Figure("least", lambda each: figures.number(each.min_quantity)),
    Figure("least value", lambda each: figures.number(each.min_notional)),
    Figure("leverage", lambda each: figures.number(each.max_leverage)),
    Figure("maker fee", lambda each: figures.share(each.maker_fee_rate)),
    Figure("taker fee", lambda each: figures.share(each.taker_fee_rate)),
)


@command(app)
def instruments(cli: Cli) -> None:
    """List what can be traded."""
    with cli.daemon() as daemon:
        listing = daemon.market.instruments()
        found = list(listing)
    cli.out.listed("instruments", found, listing.snapshot_sequence, table(COLUMNS, found, "Nothing can be traded."))
