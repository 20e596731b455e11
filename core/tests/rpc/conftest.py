"""Puts pytest-grpc's fixtures on a real server: grpc.aio on a Unix socket, its event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from core.tests.rpc.deck import FakeDeck
from quarterdeck.rpc.limits import Limits, Pace
from quarterdeck.rpc.server import Server

T = TypeVar("T")

PACE = Pace(heartbeat=0.05, market=0.01, farewell=0.5)
LIMITS = Limits(patience=0.8)


class LoopThread:
    """An event loop in a thread. grpc.aio keeps to the loops it has seen, so all tests share this one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call something there."""

        async def calling() -> T:
            return function(*args, **kwargs)

        return self.run(calling())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()


@pytest.fixture(scope="session")
def server_loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="module")
def deck(server_loop: LoopThread) -> FakeDeck:
    return server_loop.call(FakeDeck)


@pytest.fixture(scope="module")
def do(server_loop: LoopThread) -> Callable[..., Any]:
    """Calls something where the server runs, as all of the daemon is called from there."""
    return server_loop.call


@pytest.fixture(scope="module")
def grpc_addr(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"unix:{tmp_path_factory.mktemp('rpc') / 'socket'}"


@pytest.fixture(scope="module")
def grpc_server(server_loop: LoopThread, deck: FakeDeck, grpc_addr: str) -> Iterator[Server]:
    server = server_loop.call(Server, [deck], PACE, LIMITS)
    server_loop.run(server.start(grpc_addr))
    server_loop.run(server.serve(is_open=True))
    yield server
    server_loop.run(server.stop())
