"""Owns the commands that installed distributions add to `quarterdeck`.

A distribution names them in its entry points of group `quarterdeck.commands`: the entry's name is the command's, its
value a module that has a typer app called `app`. The list is read from what is installed, and nothing of it is imported
before a command is given.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

from quarterdeck.cli.problem import Problem

GROUP = "quarterdeck.commands"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Offer:
    """A command somebody offers. `fault` says why it can't be taken; empty for one that can."""

    name: str
    module: str
    distribution: str
    version: str
    summary: str
    fault: str = ""

    @property
    def label(self) -> str:
        """How errors name where it comes from."""
        return f"plugin {self.distribution} {self.version}"


def offers(taken: Collection[str], entries: Iterable[EntryPoint] | None = None) -> Sequence[Offer]:
    """Everything that is offered, by name; `taken` are the names of Quarterdeck's own commands.

    Nothing overrides: a name that is Quarterdeck's, or that two distributions claim, is nobody's but Quarterdeck's.
    """
    found = [
        Offer(each.name, each.value, each.dist.name, each.dist.version, str(each.dist.metadata["Summary"] or ""))
        for each in (entry_points(group=GROUP) if entries is None else entries)
        if each.dist is not None
    ]
    found.sort(key=lambda one: (one.name, one.distribution))
    return [replace(one, fault=_fault(one, found, taken)) for one in found]


def load(offer: Offer) -> Any:  # noqa: ANN401 - typer's own types are private
    """Import a command.

    Raises:
        Problem: it can't be taken, importing it failed, or there is no command where it is said to be.
    """
    if offer.fault:
        raise _refused(offer.fault)
    try:
        app = getattr(import_module(offer.module), "app", None)
    except Exception as failure:
        text = f"{offer.label}: importing its module {offer.module!r} failed: {type(failure).__name__}: {failure}"
        raise _refused(text) from failure
    if not isinstance(app, typer.Typer):
        raise _refused(f"{offer.label}: module {offer.module!r} has no typer app called `app`")
    command = typer.main.get_command(app)
    command.name = offer.name
    return command


def _fault(one: Offer, all_of_them: Sequence[Offer], taken: Collection[str]) -> str:
    if _NAME.fullmatch(one.name) is None:
        return f"{one.label}: command {one.name!r}: must be lower-case words joined by single dashes, such as bybit-sim"
    if one.name in taken:
        return f"{one.label} declares the command {one.name!r}, which is Quarterdeck's own"
    other = next((each for each in all_of_them if each.name == one.name and each is not one), None)
    if other is not None:
        return f"command {one.name!r} is declared by {one.label} and by {other.label}"
    return ""


def _refused(text: str) -> Problem:
    return Problem(f"{text}.", code="FAILED_PRECONDITION", reason="PLUGIN_REFUSED", hint="Uninstall or mend it.")
