"""Owns the feed interface: where market events come from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, MarketEvent


class Feed(Protocol):
    """A source of market events in time order."""

    @property
    def is_replay(self) -> bool:
        """True when events are history: the daemon then lives on their time and hands over one at a time.

        Everything that follows from an event has happened before the next is asked for, so a run is deterministic.
        """

    @property
    def start_time(self) -> int:
        """Where a replay begins: a moment before its first event. Asked after `open`; 0 when not a replay."""

    async def open(self, instruments: Sequence[Instrument]) -> None:
        """Get ready to deliver these instruments. Raises ConfigError when the data can't be used, saying where."""

    async def close(self) -> None:
        """Let go of everything."""

    def offers(self, symbol: str, interval: int) -> bool:
        """Whether candles of this instrument and interval (nanoseconds) will come from here."""

    def history(self, symbol: str, interval: int, before: int, limit: int) -> Sequence[Candle]:
        """The last `limit` candles that closed at or before `before`, oldest first; fewer if there are no more."""

    def stream(self, after: int) -> AsyncIterator[MarketEvent]:
        """Market events whose time is later than `after`, in order. Ends when there will never be more."""


@dataclass(frozen=True, slots=True)
class MarketHealth:
    """How far a feed's market can be relied upon."""

    stale: Mapping[str, str] = field(default_factory=dict)
    """Instruments whose prices are too old to go by, each with why. Nothing that adds risk is sent for them."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """What was held back since the start, by reason: data that can't be, or hardly."""
    last_quarantined: str = ""
    """The latest of it."""


@runtime_checkable
class WatchedFeed(Protocol):
    """A feed that also says how well it is. Optional, for one that listens to a market as it happens."""

    def health(self) -> MarketHealth:
        """How it is now. Cheap: asked every second."""
