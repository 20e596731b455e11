"""Owns `quarterdeck bybit-sim`."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from quarterdeck.domain.amounts import use_money_context
from quarterdeck.plugin import ConfigError
from quarterdeck_bybit_simulator.scene import Scene, move, read_scene, simulator_of
from quarterdeck_bybit_simulator.server import SimulatorServer
from quarterdeck_bybit_simulator.settings import LinkIds
from quarterdeck_bybit_simulator.truth import Truth

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def bybit_sim(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    scene: Annotated[Path | None, typer.Option("--scene", metavar="FILE", help="All of it in one TOML file.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens, on this machine; 0 is any.")] = 9555,
    symbol: Annotated[list[str] | None, typer.Option(metavar="SYMBOL", help="List this one; may be repeated.")] = None,
    balance: Annotated[
        list[str] | None, typer.Option(metavar="COIN=AMOUNT", help="What the account begins with; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed is another market.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Prices per second; of files, how many times faster than it happened.")
    ] = None,
    candles: Annotated[
        list[str] | None, typer.Option(metavar="SYMBOL=FILE", help="Prices of a CSV file of candles, not of a walk.")
    ] = None,
    link_ids: Annotated[LinkIds | None, typer.Option(help="How long a link id stays taken.")] = None,
    faults: Annotated[Path | None, typer.Option(metavar="FILE", help="What goes wrong: JSON or TOML rules.")] = None,
    truth: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write down all that happens.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write a configuration for a daemon that trades there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object once it listens.")] = False,
) -> None:
    """Run a Bybit V5 of your own on this machine until it is interrupted."""
    changes: dict[str, Any] = {"seed": seed, "speed": speed, "symbols": symbol or None, "link_ids": link_ids}
    if candles:
        changes["candles"] = _pairs("--candles", candles)
    if balance:
        changes["accounts"] = [{"balances": _pairs("--balance", balance)}]
    given = {name: value for name, value in changes.items() if value is not None}
    wanted = read_scene(scene, given, faults)
    wants_json = as_json or bool(getattr(context.obj, "as_json", False))
    use_money_context()
    try:
        asyncio.run(_serve(wanted, port, truth, config, as_json=wants_json))
    except* ConfigError as group:
        raise group.exceptions[0] from None
    except* OSError as group:
        raise ConfigError(f"port {port}: {group.exceptions[0]}") from None


async def _serve(scene: Scene, port: int, truth: Path | None, config: Path | None, *, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None, "asyncio.run made one"
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, task.cancel)
    simulator = simulator_of(scene, Truth(truth))
    with suppress(asyncio.CancelledError):
        async with SimulatorServer(simulator, port=port) as server, asyncio.TaskGroup() as group:
            market = group.create_task(move(simulator, scene))
            await asyncio.sleep(0)  # its past is there before anybody asks
            if not market.done():
                snippet = _snippet(scene, server)
                if config is not None:
                    await asyncio.to_thread(config.write_text, snippet, encoding="utf-8")
                _tell(scene, server, snippet, as_json=as_json)
    if not as_json:
        typer.echo(f"Ended. {len(simulator.truth)} facts, {simulator.faults.used} faults.")


def _snippet(scene: Scene, server: SimulatorServer) -> str:
    symbols = json.dumps([instrument.symbol for instrument, _ in scene.listing])
    return _SNIPPET.format(rest=server.rest_url, socket=server.socket_url, symbols=symbols)


def _tell(scene: Scene, server: SimulatorServer, snippet: str, *, as_json: bool) -> None:
    owner = scene.accounts[0]
    symbols = [instrument.symbol for instrument, _ in scene.listing]
    if as_json:
        facts = {"rest": server.rest_url, "sockets": server.socket_url, "symbols": symbols, "config": snippet}
        key = {"api_key": owner.api_key, "api_secret": owner.api_secret, "user_id": owner.user_id}
        typer.echo(json.dumps({"simulator": facts | key}))
        return
    typer.echo(f"Bybit V5, simulated: {server.rest_url}, sockets at {server.socket_url}. Ctrl-C ends it.\n")
    typer.echo(f"export BYBIT_API_KEY={owner.api_key} BYBIT_API_SECRET={owner.api_secret}\n")
    typer.echo(snippet)


_SNIPPET = """\
mode = "testnet"

[exchange]
plugin = "bybit"

[exchange.settings]
environment = "testnet"
symbols = {symbols}
simulator = {{ rest = "{rest}", private = "{socket}", public = "{socket}" }}

[feed]
plugin = "bybit"

[feed.settings]
symbols = {symbols}
simulator = {{ rest = "{rest}", private = "{socket}", public = "{socket}" }}
"""


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    pairs = dict(each.partition("=")[::2] for each in given)
    if not all(pairs) or not all(pairs.values()):
        raise typer.BadParameter(f"{option}: write it as NAME=VALUE")
    return pairs
