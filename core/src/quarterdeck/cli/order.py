"""Owns `quarterdeck order`: what is done with orders."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer
from rich.console import Group

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, group
from quarterdeck.cli.options import BotFilter, BotOption, RequestId, Symbol, SymbolFilter
from quarterdeck.cli.orders import COLUMNS
from quarterdeck.cli.output import fields, one, table
from quarterdeck.cli.size import explained
from quarterdeck.client import NewOrder, Order, OrderChanged
from quarterdeck.client.words import OrderType, Side, TimeInForce

app = group("Create, change, cancel and read orders.")

OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id or full name.")]
SideArgument = Annotated[
    Literal["buy", "sell"], typer.Argument(case_sensitive=False, metavar="buy|sell", help="Which way.")
]
TypeOption = Annotated[
    Literal["market", "limit", "stop", "stop-limit", "take-profit", "take-profit-limit", "trailing-stop"],
    typer.Option("--type", case_sensitive=False, help="How the price is decided, and when."),
]
TimeInForceOption = Annotated[
    Literal["gtc", "ioc", "fok", "post-only"] | None,
    typer.Option(case_sensitive=False, help="How long it works; until canceled if not given."),
]


@command(app)
def create(
    cli: Cli,
    symbol: Symbol,
    side: SideArgument,
    *,
    type_: TypeOption = "market",
    quantity: Annotated[
        str | None, typer.Option("--quantity", "-q", metavar="BASE", help="How much; the sizer decides if not given.")
    ] = None,
    stop_loss: Annotated[
        str | None, typer.Option(metavar="PRICE", help="Attached stop; what the size is reckoned from.")
    ] = None,
    take_profit: Annotated[str | None, typer.Option(metavar="PRICE", help="Attached take-profit.")] = None,
    limit_price: Annotated[str | None, typer.Option(metavar="PRICE", help="The worst price to accept.")] = None,
    trigger_price: Annotated[str | None, typer.Option(metavar="PRICE", help="The price that sets it off.")] = None,
    trailing_distance: Annotated[
        str | None, typer.Option(metavar="QUOTE", help="How far a trailing stop stays behind the best price.")
    ] = None,
    time_in_force: TimeInForceOption = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Never open or enlarge a position.")] = False,
    bot: BotOption = "",
    order_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Your id for the order.")] = None,
    request_id: RequestId = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Check everything, record and send nothing.")
    ] = False,
) -> None:
    """Create an order, sized and checked by every risk rule.

    Without --quantity the account's sizer decides, which needs a --stop-loss. The answer comes when the order is
    recorded; what the exchange makes of it is shown by `quarterdeck events`.
    """
    with cli.daemon() as daemon:
        created = daemon.orders.create(
            instrument=symbol,
            side=cast("Side", _word(side)),
            type=cast("OrderType", _word(type_)),
            quantity=quantity,
            limit_price=limit_price,
            trigger_price=trigger_price,
            trailing_distance=trailing_distance,
            time_in_force=cast("TimeInForce", _word(time_in_force)) if time_in_force else None,
            reduce_only=reduce_only,
            stop_loss=stop_loss,
            take_profit=take_profit,
            bot=bot,
            order_id=order_id,
            validate_only=validate_only,
            request_id=request_id,
        )
    order = created.order
    done = "Would be recorded" if validate_only else f"Recorded at {created.sequence}"
    shown = [f"{done}: {summary(order)}"]
    cli.out.answer(
        one(order, sequence=created.sequence, sizing=created.sizing),
        *shown,
        *([Group("", explained(created.sizing))] if created.sizing else []),
    )


@command(app)
def get(cli: Cli, order: OrderId) -> None:
    """Show one order."""
    with cli.daemon() as daemon:
        found = daemon.orders.get(order)
    cli.out.answer(found, fields(_shown(found)))


@command(app)
def amend(
    cli: Cli,
    order: OrderId,
    quantity: Annotated[
        str | None, typer.Option("--quantity", "-q", metavar="BASE", help="New quantity, with what is filled.")
    ] = None,
    limit_price: Annotated[str | None, typer.Option(metavar="PRICE", help="New limit price.")] = None,
    trigger_price: Annotated[str | None, typer.Option(metavar="PRICE", help="New trigger price.")] = None,
    request_id: RequestId = None,
) -> None:
    """Ask for a working order to be changed; what is not given stays."""
    with cli.daemon() as daemon:
        changed = daemon.orders.amend(
            order,
            quantity=quantity,
            limit_price=limit_price,
            trigger_price=trigger_price,
            request_id=request_id,
        )
    _asked(cli, "change", changed)


@command(app)
def cancel(cli: Cli, order: OrderId, request_id: RequestId = None) -> None:
    """Ask for an order to be taken off the exchange."""
    with cli.daemon() as daemon:
        changed = daemon.orders.cancel(order, request_id=request_id)
    _asked(cli, "cancellation", changed)


@command(app)
def resolve(
    cli: Cli,
    order: OrderId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Who says so, and how they know.")],
    request_id: RequestId = None,
) -> None:
    """Settle an order whose outcome is unknown as never having arrived, because you know that it did not."""
    with cli.daemon() as daemon:
        changed = daemon.orders.resolve(order, reason, request_id=request_id)
    said = f"Recorded at {changed.sequence}: {changed.order.id} is settled and counts no more."
    cli.out.answer(one(changed.order, sequence=changed.sequence), said)


@command(app)
def cancel_all(cli: Cli, symbol: SymbolFilter = "", bot: BotFilter = "", request_id: RequestId = None) -> None:
    """Ask for every working entry and exit to be canceled; stops and take-profits stay."""
    with cli.daemon() as daemon:
        changed = daemon.orders.cancel_all(instrument=symbol, bot=bot, request_id=request_id)
    cli.out.answer(changed, table(COLUMNS, changed.orders, "There was nothing to cancel."))


def _asked(cli: Cli, wish: str, changed: OrderChanged) -> None:
    said = f"Recorded at {changed.sequence}: {wish} of {changed.order.id} was asked for. The answer will be an event."
    cli.out.answer(one(changed.order, sequence=changed.sequence), said)


def summary(order: NewOrder) -> str:
    """An order in a line."""
    return f"{order.id}, {_terms(order)}"


def _terms(order: NewOrder) -> str:
    prices = {
        "at": order.limit_price,
        "when at": order.trigger_price,
        "trailing by": order.trailing_distance,
        "stop": order.stop_loss,
        "target": order.take_profit,
    }
    known = (f"{label} {figures.number(price)}" for label, price in prices.items() if price is not None)
    wish = f"{figures.word(order.side)} {figures.number(order.quantity)} {figures.name(order.instrument)}"
    return ", ".join((f"{wish} {figures.word(order.type)}", *known))


def _shown(order: Order) -> dict[str, str]:
    known = {
        "order": order.name,
        "terms": _terms(order),
        "state": figures.word(order.state) + (f": {order.reason}" if order.reason else ""),
        "filled": _filled(order),
        "fees": figures.money(order.fees),
        "role": figures.word(order.role),
        "time in force": figures.word(order.time_in_force or ""),
        "reduce only": "yes" if order.reduce_only else "",
        "bot": order.bot,
        "attached to": order.parent_order,
        "exchange's id": order.exchange_order_id,
        "client order id": order.link_id,
        "recorded": f"{figures.moment(order.create_time)} UTC",
        "updated": f"{figures.moment(order.update_time)} UTC",
    }
    return {label: value for label, value in known.items() if value}


def _word(text: str) -> str:
    """A word of the contract, as typed on a command line."""
    return text.replace("-", "_").upper()


def _filled(order: Order) -> str:
    """How much of an order was filled, and at what price."""
    quantity = figures.number(order.filled_quantity)
    return quantity if order.average_price is None else f"{quantity} at {figures.number(order.average_price)}"
