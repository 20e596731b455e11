"""Owns running a simulator beside a test or a program that has an event loop of its own: in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Self, TypeVar

from quarterdeck.domain.amounts import use_money_context
from quarterdeck_bybit_simulator.server import SimulatorServer
from quarterdeck_bybit_simulator.simulator import Simulator

T = TypeVar("T")


class RunningSimulator:
    """A context manager: the simulator serves while it is entered. Whatever touches it goes through `call`."""

    def __init__(self, simulator: Simulator, port: int = 0) -> None:
        self.simulator = simulator
        self.server = SimulatorServer(simulator, port=port)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="bybit-simulator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving. A second time does nothing."""
        stop, self._stop = self._stop, None
        if stop is not None:
            self._loop.call_soon_threadsafe(stop.set)
        self._thread.join()

    def call(self, action: Callable[[], T]) -> T:
        """Do something with the simulator, on its own thread, and wait for what comes of it."""

        async def run() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _run(self) -> None:
        use_money_context()
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to whoever entered
            self._failure = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with self.server:
            self._ready.set()
            await self._stop.wait()
