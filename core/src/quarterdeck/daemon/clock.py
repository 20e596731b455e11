"""Owns the time: the machine's clock in live modes, the market's own time when history is replayed."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""


class SystemClock:
    """The wall clock of this machine."""

    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return time.time_ns()


class ReplayClock:
    """Stands at the latest market event; it never goes back."""

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._now

    def advance(self, to: int) -> None:
        """Move on to the time of a market event."""
        self._now = max(self._now, to)
