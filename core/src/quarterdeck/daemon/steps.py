"""Owns doing a step of the start until it succeeds, and showing meanwhile what keeps it from succeeding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from quarterdeck.daemon.answers import answer_of
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain.errors import ConfigError
from quarterdeck.engine.inputs import ClearObstacle, SetObstacle
from quarterdeck.engine.obstacles import STARTING, Obstacle

log = structlog.get_logger(__name__)

#: Seconds until a step that failed is tried again; doubled each time, up to the second.
FIRST_RETRY, LAST_RETRY = 1.0, 60.0

#: A step that has not ended after so many seconds is named as what is waited for.
SLOW_STEP = 20.0

Step = Callable[[], Awaitable[None]]


async def once(_doing: str, step: Step) -> None:
    """Do a step; whatever it raises ends the start."""
    await step()


class Persistently:
    """Does a step again and again, later each time."""

    def __init__(self, loop: Loop, obstacles: Mapping[str, Obstacle]) -> None:
        self._loop = loop
        self._obstacles = obstacles

    async def __call__(self, doing: str, step: Step) -> None:
        """Do a step until it succeeds. `doing` says in the status what it is about.

        Raises:
            ConfigError: trying again would not help.
        """
        delay = FIRST_RETRY
        while True:
            task = asyncio.ensure_future(answer_of(step()))
            try:
                await asyncio.wait({task}, timeout=SLOW_STEP)
                if not task.done():
                    self._hindered(f"{doing}: no answer for {SLOW_STEP:g} s")
                await task
            except asyncio.CancelledError:
                task.cancel()
                raise
            except ConfigError:
                raise
            except Exception as error:
                if self._loop.broken.done():
                    raise
                self._hindered(f"{doing}: {type(error).__name__}: {error}"[:500])
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
            else:
                if STARTING in self._obstacles:
                    self._loop.post(ClearObstacle(STARTING))
                return

    def _hindered(self, why: str) -> None:
        log.warning("start_hindered", why=why)
        self._loop.post(SetObstacle(Obstacle(STARTING, why)))
