"""Owns `quarterdeck close`."""

from __future__ import annotations

from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.options import BotFilter, RequestId, Symbol
from quarterdeck.cli.orders import COLUMNS
from quarterdeck.cli.output import table

app = single()


@command(app)
def close(cli: Cli, symbol: Symbol, bot: BotFilter = "", request_id: RequestId = None) -> None:
    """Close a position, or one bot's share of it.

    It is closed with reduce-only market orders, one for each share.
    """
    with cli.daemon() as daemon:
        closing = daemon.positions.close(symbol, bot=bot, request_id=request_id)
    cli.out.answer(closing, table(COLUMNS, closing.orders, "There was nothing to close."))
