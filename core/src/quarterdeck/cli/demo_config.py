"""Owns what the demo runs: its configuration, made from a few choices, and its journal, begun anew each time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quarterdeck.cli.problem import misused
from quarterdeck.cli.toml import written
from quarterdeck.daemon.config import Config, parse
from quarterdeck.daemon.journal.lock import InstanceLock
from quarterdeck.domain.market import SECOND
from quarterdeck.plugin.fields import interval_ns

FOLDER = Path(".quarterdeck")
JOURNAL = FOLDER / "demo.db"
CONFIGURATION = FOLDER / "demo.toml"

SYMBOL = "btcusdt"
INTERVAL = "1m"
SEED = 29
"""A market in which the averages cross within the first second."""
CANDLES_PER_SECOND = 10.0

_NAMED_FOR = re.compile(r"([A-Za-z0-9]{5,20})-([1-9][0-9]{0,5}[smhd])-")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose. `speed` is candles per second, None as fast as they can be handled.

    `max_drawdown` is wide open if not chosen, so that the demo goes on: at the default limit of 5 % a plain crossing of
    averages is soon not allowed to enter any more. `feed` are further settings of the feed.
    """

    data: Path | None
    speed: float | None
    symbol: str | None
    interval: str | None
    seed: int
    balance: str
    listen: str
    max_drawdown: str = "1"
    feed: Mapping[str, Any] = field(default_factory=dict)


def configuration(choices: Choices) -> Config:
    """The demo's configuration: a paper exchange, a market, and a bot that trades moving-average crosses on it.

    Raises:
        Problem: it is not clear what the data is.
        ConfigError: a choice is out of range.
    """
    symbol, interval = _market(choices)
    table = {
        "mode": "demo",
        "daemon": {"listen": choices.listen},
        "journal": {"url": f"sqlite:///{JOURNAL}"},
        "exchange": {"plugin": "paper", "settings": {"balances": {"USDT": choices.balance}}},
        "feed": _feed(choices, symbol, interval),
        "risk": [{"plugin": "limits", "settings": {"max_drawdown": choices.max_drawdown}}],
        "bots": [
            {
                "id": "demo",
                "strategy": "sma-cross",
                "instrument": symbol,
                "interval": interval,
                "settings": {"fast": 20, "slow": 50},
            }
        ],
    }
    return parse(written(table), "demo")


def _market(choices: Choices) -> tuple[str, str]:
    """Symbol and interval: as chosen, else as the file is named, else what the synthetic market has."""
    if choices.data is None:
        return choices.symbol or SYMBOL, choices.interval or INTERVAL
    named = _NAMED_FOR.match(choices.data.name)
    symbol = choices.symbol or (named and named[1].lower())
    interval = choices.interval or (named and named[2])
    missing = [option for option, value in (("--symbol", symbol), ("--interval", interval)) if value is None]
    if not symbol or not interval:
        raise misused(
            f"{choices.data.name} does not say by its name what it is; give {' and '.join(missing)}.",
            "A file named like BTCUSDT-5m-2025.parquet does.",
        )
    return symbol, interval


def _feed(choices: Choices, symbol: str, interval: str) -> dict[str, Any]:
    speed = choices.speed
    if choices.data is None:
        settings = {
            "seed": choices.seed,
            "interval": interval,
            "symbols": {symbol: 60_000.0},
            "speed": speed or "max",
        }
        return {"plugin": "synthetic", "settings": {**settings, **choices.feed}}
    settings = {
        "path": str(choices.data),
        "symbol": symbol,
        "interval": interval,
        "speed": "max" if speed is None else speed * interval_ns(interval) / SECOND,
    }
    return {"plugin": "file", "settings": {**settings, **choices.feed}}


def begin_anew(config: Config) -> None:
    """Remove the journal of the demo before, and write down the configuration of this one.

    Raises:
        ConfigError: another demo is running in this folder.
    """
    FOLDER.mkdir(exist_ok=True)
    lock = InstanceLock(JOURNAL.with_name(f"{JOURNAL.name}.lock"))
    try:
        for suffix in ("", "-wal", "-shm"):
            JOURNAL.with_name(JOURNAL.name + suffix).unlink(missing_ok=True)
    finally:
        lock.release()
    CONFIGURATION.write_text(written(config.model_dump()), encoding="utf-8")
