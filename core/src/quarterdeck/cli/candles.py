"""Owns `quarterdeck candles`."""

from __future__ import annotations

from collections import deque

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.options import IntervalText, Limit, Symbol
from quarterdeck.cli.output import Column, Figure, table
from quarterdeck.client import Candle

app = single()

COLUMNS: tuple[Column[Candle], ...] = (
    Column("opened (UTC)", lambda each: figures.moment(each.open_time)),
    Figure("open", lambda each: figures.number(each.open)),
    Figure("high", lambda each: figures.number(each.high)),
    Figure("low", lambda each: figures.number(each.low)),
    Figure("close", lambda each: figures.number(each.close)),
    Figure("volume", lambda each: figures.number(each.volume)),
)


@command(app)
def candles(
    cli: Cli,
    symbol: Symbol,
    interval: IntervalText = "1m",
    limit: Limit = 20,
) -> None:
    """List the latest closed candles of an instrument, oldest first."""
    with cli.daemon() as daemon:
        listing = daemon.market.candles(symbol, interval)
        found = list(deque(listing, maxlen=limit))
    empty = f"The daemon has no candles of {interval} for {symbol}."
    cli.out.listed("candles", found, listing.snapshot_sequence, table(COLUMNS, found, empty))
