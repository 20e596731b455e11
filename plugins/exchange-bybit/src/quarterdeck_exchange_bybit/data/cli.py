"""Owns `quarterdeck data`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from quarterdeck.plugin import ConfigError
from quarterdeck.plugin.fields import interval_ns
from quarterdeck_exchange_bybit.codec.words import INTERVAL_WORDS
from quarterdeck_exchange_bybit.rest import Unreachable
from quarterdeck_exchange_bybit.settings import Environment, Site

try:
    from quarterdeck_exchange_bybit.data.download import Downloader, Fetched
    from quarterdeck_exchange_bybit.data.store import verify
except ImportError as error:
    raise ConfigError("Parquet files need pyarrow: pip install 'quarterdeck-exchange-bybit[data]'") from error

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Bybit's past, in files that the file feed reads.")

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Bybit's past, in files that the file feed reads."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def download(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="Such as btcusdt or btcusdt-spot.")],
    start: Annotated[datetime, typer.Option(help="From here on, UTC.")],
    end: Annotated[datetime | None, typer.Option(help="Up to here, UTC; now if not given.")] = None,
    interval: Annotated[
        list[str] | None, typer.Option(metavar="INTERVAL", help="Such as 1m or 1h; may be repeated. 1m if not given.")
    ] = None,
    funding: Annotated[bool, typer.Option("--funding", help="Funding rates of perpetuals, too.")] = False,
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files are.")] = Path("data"),
    environment: Annotated[Environment, typer.Option(help="Whose market; the demo's is the live one.")] = (
        Environment.LIVE
    ),
    simulator: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Ask a simulator on this machine instead.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Fetch candles and funding rates: what is not there yet. Given again, it goes on where it was."""
    intervals = interval or ["1m"]
    for text in intervals:
        if _length(text) not in INTERVAL_WORDS:
            raise typer.BadParameter(f"{text!r} is no candle that Bybit makes", param_hint="--interval")
    first, last = _ns(start), time.time_ns() if end is None else _ns(end)
    if first >= last:
        raise typer.BadParameter("must be before the end", param_hint="--start")
    site = None
    if simulator is not None:
        socket = f"ws://{simulator}"
        site = Site(rest=f"http://{simulator}", private=socket, public=socket)
    _quiet()
    wants_json = as_json or bool(getattr(context.obj, "as_json", False))
    shown = _tell if sys.stderr.isatty() else _nothing
    downloader = Downloader(into, environment, site, shown)
    try:
        files = asyncio.run(_all(downloader, symbols, intervals, first, last, funding=funding))
    except Unreachable as error:
        raise ConfigError(f"Bybit: {error}. What had come is kept; give the command again") from error
    finally:
        downloader.close()
    _summary(files, as_json=wants_json)


async def _all(
    downloader: Downloader, symbols: list[str], intervals: list[str], start: int, end: int, *, funding: bool
) -> list[Fetched]:
    files: list[Fetched] = []
    for symbol in symbols:
        instrument = await downloader.instrument(symbol)
        for interval in intervals:
            files += await downloader.candles(instrument, interval, start, end)
        if funding and not symbol.endswith("-spot"):
            files.append(await downloader.funding(instrument, start, end))
    return files


@app.command("verify")
def verify_store(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files are.")] = Path("data"),
    as_json: _Json = False,
) -> None:
    """Look every file over: gaps, duplicates, order, and numbers that can't be."""
    found = verify(folder)
    is_bad = any(each.faults for each in found)
    if as_json or getattr(context.obj, "as_json", False):
        typer.echo(json.dumps({"data": {"is_sound": not is_bad, "files": [each.data() for each in found]}}))
    else:
        for each in found:
            wrong = ", ".join(f"{count} {name}" for name, count in each.faults.items()) or "sound"
            absent = f" ({each.known} that Bybit does not have)" if each.known else ""
            typer.echo(f"{each.path}: {each.rows} rows, {wrong}{absent}")
    if is_bad:
        raise typer.Exit(1)


def _summary(files: list[Fetched], *, as_json: bool) -> None:
    totals: dict[str, Any] = {
        name: sum(getattr(each, name) for each in files) for name in ("had", "new", "absent", "quarantined", "doubtful")
    }
    if as_json:
        typer.echo(json.dumps({"data": totals | {"files": [each.data() for each in files]}}))
        return
    for each in files:
        typer.echo(_line(each))
    typer.echo(", ".join(f"{count} {name}" for name, count in totals.items()) + ".")


def _line(each: Fetched) -> str:
    return f"{each.path}: {each.new} new, {each.had} there, {each.absent} absent, {each.quarantined} quarantined" + (
        f", {each.doubtful} doubtful" if each.doubtful else ""
    )


def _tell(each: Fetched) -> None:
    typer.echo(f"\r\x1b[K{_line(each)}", nl=False, err=True)


def _nothing(_: Fetched) -> None:
    """Nobody looks."""


def _quiet() -> None:
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet, logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def _length(text: str) -> int:
    try:
        return interval_ns(text)
    except ValueError:
        return 0


def _ns(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000_000
