"""Owns noticing that the reader of a stream takes nothing any more."""

from __future__ import annotations

import asyncio

from quarterdeck.domain.errors import QuarterdeckError


class Stall:
    """Cuts off the task it is made in, once a write has waited for its reader between one and two times `seconds`.

        with Stall(60) as stall:
            stall.is_writing = True
            await write(message)
            stall.written += 1
            stall.is_writing = False

    Leaving the block raises SLOW_READER then, with the `position` that was set last. Nothing is measured per message: a
    timer looks in now and again.
    """

    __slots__ = ("_is_cut", "_loop", "_seconds", "_seen", "_task", "_timer", "is_writing", "position", "written")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = task.get_loop()
        self._seconds = seconds
        self._seen = -1
        self._is_cut = False
        self.is_writing = False
        self.written = 0
        self.position = 0

    def __enter__(self) -> Stall:
        self._timer = self._loop.call_later(self._seconds, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._timer.cancel()
        if self._is_cut and isinstance(error, asyncio.CancelledError) and not self._task.uncancel():
            raise slow_reader("the reader took nothing for too long", self.position) from error

    def _look(self) -> None:
        if self.is_writing and self.written == self._seen:
            self._is_cut = True
            self._task.cancel()
            return
        self._seen = self.written if self.is_writing else -1
        self._timer = self._loop.call_later(self._seconds, self._look)


def slow_reader(text: str, position: int) -> QuarterdeckError:
    """What ends a stream whose reader is too slow: after `position` nothing was sent."""
    return QuarterdeckError("SLOW_READER", text, {"lastSequence": str(position)})
