"""Owns the options that mean the same in every command, and those that every command takes.

Light on purpose: it is imported before any command is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from quarterdeck.cli.problem import misused

DEFAULT_ADDRESS = "127.0.0.1:50551"
DEFAULT_ACCOUNT = "main"


@dataclass(frozen=True, slots=True)
class Shared:
    """What every command takes. None is what was not given."""

    address: str | None = None
    account: str | None = None
    as_json: bool = False

    def over(self, outer: Shared) -> Shared:
        """These options, and where they were not given those before the command."""
        return Shared(self.address or outer.address, self.account or outer.account, self.as_json or outer.as_json)


_ADDRESS_HELP = f"Where the daemon listens: host:port or unix:path. {DEFAULT_ADDRESS} if not given."
_ACCOUNT_HELP = f"Which of its accounts; {DEFAULT_ACCOUNT!r} or the only one if not given, all where that makes sense."

AddressOption = Annotated[str | None, typer.Option("--address", metavar="ADDRESS", help=_ADDRESS_HELP)]
AccountOption = Annotated[str | None, typer.Option("--account", metavar="ID", help=_ACCOUNT_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]

# Before the command the environment counts too; after it, it must not hide what was given before.
RootAddressOption = Annotated[
    str | None, typer.Option("--address", metavar="ADDRESS", envvar="QUARTERDECK_ADDRESS", help=_ADDRESS_HELP)
]
RootAccountOption = Annotated[
    str | None, typer.Option("--account", metavar="ID", envvar="QUARTERDECK_ACCOUNT", help=_ACCOUNT_HELP)
]
VersionOption = Annotated[bool, typer.Option("--version", help="Show the version and end.")]


def _lower(text: str | None) -> str | None:
    return text.lower() if text else text


def _interval(text: str | None) -> str | None:
    if text is not None and re.fullmatch(r"[1-9][0-9]{0,5}[smhdw]", text) is None:
        raise typer.BadParameter(f"{text!r} is not an interval such as 30s, 5m, 1h or 1d")
    return text


Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", callback=_lower, help="The instrument, such as btcusdt.")]
SymbolFilter = Annotated[str, typer.Option("--symbol", metavar="SYMBOL", callback=_lower, help="Only this instrument.")]
SymbolOption = Annotated[
    str | None, typer.Option("--symbol", metavar="SYMBOL", callback=_lower, help="The instrument, such as btcusdt.")
]
BotFilter = Annotated[str, typer.Option("--bot", metavar="ID", help="Only of this bot.")]
BotOption = Annotated[str, typer.Option("--bot", metavar="ID", help="The bot whose share of the position it moves.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most this many.")]
IntervalText = Annotated[
    str, typer.Option("--interval", metavar="INTERVAL", callback=_interval, help="Candles of this length: 30s, 5m, 1h.")
]
IntervalOption = Annotated[
    str | None, typer.Option("--interval", metavar="INTERVAL", callback=_interval, help="Length of a candle.")
]
RequestId = Annotated[
    str | None,
    typer.Option(metavar="UUID", help="Makes a retry safe: the same id with the same content is recorded once."),
]


def settings_from(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """A plugin's settings from `key=value`. A value that reads as JSON is that; any other is text.

    Raises:
        Problem: one of them is no such pair; it came by that option.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise misused(f"{option} {pair}: write it as KEY=VALUE.")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    return settings
