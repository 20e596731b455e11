"""Owns building a bot's strategy and warming it up, so that it trades from its first live candle on."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from quarterdeck.domain.bot import BotSpec
from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.errors import ConfigError, InvalidRequest, NotFound
from quarterdeck.domain.signal import FLAT
from quarterdeck.plugin.feed import Feed
from quarterdeck.plugin.loader import Plugins, build, choose


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
