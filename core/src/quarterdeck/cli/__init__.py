"""The `quarterdeck` command line: to run a daemon, and to work with one.

Owns arguments, output and nothing else: what is asked goes to the daemon through `quarterdeck.client`, what is run is
`quarterdeck.daemon`. Must not know: the engine, how a journal is kept, what a plugin does.

Reading order: lazy (the list of commands), installed (what others add), options, command (what all commands share),
problem, output, figures; then one module for each noun. `screen` and `event_text` are what `watch` and `demo` show,
`export` what `journal` writes.
"""

from __future__ import annotations

from importlib import import_module

import typer

from quarterdeck.cli.lazy import Commands
from quarterdeck.cli.options import JsonOption, RootAccountOption, RootAddressOption, Shared, VersionOption

app = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True, epilog="--address, --account and --json are taken after the command, too.")
def root(
    context: typer.Context,
    address: RootAddressOption = None,
    account: RootAccountOption = None,
    as_json: JsonOption = False,
    version: VersionOption = False,
) -> None:
    """Quarterdeck: one engine for live, paper and simulated trading, behind one gRPC API."""
    if version:
        typer.echo(import_module("importlib.metadata").version("quarterdeck"))
        raise typer.Exit
    context.obj = Shared(address, account, as_json)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="quarterdeck")
