"""Owns the list of commands, and that a command's module is imported only when the command is given.

`quarterdeck --help` must not pay for gRPC, tables and databases, so the list says here what each command does; a test
compares it with the commands themselves. What other distributions add is looked for only where it can matter.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from quarterdeck.cli.problem import FAILED, Problem, misused, tell
from quarterdeck.domain.errors import QuarterdeckError

if TYPE_CHECKING:
    from quarterdeck.cli.installed import Offer


class Entry(NamedTuple):
    """A command: the module of `quarterdeck.cli` it is in, and what it does."""

    module: str
    summary: str


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Run": {
        "demo": Entry("demo", "Run a daemon with a paper exchange and a bot, and watch it trade."),
        "serve": Entry("serve", "Run the daemon until it is told to stop."),
        "config": Entry("config", "Write, check and show a configuration."),
        "journal": Entry("journal", "Verify, show, copy, export, compact and rebuild a journal, without a daemon."),
        "plugin": Entry("plugin", "Begin a plugin of your own."),
    },
    "Look": {
        "status": Entry("status", "Show how the daemon is, with each of its accounts."),
        "doctor": Entry("doctor", "Have the daemon check itself: each promise, and how it is kept."),
        "watch": Entry("watch", "Watch positions, profit, risk, bots and events as they change."),
        "accounts": Entry("accounts", "List the accounts: how each is, and what it has."),
        "account": Entry("account", "Show balances, equity, risk and counts."),
        "positions": Entry("positions", "List what is held."),
        "orders": Entry("orders", "List orders, newest first: those that are not over, or all."),
        "fills": Entry("fills", "List fills, newest first."),
        "events": Entry("events", "List what happened, oldest first, and follow it."),
        "candles": Entry("candles", "List the latest closed candles of an instrument, oldest first."),
        "instruments": Entry("instruments", "List what can be traded."),
        "plugins": Entry("plugins", "List plugins, what they offer and where they come from."),
    },
    "Act": {
        "size": Entry("size", "Show how large a trade would be, and how that was found."),
        "order": Entry("order", "Create, change, cancel and read orders."),
        "close": Entry("close", "Close a position, or one bot's share of it."),
        "bot": Entry("bot", "Create and run bots."),
        "reconcile": Entry("reconcile", "Compare the journal with what the exchange holds, now, and agree with it."),
        "risk": Entry("risk", "Show the limits; halt trading and release it."),
    },
    "Prove": {
        "simulate": Entry(
            "simulate", "Run the daemon's core in worlds where everything fails, and check that it holds."
        ),
    },
}


class Commands(TyperGroup):
    """The root command: lists commands in sections, without importing them."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer passes on what it knows
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=entry.summary)
            for entries in SECTIONS.values()
            for name, entry in entries.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 - typer's
        """Find the command that was given, and import it."""
        added = {} if args[0] in self.commands else {each.name: each for each in _offers()}
        for each in added.values():
            self.commands.setdefault(each.name, TyperCommand(each.name, help=each.summary))
        name, command, rest = super().resolve_command(ctx, args)
        if command is None:
            return name, None, rest
        offer = added.get(command.name or "")
        return name, import_module("quarterdeck.cli.installed").load(offer) if offer else load(command.name or ""), rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own types are private
        """Write the list of commands, section by section."""
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()])
        if added := _added():
            with formatter.section("Plugins"):
                formatter.write_dl(added)

    def main(  # the base class says what these are for
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,  # noqa: ANN401 - as in the base class
    ) -> NoReturn:
        """Run. What is wrong with the command line is told like every other problem."""
        given = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            code = 1
        except typer.TyperException as error:
            command = getattr(getattr(error, "ctx", None), "command_path", "quarterdeck")
            tell(misused(error.format_message(), f"See `{command} --help`."), as_json="--json" in given)
            code = error.exit_code
        except Problem as problem:
            tell(problem, as_json="--json" in given)
            code = problem.exit_code
        except QuarterdeckError as error:  # of a plugin's command: Quarterdeck's own tell theirs themselves
            tell(Problem(str(error), code="FAILED_PRECONDITION", reason=error.reason), as_json="--json" in given)
            code = FAILED
        sys.exit(code if isinstance(code, int) else 0)


def load(name: str) -> Any:  # noqa: ANN401 - typer's own types are private
    """The command of that name, imported."""
    entry = next(entries[name] for entries in SECTIONS.values() if name in entries)
    command = typer.main.get_command(import_module(f"quarterdeck.cli.{entry.module}").app)
    command.name = name
    return command


def _offers() -> Sequence[Offer]:
    found: Sequence[Offer] = import_module("quarterdeck.cli.installed").offers(
        {name for entries in SECTIONS.values() for name in entries}
    )
    return found


def _added() -> list[tuple[str, str]]:
    """What other distributions add: the commands of each, and what the distribution is."""
    offers = _offers()
    sources = {each.distribution: each.summary for each in offers if not each.fault}
    rows = [
        (", ".join(each.name for each in offers if each.distribution == source and not each.fault), summary)
        for source, summary in sorted(sources.items())
    ]
    return rows + [(each.name, f"not usable: {each.fault}") for each in offers if each.fault]
