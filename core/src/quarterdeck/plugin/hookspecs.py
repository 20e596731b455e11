"""Owns every way to extend Quarterdeck. Nothing else is an extension point.

Hooks declare: each returns named factories and is called once, while the daemon loads. What a factory builds is then
called directly, as a typed object. A hook that raises, or declares a name somebody else has, stops the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pluggy
from pydantic import BaseModel, ConfigDict

from quarterdeck.domain.deciders import RiskRule, Scaler, Sizer, Strategy
from quarterdeck.plugin.exchange import Exchange
from quarterdeck.plugin.feed import Feed

#: The entry-point group plugins register under, and pluggy's project name.
PROJECT = "quarterdeck"

#: A plugin states the version it was written for in `QUARTERDECK_API`; another major version is refused.
API_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Settings(BaseModel):
    """Base of a plugin's settings table. Unknown keys are errors; values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Factory(Generic[T_co]):
    """One named part a plugin offers. `build` gets validated `settings` and is called once per configured instance."""

    name: str
    settings: type[Settings]
    build: Callable[..., T_co]
    summary: str


class Hooks:
    """The hook specifications."""

    @hookspec
    def quarterdeck_exchanges(self) -> Sequence[Factory[Exchange]]:  # type: ignore[empty-body]  # a declaration
        """Declare venues. Built once, when the daemon starts in a mode that names it. On failure: no start."""

    @hookspec
    def quarterdeck_feeds(self) -> Sequence[Factory[Feed]]:  # type: ignore[empty-body]  # a declaration
        """Declare sources of market events. Built once, at start. On failure: no start."""

    @hookspec
    def quarterdeck_strategies(self) -> Sequence[Factory[Strategy]]:  # type: ignore[empty-body]  # a declaration
        """Declare strategies. Built each time a bot starts. On failure: that bot is FAILED, the daemon goes on."""

    @hookspec
    def quarterdeck_sizers(self) -> Sequence[Factory[Sizer]]:  # type: ignore[empty-body]  # a declaration
        """Declare sizers. The configured one is built at start. On failure: no start."""

    @hookspec
    def quarterdeck_scalers(self) -> Sequence[Factory[Scaler]]:  # type: ignore[empty-body]  # a declaration
        """Declare scalers. Each configured one is built at start. On failure: no start."""

    @hookspec
    def quarterdeck_risk_rules(self) -> Sequence[Factory[Sequence[RiskRule]]]:  # type: ignore[empty-body]  # a declaration
        """Declare sets of risk rules. Each configured set is built at start. On failure: no start."""
