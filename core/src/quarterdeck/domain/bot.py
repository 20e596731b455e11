"""Owns bots: a strategy with its settings on one instrument, and the states it moves through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BotState(StrEnum):
    """What a bot is doing."""

    STOPPED = "STOPPED"
    """Not fed. Its strategy object does not exist."""
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    """Fed, so that its indicators stay warm; entries are dropped, exits still act."""
    FAILED = "FAILED"
    """Its strategy raised or could not be built. Positions keep their stops."""


@dataclass(frozen=True, slots=True)
class BotSpec:
    """What a bot is made of. `settings` is the strategy's own table as JSON text; `interval` is in nanoseconds."""

    bot_id: str
    strategy: str
    symbol: str
    interval: int
    settings: str = "{}"
