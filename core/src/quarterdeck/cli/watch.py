"""Owns `quarterdeck watch`, and how a daemon is watched until something ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer
from rich.live import Live

from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.output import Output
from quarterdeck.cli.screen import Frame, Look, drawn, in_a_line
from quarterdeck.client import Replica

app = single()

DRAWN_EVERY = 0.5
TOLD_EVERY = 5.0


@command(app)
def watch(
    cli: Cli,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show how everything is now, and end.")] = False,
    every: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="How often to look; 0.5 on a terminal, else 5.")
    ] = None,
) -> None:
    """Watch positions, profit, risk, bots and events as they change.

    With --json each look is one object on a line. Ctrl-C ends it.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_watch(cli, once=once, every=every))


async def _watch(cli: Cli, *, once: bool, every: float | None) -> None:
    async with cli.daemon_async() as client, Replica(client) as replica:
        look = Look(client, replica)
        await look.remember()
        if once:
            frame = await look.frame()
            cli.out.answer(frame.as_json(), drawn(frame, cli.out.console.height))
        else:
            await watched(
                cli.out,
                look,
                asyncio.Event(),
                footer=lambda: "Ctrl-C ends this.",
                tell=lambda frame: cli.out.answer(frame.as_json(), in_a_line(frame)),
                every=every,
            )


Tell = Callable[[Frame], None]


async def watched(
    out: Output, look: Look, end: asyncio.Event, *, footer: Callable[[], str], tell: Tell, every: float | None = None
) -> None:
    """Show frame after frame until `end` is set: drawn on a terminal, told elsewhere."""
    if not out.is_live:
        while not end.is_set():
            tell(await look.frame())
            await pause(end, every or TOLD_EVERY)
        return
    with Live(console=out.console, auto_refresh=False, vertical_overflow="crop") as live:
        while not end.is_set():
            live.update(drawn(await look.frame(), out.console.height, footer()), refresh=True)
            await pause(end, every or DRAWN_EVERY)


async def pause(end: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `end` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await end.wait()
