"""Owns taking up bots at the start, and warming a strategy up so that it trades from its first live candle on."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from quarterdeck.daemon.clock import Clock
from quarterdeck.daemon.config import BotSection, Config
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.parts import Parts
from quarterdeck.domain.bot import BotSpec, BotState
from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.errors import ConfigError, InvalidRequest, NotFound, QuarterdeckError
from quarterdeck.domain.signal import FLAT
from quarterdeck.engine.inputs import CreateBot, FailBot
from quarterdeck.engine.machine import Machine
from quarterdeck.plugin.feed import Feed
from quarterdeck.plugin.fields import interval_ns
from quarterdeck.plugin.loader import Plugins, build, choose
from quarterdeck.rpc.convert.bots import settings_text


def check_spec(spec: BotSpec, plugins: Plugins, feed: Feed, instruments: Collection[str]) -> None:
    """Refuse a bot that could never run.

    Raises:
        NotFound: no such instrument.
        InvalidRequest: no such strategy, settings it does not take, or candles the feed does not deliver.
    """
    _build(spec, plugins)
    if spec.symbol not in instruments:
        raise NotFound("instrument", spec.symbol)
    if not feed.offers(spec.symbol, spec.interval):
        seconds = spec.interval / 1_000_000_000
        raise InvalidRequest("bot.interval", f"the feed has no candles of {seconds:g} s for {spec.symbol}")


def warm_strategy(spec: BotSpec, plugins: Plugins, feed: Feed, now: int) -> Strategy:
    """Build a bot's strategy and show it the candles before `now`; what it signals on them is discarded.

    Raises:
        InvalidRequest: as for `check_spec`.
    """
    strategy = _build(spec, plugins)
    for candle in feed.history(spec.symbol, spec.interval, now, strategy.warmup):
        strategy.on_candle(candle, FLAT)
    return strategy


def check_section(section: BotSection, parts: Parts, instruments: Collection[str]) -> None:
    """Refuse a configured bot that could never run.

    Raises:
        ConfigError: as for `check_spec`, with the bot's name.
    """
    try:
        check_spec(_spec_of(section), parts.plugins, parts.feed, instruments)
    except QuarterdeckError as error:
        raise ConfigError(f"bots.{section.id}: {error}") from error


async def take_up_bots(config: Config, parts: Parts, machine: Machine, loop: Loop, clock: Clock) -> None:
    """Make the configured bots that are new, and have all go on that ran.

    Raises:
        ConfigError: a configured bot is known with other settings.
    """

    def warm(spec: BotSpec) -> Strategy:
        return warm_strategy(spec, parts.plugins, parts.feed, clock.now())

    state = machine.state
    for section in config.bots:
        spec = _spec_of(section)
        known = state.bots.get(section.id)
        if known is None:
            # In one turn: a daemon that ended between making a bot and running it would never run it.
            await loop.ask(CreateBot(spec, warm(spec) if section.autostart else None))
        elif known.spec != spec:
            raise ConfigError(
                f"bots.{section.id}: the journal knows this bot with other settings; give the new one another id"
            )
    for bot in list(state.bots.values()):
        if bot.state in (BotState.RUNNING, BotState.PAUSED) and bot.spec.bot_id not in machine.roster:
            try:
                machine.attach(bot.spec.bot_id, warm(bot.spec))
            except Exception as error:  # noqa: BLE001 - one bot that can't run does not keep the daemon down
                await loop.ask(FailBot(bot.spec.bot_id, f"{type(error).__name__}: {error}"[:500]))


def _spec_of(section: BotSection) -> BotSpec:
    return BotSpec(
        section.id,
        section.strategy,
        section.instrument,
        interval_ns(section.interval),
        settings_text(section.settings),
    )


def _build(spec: BotSpec, plugins: Plugins) -> Strategy:
    settings: dict[str, Any] = json.loads(spec.settings)
    try:
        loaded = choose(plugins.strategies, spec.strategy, "bot.strategy")
    except ConfigError as error:
        raise InvalidRequest(
            "bot.strategy",
            str(error),
            "PLUGIN_NOT_FOUND",
            kind="strategy",
            name=spec.strategy,
        ) from error
    try:
        return build(loaded, settings, "bot.settings")
    except ConfigError as error:
        raise InvalidRequest("bot.settings", str(error), "INVALID_SETTINGS", plugin=spec.strategy) from error
