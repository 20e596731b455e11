"""Owns giving up calls that take too long, with one timer for all: a timer each costs more than reading the request."""

from __future__ import annotations

import asyncio
from typing import Any


class Deadline:
    """A limit that all calls share: a call's task is canceled `seconds` after its time began."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due: dict[asyncio.Task[Any], float] = {}  # the first is due first
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[Any]:
        """Begin the current task's time."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "a call runs in a task"
        self._due[task] = due = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(due, self._look)
        return task

    def end(self, task: asyncio.Task[Any]) -> bool:
        """End a task's time; returns whether it was up, so that its cancellation was ours and is over."""
        self._due.pop(task, None)
        if task not in self._late:
            return False
        self._late.discard(task)
        task.uncancel()
        return True

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._due:
            task, due = next(iter(self._due.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._look)
                return
            del self._due[task]
            self._late.add(task)
            task.cancel()
