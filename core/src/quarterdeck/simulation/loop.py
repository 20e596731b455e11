"""Owns simulated time: an asyncio event loop that never waits, and processes on it that can be ended at any moment.

The clock jumps to the next timer when nothing is left to do. Callbacks keep the order asyncio promises; timers that are
due at the same moment fire in an order drawn from the seed. What runs in an executor elsewhere runs at once here.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar
from heapq import heappop, heappush
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

SECOND = 1_000_000_000

#: Callbacks that may run without the clock moving; a live daemon needs a few hundred.
SPIN_LIMIT = 200_000


class Crash(BaseException):
    """The simulated process ends here: nothing of it may run any more."""


class Stuck(Exception):
    """The code under test has deadlocked, or spins without letting time pass."""


#: In which process we are; None is the world around it.
PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


class Process:
    """A process of the simulated machine: all that was scheduled from within it, directly or not.

    Ended, none of that runs any more and nothing is cleaned up, as after a SIGKILL.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_paused = False
        """Stopped as by SIGSTOP: time goes on without it, and what is due waits until it goes on."""
        self.waiting: list[_Handle] = []
        self.context = contextvars.Context()
        self.context.run(PROCESS.set, self)

    def end(self) -> None:
        """Let nothing of it run from now on."""
        self.is_alive = False

    def check(self) -> None:
        """Stop what goes on in a process that has ended.

        Raises:
            Crash: it has.
        """
        if not self.is_alive:
            raise Crash(self.name)


class _Handle(asyncio.TimerHandle):
    """A callback to come, and the process it belongs to. Made for every step of everything, so made with little."""

    __slots__ = ("callback", "context", "process")

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self._when = when
        self._cancelled = False
        self.process = context.get(PROCESS)
        self.callback: tuple[Callable[..., object], tuple[Any, ...]] | None = (callback, args)
        self.context = context

    def __repr__(self) -> str:
        return f"{self.callback} of {self.process}"

    def cancel(self) -> None:
        self._cancelled = True
        self.callback = None


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one simulation. Not for anything with sockets, files or threads."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self.now = 0
        """Nanoseconds since the simulation began."""
        self.turns = 0
        """Callbacks run so far."""
        self.complaints: list[str] = []
        """What nobody caught, in processes that were alive."""
        self._dice = dice
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[int, float, int, _Handle]] = []
        self._count = 0
        self._spins = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._world = contextvars.Context()

    _is_running = False
    _is_closed = False

    # --- what a simulation uses

    def start(self, process: Process, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a process."""
        return self.create_task(work, context=process.context.copy())

    def inside(self, process: Process, callback: Callable[..., object], *args: object) -> None:
        """Call back within a process, soon."""
        self.call_soon(callback, *args, context=process.context)

    def resume(self, process: Process) -> None:
        """Let a paused process go on."""
        process.is_paused = False
        self._ready += process.waiting
        process.waiting.clear()

    def outside(self, delay: int, callback: Callable[..., object], *args: object) -> None:
        """Call back in `delay` nanoseconds, in the world: what is on its way when a process ends still arrives."""
        self._at(self.now + max(0, delay), _Handle(0.0, callback, args, self._world))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and everything else meanwhile.

        Raises:
            Stuck: nothing is left that could complete it, or time does not pass.
        """
        asyncio.events._set_running_loop(self)  # noqa: SLF001 - documented for those who implement event loops
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=lambda _: None)
        self._is_running = True
        try:
            task: asyncio.Task[T] = self.create_task(work, context=self._world.copy())
            while not task.done():
                if not self._turn() and not task.done():
                    raise Stuck("everything waits for something that will never happen")
            return task.result()
        finally:
            self._is_running = False
            sys.set_asyncgen_hooks(*hooks)
            asyncio.events._set_running_loop(None)  # noqa: SLF001 - as above

    def close(self) -> None:
        """Throw away all that has not ended. Nothing is scheduled any more."""
        self._is_closed = True
        self._ready.clear()
        self._timers.clear()
        for task in self._tasks:
            if not task.done():
                with suppress(BaseException):
                    work: Any = task.get_coro()
                    work.close()
        self._tasks.clear()

    def _turn(self) -> bool:
        """Run all that is ready, then let time pass to the next timers; returns whether anything can still happen."""
        while self._ready:
            handle = self._ready.popleft()
            if handle.callback is None or (handle.process is not None and not handle.process.is_alive):
                continue
            if handle.process is not None and handle.process.is_paused:
                handle.process.waiting.append(handle)
                continue
            callback, args = handle.callback
            self.turns += 1
            self._spins += 1
            if self._spins > SPIN_LIMIT:
                raise Stuck(f"{SPIN_LIMIT} callbacks without time passing; the last is {callback}")
            try:
                handle.context.run(callback, *args)
            except Crash:
                pass
            except Exception as error:  # noqa: BLE001 - as asyncio: the loop goes on, and somebody is told
                self.call_exception_handler({"message": f"in {callback}", "exception": error, "handle": handle})
        while self._timers:
            when, _, _, handle = heappop(self._timers)
            if handle.callback is None or (handle.process is not None and not handle.process.is_alive):
                continue
            if when > self.now:
                self.now = when
                self._spins = 0
            self._ready.append(handle)
            while self._timers and self._timers[0][0] <= self.now:
                self._ready.append(heappop(self._timers)[3])
            return True
        return False

    def _at(self, when: int, handle: _Handle) -> _Handle:
        self._count += 1
        heappush(self._timers, (when, self._dice.random(), self._count, handle))
        return handle

    # --- what asyncio uses

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self.now / SECOND

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's."""
        handle = _Handle(0.0, callback, args, context or contextvars.copy_context())
        if not self._is_closed:
            self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's."""
        handle = _Handle(when, callback, args, context or contextvars.copy_context())
        return handle if self._is_closed else self._at(max(self.now, round(when * SECOND)), handle)

    def create_future(self) -> asyncio.Future[Any]:
        """As asyncio's."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,  # noqa: ANN401 - as asyncio's
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """As asyncio's. Tasks are kept until the loop is closed: those of a dead process must not clean up."""
        task: asyncio.Task[Any] = asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=context
        )
        self._tasks.append(task)
        if len(self._tasks) > 2_000:
            self._tasks = [one for one in self._tasks if not one.done()]
        return task

    def run_in_executor(self, executor: object, func: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Runs it now."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
            done.set_exception(error)
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember what nobody caught."""
        process = PROCESS.get()
        for owner in (context.get("task"), context.get("future")):
            if isinstance(owner, asyncio.Task):
                process = owner.get_context().get(PROCESS) if hasattr(owner, "get_context") else process
        handle = context.get("handle")
        if isinstance(handle, _Handle):
            process = handle.process
        error = context.get("exception")
        if not self._is_closed and not isinstance(error, Crash) and (process is None or process.is_alive):
            self.complaints.append(f"{context.get('message')}: {error!r}")

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether `run` is under way."""
        return self._is_running

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed
