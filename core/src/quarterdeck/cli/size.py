"""Owns `quarterdeck size`, and how a size is explained."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.options import Symbol
from quarterdeck.cli.output import Column, Figure, Prose, fields, one, table
from quarterdeck.client import ComputedSize, Refusal, Sizing, SizingStep
from quarterdeck.client.words import Side

app = single()

STEPS: tuple[Column[SizingStep], ...] = (
    Column("step", lambda each: each.rule),
    Figure("before", lambda each: figures.number(each.before)),
    Figure("after", lambda each: figures.number(each.after)),
    Prose("with", lambda each: ", ".join(f"{i.name} {figures.number(i.value)}" for i in each.inputs)),
)
FIELDS = (
    "quantity",
    "risk_amount",
    "risk_ratio",
    "tier",
    "notional",
    "basis",
    "entry_price",
    "stop_price",
    "steps",
)


@command(app)
def size(
    cli: Cli,
    symbol: Symbol,
    *,
    stop: Annotated[str, typer.Option(metavar="PRICE", help="Where the trade is given up.")],
    entry: Annotated[
        str | None, typer.Option(metavar="PRICE", help="Where it begins; the mark price if not given.")
    ] = None,
    side: Annotated[
        Literal["buy", "sell"] | None,
        typer.Option(case_sensitive=False, help="Which way; follows from entry and stop if not given."),
    ] = None,
    balance: Annotated[str | None, typer.Option(metavar="AMOUNT", help="As if this were the account's size.")] = None,
) -> None:
    """Show how large a trade would be, and how that was found.

    The same code that sizes real orders answers: an order with this stop-loss gets this quantity.
    """
    with cli.daemon() as daemon:
        found = daemon.sizing.compute(symbol, _side(side, entry, stop), stop=stop, entry=entry, balance=balance)
    data = one(found.sizing) if found.sizing else dict.fromkeys(FIELDS)
    beside = {"allowed": found.allowed, "refusal": found.refusal, "snapshot_sequence": found.snapshot_sequence}
    cli.out.answer({**data, **beside}, _shown(found))


def _side(given: str | None, entry: str | None, stop: str) -> Side:
    """A stop above the entry is a seller's."""
    if given is not None:
        return "SELL" if given.lower() == "sell" else "BUY"
    try:
        return "SELL" if entry is not None and Decimal(stop) > Decimal(entry) else "BUY"
    except InvalidOperation:  # the daemon says which of them is no number
        return "BUY"


def _shown(found: ComputedSize) -> RenderableType:
    verdict = Text("allowed", style="green") if found.refusal is None else Text(refused(found.refusal), style="red")
    sizing = explained(found.sizing) if found.sizing else Text("no size was found")
    return Group(sizing, fields({"verdict": verdict}))


def explained(sizing: Sizing) -> RenderableType:
    """A size and every step to it."""
    numbers = {
        "quantity": f"{figures.number(sizing.quantity)} (notional {figures.number(sizing.notional)})",
        "entry, stop": f"{figures.number(sizing.entry_price)}, {figures.number(sizing.stop_price)}",
        "at risk": f"{figures.money(sizing.risk_amount)} between entry and stop, before fees",
        "allowed risk": (
            f"{figures.share(sizing.risk_ratio)} of {figures.money(sizing.basis)}"
            + (f" ({sizing.tier})" if sizing.tier else "")
        ),
    }
    return Group(fields(numbers), "", table(STEPS, sizing.steps, "The size was given."), "")


def refused(refusal: Refusal) -> str:
    """Why a rule said no, in a sentence."""
    observed = (
        f": {figures.number(refusal.observed)} against {figures.number(refusal.limit)}" if refusal.observed else ""
    )
    return f"refused by {refusal.rule}, {refusal.reason}{observed}"
