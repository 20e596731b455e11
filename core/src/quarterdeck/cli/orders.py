"""Owns `quarterdeck orders`, and how orders are listed."""

from __future__ import annotations

from typing import Annotated

import typer

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.options import BotFilter, Limit, SymbolFilter
from quarterdeck.cli.output import Column, table
from quarterdeck.client import NewOrder, Order

app = single()


def terms(order: NewOrder, instrument: str = "") -> str:
    """What is asked of the exchange; of which instrument, if that has to be said."""
    prices = {
        "at": order.limit_price,
        "when at": order.trigger_price,
        "trailing by": order.trailing_distance,
        "stop": order.stop_loss,
        "target": order.take_profit,
    }
    known = (f"{label} {figures.number(price)}" for label, price in prices.items() if price is not None)
    wish = (figures.word(order.side), figures.number(order.quantity), instrument, figures.word(order.type))
    return ", ".join((" ".join(filter(None, wish)), *known))


def filled(order: Order) -> str:
    """How much of an order was filled, and at what price."""
    quantity = figures.number(order.filled_quantity)
    return quantity if order.average_price is None else f"{quantity} at {figures.number(order.average_price)}"


COLUMNS: tuple[Column[Order], ...] = (
    Column("recorded", lambda each: figures.day_and_time(each.create_time)),
    Column("order", lambda each: each.id),
    Column("instrument", lambda each: figures.name(each.instrument)),
    Column("terms", terms),
    Column("filled", filled),
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
