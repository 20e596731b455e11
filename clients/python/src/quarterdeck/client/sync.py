"""Owns how calls are made without asyncio: one channel, tries, pages and streams that are opened again.

The twin of `aio.py`, step by step; everything that can be decided without waiting stands in what both import.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
from tenacity import Retrying

from quarterdeck.client.calls import Pages, Stream, Unary, method_of, serialize
from quarterdeck.client.errors import QuarterdeckError, error_from
from quarterdeck.client.options import Deadline, Options, Reconnection

T = TypeVar("T")


class SyncLink:
    """Makes calls over a `grpc` channel. Safe to use from several threads."""

    def __init__(self, channel: grpc.Channel, options: Options) -> None:
        self.channel = channel
        self.options = options

    def unary(self, call: Unary[T]) -> T:
        """Make a call with one answer, trying again as the options say."""
        method = method_of(call.request)
        invoke = self.channel.unary_unary(method.path, request_serializer=serialize, response_deserializer=method.read)
        deadline = Deadline(self.options)

        def attempt() -> Any:  # noqa: ANN401 - the answer of any method
            try:
                return invoke(call.request, timeout=deadline.attempt_timeout())
            except grpc.RpcError as error:
                raise error_from(error) from error

        try:
            return call.read(Retrying(**self.options.retrying())(attempt))
        except QuarterdeckError as error:
            error.request_id = getattr(call.request, "request_id", "")
            raise

    def pages(self, call: Pages[T]) -> SyncListing[T]:
        """Read a list."""
        return SyncListing(self, call)

    def stream(self, call: Stream[T]) -> SyncStream[T]:
        """Read a stream, opening it again when it breaks."""
        return SyncStream(self, call)


class SyncListing(Generic[T]):
    """A list on the daemon. Iterating reads page by page as far as it is needed; `list(…)` reads all of it.

    `snapshot_sequence` is the journal position all pages reflect: stream after it to miss nothing. It is known once the
    first page was read, and `None` before.
    """

    def __init__(self, link: SyncLink, call: Pages[T]) -> None:
        self._link = link
        self._call = call
        self.snapshot_sequence: int | None = None

    def __iter__(self) -> Iterator[T]:
        left, token = self._call.limit, ""
        while left is None or left > 0:
            answer = self._link.unary(Unary(self._call.page(token), lambda answer: answer))
            self.snapshot_sequence = answer.snapshot_sequence
            items = self._call.read(answer)[:left]
            yield from items
            left = None if left is None else left - len(items)
            token = answer.next_page_token
            if not token:
                return


class SyncStream(Generic[T]):
    """A stream that opens itself again. Ends by `close()`, by leaving `with`, or by an error.

    An error is raised only if opening the stream again can't mend it. Iterate in one thread; `close()` may be called
    from any. `connected` says whether the daemon is heard now.
    """

    def __init__(self, link: SyncLink, call: Stream[T]) -> None:
        self.connected = False
        self._link = link
        self._call = call
        self._opening = call.opening()
        self._reconnection = Reconnection(link.options)
        self._closing = threading.Event()
        self._open: Any = None  # a call and an iterator in one, for which the stubs have no type
        self._items: Iterator[T] = iter(())
        """What is left of the last message."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            while not self._closing.is_set():
                problem: QuarterdeckError | None = None
                try:
                    for item in self._items:
                        return item
                    for answer in self._connection():
                        self.connected = True
                        self._reconnection.received()
                        self._items = self._call.accept(answer)
                        for item in self._items:
                            return item
                except grpc.RpcError as error:
                    problem = error_from(error)
                self._disconnect()
                if not self._closing.is_set():
                    self._closing.wait(self._reconnection.delay_after(problem))
        except QuarterdeckError:
            self.close()
            raise
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; a thread that waits for its next item is told that there is none."""
        self._closing.set()
        self._disconnect()

    def _connection(self) -> Any:  # noqa: ANN401 - see __init__
        if self._opening is not None:
            self._link.unary(self._opening)
            self._opening = None
        if self._open is None:
            request = self._call.request()
            method = method_of(request)
            invoke = self._link.channel.unary_stream(
                method.path, request_serializer=serialize, response_deserializer=method.read
            )
            self._open = opened = invoke(request)
            if self._closing.is_set():  # by another thread, which did not see this call yet
                opened.cancel()
            return opened
        return self._open

    def _disconnect(self) -> None:
        self.connected = False
        opened, self._open = self._open, None
        if opened is not None:
            opened.cancel()
