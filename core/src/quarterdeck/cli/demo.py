"""Owns `quarterdeck demo`: a daemon in this process, watched through its own gRPC interface."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quarterdeck.cli.command import PATIENCE, Cli, command, single
from quarterdeck.cli.demo_config import (
    CANDLES_PER_SECOND,
    CONFIGURATION,
    JOURNAL,
    SEED,
    Choices,
    begin_anew,
    configuration,
)
from quarterdeck.cli.failures import failed_start
from quarterdeck.cli.figures import moment
from quarterdeck.cli.logs import log_to_stderr
from quarterdeck.cli.options import DEFAULT_ADDRESS, IntervalOption, SymbolOption, settings_from
from quarterdeck.cli.output import Output, console, fields, one
from quarterdeck.cli.problem import Problem, misused
from quarterdeck.cli.screen import Frame, Look, in_a_line
from quarterdeck.cli.summary import Summary, shown, summarize
from quarterdeck.cli.watch import TOLD_EVERY, pause, watched
from quarterdeck.client import Client, Replica
from quarterdeck.daemon.app import Daemon
from quarterdeck.daemon.config import Config
from quarterdeck.domain.errors import ConfigError

app = single()

DURATION = 60.0
OPEN = "1"
USUAL_DRAWDOWN = "0.05"
"""Of the limits plugin; the demo opens it."""


@command(app, asks_daemon=False)
def demo(
    cli: Cli,
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="Replay these candles (Parquet or CSV), not made-up ones."
        ),
    ] = None,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="Candles per second, or as fast as they can be handled.")
    ] = f"{CANDLES_PER_SECOND:g}",
    symbol: SymbolOption = None,
    interval: IntervalOption = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Which made-up market.")] = SEED,
    balance: Annotated[str, typer.Option(metavar="USDT", help="What the account begins with.")] = "10000",
    duration: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="How long; 60, or a file at full speed to its end.")
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Until Ctrl-C, or the end of the file.")] = False,
    max_drawdown: Annotated[
        str,
        typer.Option(
            metavar="PART", help=f"Enter no more once so much is lost; by default limits have {USUAL_DRAWDOWN}."
        ),
    ] = OPEN,
    feed: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting of the feed, such as on_gap=allow or time_unit=ms."),
    ] = None,
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="Where the daemon listens.")] = "127.0.0.1:0",
) -> None:
    """Run a daemon with a paper exchange and a bot, and watch it trade.

    Nothing is needed: the market is made up, the money is play money, and what is written stays in .quarterdeck here.
    Ends after a minute with a summary. Other terminals can look at the daemon and trade with it meanwhile. All limits
    are the defaults, but for the drawdown: it is wide open, so that the demo goes on.
    """
    choices = Choices(
        data, _speed(speed), symbol, interval, seed, balance, listen, max_drawdown, settings_from(feed or (), "--feed")
    )
    config = configuration(choices)
    is_replay = data is not None and choices.speed is None
    seconds = duration if duration is not None or is_replay or forever else DURATION
    log_to_stderr(as_json=cli.out.as_json, level=logging.WARNING)
    begin_anew(config)
    summary = asyncio.run(_run(cli.out, config, seconds, is_watched=not is_replay))
    cli.out.answer(one(summary, journal=config.journal.url), "", fields(shown(summary)), "", _afterwards(choices))


def _afterwards(choices: Choices) -> str:
    opened = f"""\
All limits were the defaults, but for the drawdown: it was wide open (--max-drawdown {USUAL_DRAWDOWN} is the default).
"""
    return f"""\
{opened if choices.max_drawdown == OPEN else ""}\
The journal is {JOURNAL}; the next demo begins a new one. To go on from here:
  quarterdeck serve --config {CONFIGURATION} --listen {DEFAULT_ADDRESS}
and in another terminal:
  quarterdeck watch"""


def _speed(text: str) -> float | None:
    """Candles per second; None as fast as possible."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise misused(f"--speed {text}: give candles per second, such as 10, or max.")
    return speed


async def _run(out: Output, config: Config, seconds: float | None, *, is_watched: bool) -> Summary:
    """Run until the market's end, the time is up, or someone ends it; then look back."""
    try:
        daemon = await Daemon.start(config)
    except ConfigError as error:
        raise failed_start(error, "What the feed should know is said with --feed KEY=VALUE.") from None
    try:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end.set)
        if seconds is not None:
            loop.call_later(seconds, end.set)
        over = asyncio.create_task(daemon.core.ended())
        over.add_done_callback(lambda _: end.set())
        began = time.monotonic()
        async with Client.connect(daemon.address, account=config.account.id, options=PATIENCE) as client:
            if is_watched:
                await _watch(out, daemon, client, end, None if seconds is None else began + seconds)
            else:
                await _progress(daemon, client, end)
            took = time.monotonic() - began
            if over.done() and (failure := over.exception()) is not None:
                raise Problem(f"The daemon could not go on: {failure}", code="INTERNAL", hint="The log says more.")
            over.cancel()
            return await summarize(client, daemon.core.feed_events, took)
    finally:
        await daemon.stop("the demo is over")


async def _watch(out: Output, daemon: Daemon, client: Client, end: asyncio.Event, until: float | None) -> None:
    out.note(f"Mode DEMO, listening at {daemon.address}. In another terminal, try:")
    out.note(f"  quarterdeck --address {daemon.address} watch")

    def footer() -> str:
        left = (
            "Ctrl-C ends this" if until is None else f"Ends in {max(0, until - time.monotonic()):.0f} s, or by Ctrl-C"
        )
        return f"{left}. In another terminal: quarterdeck --address {daemon.address} events --follow"

    def tell(frame: Frame) -> None:
        say = out.note if out.as_json else print
        say(in_a_line(frame))

    async with Replica(client) as replica:
        look = Look(client, replica)
        await look.remember()
        await watched(out, look, end, footer=footer, tell=tell)


async def _progress(daemon: Daemon, client: Client, end: asyncio.Event) -> None:
    """Show on stderr how far a replay has come."""
    terminal = console(sys.stderr)
    if not terminal.is_terminal:
        while not end.is_set():
            await pause(end, TOLD_EVERY)
        return
    looks = (SpinnerColumn(), TextColumn("{task.completed:,} candles, {task.description}"), TimeElapsedColumn())
    with Progress(*looks, console=terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        while not end.is_set():
            now = (await client.system.status()).current_time
            progress.update(task, completed=daemon.core.feed_events, description=f"at {moment(now)} UTC")
            await pause(end, 0.25)
