"""What every test of the client starts from: a scripted daemon, and both clients with hardly any patience."""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clients.python.tests.fake_daemon import FakeDaemon
from quarterdeck.client import Backoff, Client, Options, SyncClient

HASTY = Options(timeout=2.0, attempt_timeout=1.0, backoff=Backoff(initial=0.001, maximum=0.005))


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    folder = tempfile.mkdtemp(prefix="qd")  # a short path: that of a unix socket may have 107 characters
    fake = FakeDaemon(str(Path(folder) / "s"))
    fake.start()
    yield fake
    fake.stop()
    shutil.rmtree(folder)


@pytest_asyncio.fixture
async def client(daemon: FakeDaemon) -> AsyncIterator[Client]:
    async with Client.connect(daemon.target, options=HASTY) as made:
        yield made


class Face:
    """One of the two clients, made to look alike, so that each test tells of both."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def call(self, made: Any) -> Any:
        """The answer of a call."""
        return await made if inspect.isawaitable(made) else made

    async def items(self, source: Any, count: int | None = None) -> list[Any]:
        """The first items of a listing or stream, or all there are."""
        taken: list[Any] = []
        if count == 0:
            return taken
        if hasattr(source, "__aiter__"):
            async for item in source:
                taken.append(item)
                if len(taken) == count:
                    break
        else:
            for item in source:
                taken.append(item)
                if len(taken) == count:
                    break
        return taken

    async def close(self, stream: Any) -> None:
        """End a stream."""
        await self.call(stream.aclose() if hasattr(stream, "aclose") else stream.close())


@pytest_asyncio.fixture(params=["async", "sync"])
async def face(request: pytest.FixtureRequest, daemon: FakeDaemon) -> AsyncIterator[Face]:
    if request.param == "async":
        async with Client.connect(daemon.target, options=HASTY) as made:
            yield Face(made)
    else:
        with SyncClient.connect(daemon.target, options=HASTY) as made:
            yield Face(made)
