"""Owns building what the configuration names out of what is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quarterdeck.daemon.config import Config, Mode
from quarterdeck.domain.deciders import RiskRule
from quarterdeck.domain.errors import ConfigError
from quarterdeck.engine.pipeline import Deciders, HardLimits
from quarterdeck.plugin.exchange import EmbeddedExchange, Exchange
from quarterdeck.plugin.feed import Feed
from quarterdeck.plugin.loader import Loaded, Plugins, build, choose, load

#: Modes in which no order may leave this process.
SIMULATED = frozenset({Mode.DEMO, Mode.PAPER})


@dataclass(frozen=True, slots=True)
class Parts:
    """The configured parts of a daemon."""

    plugins: Plugins
    exchange: Exchange
    feed: Feed
    deciders: Deciders
    used: tuple[Loaded[object], ...]
    admit: Callable[[], None] = lambda: None
    """Called once the venue has said who it is; raises ConfigError if it is not to be traded here."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every part in use, as `kind/name version`."""
        return tuple(f"{one.kind.noun}/{one.name} {one.version}" for one in self.used)


def build_parts(config: Config) -> Parts:
    """Load all plugins and build the configured ones with their settings.

    Raises:
        ConfigError: a plugin is missing or broken, its settings are wrong, or the exchange does not fit the mode.
    """
    plugins = load()
    exchange = choose(plugins.exchanges, config.exchange.plugin, "[exchange] plugin")
    feed = choose(plugins.feeds, config.feed.plugin, "[feed] plugin")
    sizer = choose(plugins.sizers, config.sizing.plugin, "[sizing] plugin")
    scalers = [choose(plugins.scalers, one.plugin, "[[scalers]] plugin") for one in config.scalers]
    rules = [choose(plugins.risk_rules, one.plugin, "[[risk]] plugin") for one in config.risk]
    venue = build(exchange, config.exchange.settings, "[exchange.settings]")
    _check_mode(config.mode, venue, config.exchange.plugin)
    rule_sets: list[Sequence[RiskRule]] = [
        build(rule, choice.settings, "[risk.settings]") for rule, choice in zip(rules, config.risk, strict=True)
    ]
    deciders = Deciders(
        sizer=build(sizer, config.sizing.settings, "[sizing.settings]"),
        scalers=[
            build(scaler, choice.settings, "[scalers.settings]")
            for scaler, choice in zip(scalers, config.scalers, strict=True)
        ],
        rules=[rule for rule_set in rule_sets for rule in rule_set],
        limits=HardLimits(
            config.limits.max_risk_ratio,
            config.limits.max_leverage,
            config.limits.max_open_orders,
        ),
        venue=venue.capabilities,
    )
    return Parts(
        plugins,
        venue,
        build(feed, config.feed.settings, "[feed.settings]"),
        deciders,
        (exchange, feed, sizer, *scalers, *rules),
    )


def _check_mode(mode: Mode, venue: Exchange, name: str) -> None:
    """Keep simulated modes from reaching a real venue, and real ones from trading on air."""
    if mode in SIMULATED and not isinstance(venue, EmbeddedExchange):
        raise ConfigError(f"mode: {mode.value!r} trades on an embedded venue, and exchange {name!r} is a real one")
    wanted = venue.capabilities.mode
    if wanted and wanted != mode.value:
        raise ConfigError(f"mode: {mode.value!r}, and exchange {name!r} is set up for {wanted!r}; make them agree")
    if mode not in SIMULATED and isinstance(venue, EmbeddedExchange):
        raise ConfigError(f"mode: {mode.value!r} needs a real venue, and exchange {name!r} is embedded; use 'paper'")
