"""Owns how calls are made from asyncio: one channel, tries, pages and streams that are opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
from tenacity import AsyncRetrying

from quarterdeck.client.calls import Pages, Stream, Unary, method_of, serialize
from quarterdeck.client.errors import QuarterdeckError, Unavailable, error_from
from quarterdeck.client.options import Deadline, Options, Reconnection

T = TypeVar("T")


class AsyncLink:
    """Makes calls over a `grpc.aio` channel."""

    def __init__(self, channel: grpc.aio.Channel, options: Options) -> None:
        self.channel = channel
        self.options = options

    async def unary(self, call: Unary[T]) -> T:
        """Make a call with one answer, trying again as the options say."""
        method = method_of(call.request)
        invoke = self.channel.unary_unary(method.path, request_serializer=serialize, response_deserializer=method.read)
        deadline = Deadline(self.options)

        async def attempt() -> Any:  # noqa: ANN401 - the answer of any method
            try:
                return await invoke(call.request, timeout=deadline.attempt_timeout())
            except grpc.RpcError as error:
                raise error_from(error) from error
            except asyncio.CancelledError:
                raise_if_cancelled()
                raise Unavailable("the daemon broke the call off") from None

        try:
            return call.read(await AsyncRetrying(**self.options.retrying())(attempt))
        except QuarterdeckError as error:
            error.request_id = getattr(call.request, "request_id", "")
            raise

    def pages(self, call: Pages[T]) -> AsyncListing[T]:
        """Read a list."""
        return AsyncListing(self, call)

    def stream(self, call: Stream[T]) -> AsyncStream[T]:
        """Read a stream, opening it again when it breaks."""
        return AsyncStream(self, call)


def raise_if_cancelled() -> None:
    """Let a cancellation of this task pass. `grpc.aio` raises `CancelledError` for the daemon's cancellations too."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise asyncio.CancelledError


class AsyncListing(Generic[T]):
    """A list on the daemon. `async for` reads page by page as far as it is needed, `await` reads all of it.

    `snapshot_sequence` is the journal position all pages reflect: stream after it to miss nothing. It is known once the
    first page was read, and `None` before.
    """

    def __init__(self, link: AsyncLink, call: Pages[T]) -> None:
        self._link = link
        self._call = call
        self.snapshot_sequence: int | None = None

    async def __aiter__(self) -> AsyncIterator[T]:
        left, token = self._call.limit, ""
        while left is None or left > 0:
            answer = await self._link.unary(Unary(self._call.page(token), lambda answer: answer))
            self.snapshot_sequence = answer.snapshot_sequence
            items = self._call.read(answer)[:left]
            for item in items:
                yield item
            left = None if left is None else left - len(items)
            token = answer.next_page_token
            if not token:
                return

    def __await__(self) -> Generator[Any, None, list[T]]:
        return self._all().__await__()

    async def _all(self) -> list[T]:
        return [item async for item in self]


class AsyncStream(Generic[T]):
    """A stream that opens itself again. Ends by `aclose()`, by leaving `async with`, or by an error.

    An error is raised only if opening the stream again can't mend it. A wait for the next item may be cancelled and
    begun again; nothing is lost. `connected` says whether the daemon is heard now.
    """

    def __init__(self, link: AsyncLink, call: Stream[T]) -> None:
        self.connected = False
        self._link = link
        self._call = call
        self._opening = call.opening()
        self._reconnection = Reconnection(link.options)
        self._closing = asyncio.Event()
        self._open: grpc.aio.UnaryStreamCall[Any, Any] | None = None
        self._items: Iterator[T] = iter(())
        """What is left of the last message."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            while not self._closing.is_set():
                problem: QuarterdeckError | None = None
                try:
                    for item in self._items:
                        return item
                    async for answer in await self._connection():
                        self.connected = True
                        self._reconnection.received()
                        self._items = self._call.accept(answer)
                        for item in self._items:
                            return item
                except grpc.RpcError as error:
                    problem = error_from(error)
                except asyncio.CancelledError:
                    raise_if_cancelled()
                self._disconnect()
                if not self._closing.is_set():
                    await self._pause(self._reconnection.delay_after(problem))
        except QuarterdeckError:
            await self.aclose()
            raise
        except asyncio.CancelledError:
            self._disconnect()
            raise
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; whoever waits for its next item is told that there is none."""
        self._closing.set()
        self._disconnect()

    def __del__(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and the connection with it
            self._disconnect()

    async def _connection(self) -> grpc.aio.UnaryStreamCall[Any, Any]:
        if self._opening is not None:
            await self._link.unary(self._opening)
            self._opening = None
        if self._open is None:
            request = self._call.request()
            method = method_of(request)
            invoke = self._link.channel.unary_stream(
                method.path, request_serializer=serialize, response_deserializer=method.read
            )
            self._open = invoke(request)
        return self._open

    def _disconnect(self) -> None:
        self.connected = False
        if self._open is not None:
            self._open.cancel()
            self._open = None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
