"""Owns the limit of crashes: a daemon that keeps ending badly takes no risk until it has run for a while.

Whatever ends it may well be what it does next. Only ends without a `DaemonStopped` count, since the last orderly one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

from quarterdeck.daemon.clock import Clock, ReplayClock
from quarterdeck.daemon.config import DaemonSection
from quarterdeck.engine.inputs import ClearObstacle, Input, SetObstacle
from quarterdeck.engine.obstacles import CRASHES, Obstacle
from quarterdeck.engine.state import State
from quarterdeck.plugin.fields import interval_ns

log = structlog.get_logger(__name__)


class Poster(Protocol):
    """Takes what nobody waits for: the loop."""

    def post(self, item: Input) -> None:
        """Take it."""


class Crashes:
    """Counts by the clock of real markets; a replay's time has nothing to do with the processes that play it."""

    def __init__(
        self, section: DaemonSection, state: State, loop: Poster, clock: Clock, obstacles: Mapping[str, Obstacle]
    ) -> None:
        self._limit = 0 if isinstance(clock, ReplayClock) else section.crash_limit
        self._window = interval_ns(section.crash_window)
        self._within = section.crash_window
        self._state = state
        self._loop = loop
        self._clock = clock
        self._obstacles = obstacles

    def look(self) -> None:
        """Close the gate after too many crashes, open it when they are long enough ago."""
        since = self._clock.now() - self._window
        times = sum(1 for time in self._state.crash_times if time > since)
        is_looping = 0 < self._limit <= times
        if is_looping and CRASHES not in self._obstacles:
            log.error("crash_loop", times=times, within=self._within)
            detail = f"the daemon crashed {times} times within {self._within}; it waits until it has run that long"
            self._loop.post(SetObstacle(Obstacle(CRASHES, detail)))
        elif not is_looping and CRASHES in self._obstacles:
            self._loop.post(ClearObstacle(CRASHES))
