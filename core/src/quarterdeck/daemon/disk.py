"""Owns closing the gate while the journal's disk is full: then only what takes risk off is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

import structlog

from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.loop import Loop
from quarterdeck.engine.inputs import ClearObstacle, SetObstacle
from quarterdeck.engine.obstacles import DISK, Obstacle

log = structlog.get_logger(__name__)


class Disk:
    """Looks now and then, and is told at once by a write that found no space but the reserve."""

    def __init__(self, journal: Journal, loop: Loop, obstacles: Mapping[str, Obstacle]) -> None:
        self._journal = journal
        self._loop = loop
        self._obstacles = obstacles
        journal.on_short(partial(asyncio.get_running_loop().call_soon_threadsafe, self._short))

    def look(self) -> None:
        """Close the gate while there is little space, open it when there is enough again."""
        has_room = self._journal.has_room()
        if has_room and DISK in self._obstacles:
            log.info("disk_has_room")
            self._loop.post(ClearObstacle(DISK))
        elif not has_room and DISK not in self._obstacles:
            self._short()

    def _short(self) -> None:
        log.error("disk_full")
        self._loop.post(SetObstacle(Obstacle(DISK, "the journal's disk is full or nearly; free some of it")))
