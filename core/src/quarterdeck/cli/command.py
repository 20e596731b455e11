"""Owns what all commands share: how one is declared, how it reaches the daemon, and how a failure ends it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec

import typer

from quarterdeck.cli.failures import problem_of
from quarterdeck.cli.options import DEFAULT_ADDRESS, AccountOption, AddressOption, JsonOption, Shared
from quarterdeck.cli.output import Output
from quarterdeck.cli.problem import tell
from quarterdeck.client import Client, Options, SyncClient

P = ParamSpec("P")


PATIENCE = Options(timeout=3.0)
"""A person is waiting: try again for a moment, then say that nobody answers."""


class Cli:
    """What a command works with: the daemon, and the way to the user."""

    def __init__(self, shared: Shared) -> None:
        self.address = shared.address or DEFAULT_ADDRESS
        self.account = shared.account
        """Which of the daemon's accounts; None if that was not said."""
        self.out = Output(as_json=shared.as_json)

    def daemon(self) -> SyncClient:
        """The daemon the user means."""
        return SyncClient.connect(self.address, account=self.account, options=PATIENCE)

    def daemon_async(self) -> Client:
        """The daemon the user means, for asyncio."""
        return Client.connect(self.address, account=self.account, options=PATIENCE)


def single() -> typer.Typer:
    """An app of one command."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)


def group(summary: str) -> typer.Typer:
    """An app of several commands; alone it shows what they are."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    @app.callback(invoke_without_command=True, help=summary)
    def overview(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return app


def _option(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:  # noqa: ANN401 - of any type
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_SHARED = (
    _option("context", typer.Context),
    _option("address", AddressOption, None),
    _option("account", AccountOption, None),
    _option("as_json", JsonOption, False),
)
_OF_A_DAEMON = {"address", "account"}


def command(
    app: typer.Typer, name: str | None = None, *, asks_daemon: bool = True
) -> Callable[[Callable[Concatenate[Cli, P], None]], Callable[Concatenate[Cli, P], None]]:
    """Declare a function a command. It also takes the shared options; what fails in it is told in one sentence."""
    added = [each for each in _SHARED if asks_daemon or each.name not in _OF_A_DAEMON]

    def declare(run: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(run)
        def entry(**given: Any) -> None:  # noqa: ANN401 - typer gives each parameter by its name
            context: typer.Context = given.pop("context")
            after = Shared(given.pop("address", None), given.pop("account", None), given.pop("as_json"))
            cli = Cli(after.over(context.find_root().obj))
            try:
                run(cli, **given)
            except Exception as error:
                problem = problem_of(error, cli.address)
                if problem is None:
                    raise
                tell(problem, as_json=cli.out.as_json)
                raise typer.Exit(problem.exit_code) from None

        _take(entry, run, added)
        app.command(name)(entry)
        return run

    return declare


def _take(entry: Callable[..., None], run: Callable[..., None], added: Sequence[inspect.Parameter]) -> None:
    """Give `entry` the parameters of `run` but its first, and the added ones: typer reads a function's signature."""
    _, *own = inspect.signature(run, eval_str=True).parameters.values()
    signature = inspect.Signature([*own, *added])
    entry.__signature__ = signature  # type: ignore[attr-defined]  # functions may have one, typeshed does not say so
    entry.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
