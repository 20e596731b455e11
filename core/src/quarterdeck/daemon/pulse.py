"""Owns whether the daemon is alive: how late its event loop runs, and whether what was decided gets to the disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

#: Seconds between two beats.
BEAT = 0.25

#: Beats remembered for the worst one.
REMEMBERED = 240

#: Seconds one commit may take before the core counts as stuck: longer than a write waits for a foreign tool's lock.
STUCK_AFTER = 75.0


class Works(Protocol):
    """What is watched: the core's loop."""

    @property
    def is_settled(self) -> bool:
        """Whether no commit is under way."""


class Pulse:
    """Beats on the event loop it watches: if that hangs, nothing here moves, and nobody is told that all is well."""

    def __init__(self, works: Works, head: Callable[[], int], is_waiting: Callable[[], bool] = lambda: False) -> None:
        """While `is_waiting`, commits take as long as they take: the journal's server is away."""
        self.every = BEAT
        """Seconds between two beats."""
        self._works = works
        self._head = head
        self._is_waiting = is_waiting
        self._lags: deque[float] = deque([0.0], maxlen=REMEMBERED)
        self._seen = head()
        self._stuck_since: float | None = None
        self._last = 0.0

    @property
    def lag(self) -> float:
        """How late the latest beat was, in seconds."""
        return self._lags[-1]

    @property
    def worst_lag(self) -> float:
        """How late the latest of the last minute's beats was, in seconds."""
        return max(self._lags)

    @property
    def is_alive(self) -> bool:
        """Whether commits end: False while one has been under way for too long."""
        return self._stuck_since is None or self._is_waiting() or self._last - self._stuck_since < STUCK_AFTER

    async def beat(self) -> None:
        """Beat for ever."""
        now = asyncio.get_running_loop().time
        while True:
            due = now() + self.every
            await asyncio.sleep(self.every)
            self.look(now(), due)

    def look(self, now: float, due: float) -> None:
        """One beat, at `now` instead of `due`, by the event loop's time."""
        self._lags.append(max(0.0, now - due))
        self._last = now
        head = self._head()
        if self._works.is_settled or head != self._seen:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        self._seen = head
