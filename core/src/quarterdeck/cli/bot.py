"""Owns `quarterdeck bot`: what is done with bots."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from quarterdeck.cli import figures
from quarterdeck.cli.command import Cli, command, group
from quarterdeck.cli.options import IntervalText, RequestId, settings_from
from quarterdeck.cli.output import Column, Figure, fields, one, table
from quarterdeck.client import Bot, BotChanged

app = group("Create and run bots.")

BotId = Annotated[str, typer.Argument(metavar="BOT", help="The bot's id.")]

BRIEF: tuple[Column[Bot], ...] = (
    Column("bot", lambda each: each.id),
    Column("state", lambda each: figures.bot_state(each.state)),
    Column("strategy", lambda each: each.strategy),
    Column("instrument", lambda each: figures.name(each.instrument)),
    Figure("quantity", lambda each: figures.number(each.quantity)),
    Figure("realized", lambda each: figures.gain(each.realized_pnl)),
    Figure("trades", lambda each: f"{each.trades:,}"),
)
COLUMNS: tuple[Column[Bot], ...] = (
    *BRIEF,
    Figure("fees", lambda each: figures.money(each.fees)),
    Figure("entry", lambda each: figures.number(each.average_price)),
    Column("candles", lambda each: figures.length(each.interval)),
)


@command(app, "list")
def list_(cli: Cli) -> None:
    """List the bots."""
    with cli.daemon() as daemon:
        listing = daemon.bots.list()
        found = list(listing)
    empty = "There is no bot; `quarterdeck bot create` makes one."
    cli.out.listed("bots", found, listing.snapshot_sequence, table(COLUMNS, found, empty))


@command(app)
def get(cli: Cli, bot: BotId) -> None:
    """Show one bot."""
    with cli.daemon() as daemon:
        found = daemon.bots.get(bot)
    cli.out.answer(found, fields(_shown(found)))


@command(app)
def create(
    cli: Cli,
    bot: BotId,
    *,
    strategy: Annotated[str, typer.Option(metavar="NAME", help="The strategy plugin.")],
    symbol: Annotated[str, typer.Option(metavar="SYMBOL", help="What it trades.")],
    interval: IntervalText = "1m",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the strategy; may be given several times."),
    ] = None,
    start_it: Annotated[bool, typer.Option("--start", help="Start it, too.")] = False,
    request_id: RequestId = None,
) -> None:
    """Record a bot; it is stopped until it is started."""
    with cli.daemon() as daemon:
        changed = daemon.bots.create(
            bot,
            strategy=strategy,
            instrument=symbol.lower(),
            interval=interval,
            settings=settings_from(settings or (), "--set"),
            request_id=request_id,
        )
        if start_it:
            changed = daemon.bots.start(bot)
    _changed(cli, changed)


@command(app)
def start(cli: Cli, bot: BotId, request_id: RequestId = None) -> None:
    """Let a bot trade."""
    with cli.daemon() as daemon:
        changed = daemon.bots.start(bot, request_id=request_id)
    _changed(cli, changed)


@command(app)
def pause(cli: Cli, bot: BotId, request_id: RequestId = None) -> None:
    """Let a bot see the market and leave positions, but open nothing."""
    with cli.daemon() as daemon:
        changed = daemon.bots.pause(bot, request_id=request_id)
    _changed(cli, changed)


@command(app)
def stop(
    cli: Cli,
    bot: BotId,
    flatten: Annotated[bool, typer.Option("--flatten", help="Close its share of the position.")] = False,
    request_id: RequestId = None,
) -> None:
    """Stop a bot and cancel its entries; its position stays, protected, unless it is to be closed."""
    with cli.daemon() as daemon:
        changed = daemon.bots.stop(bot, position_policy="FLATTEN" if flatten else "KEEP", request_id=request_id)
    _changed(cli, changed)


def _changed(cli: Cli, changed: BotChanged) -> None:
    said = f"Recorded at {changed.sequence}: bot {changed.bot.id} is {figures.word(changed.bot.state)}."
    cli.out.answer(one(changed.bot, sequence=changed.sequence), said)


def _shown(bot: Bot) -> dict[str, Any]:
    return {
        "bot": bot.name,
        "state": figures.bot_state(bot.state),
        **({"failure": bot.failure} if bot.failure else {}),
        "strategy": bot.strategy,
        "settings": ", ".join(f"{key} {value}" for key, value in bot.settings.items()) or "its defaults",
        "trades": f"{figures.name(bot.instrument)} on candles of {figures.length(bot.interval)}",
        "account": bot.account,
        "holds": f"{figures.number(bot.quantity)} at {figures.number(bot.average_price)}",
        "realized": figures.gain(bot.realized_pnl),
        "fees": figures.money(bot.fees),
        "fills": f"{bot.trades:,}",
        "created": f"{figures.moment(bot.create_time)} UTC",
        "updated": f"{figures.moment(bot.update_time)} UTC",
    }
