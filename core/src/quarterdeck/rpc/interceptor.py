"""Owns what happens around every call: the contract's rules before it, the error table after it.

A call that fails never shows its caller more than the table says: gRPC alone would send the text of any exception.
"""

from __future__ import annotations

from asyncio import CancelledError, timeout
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from inspect import isasyncgenfunction
from math import inf
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from protovalidate import Validator

from quarterdeck.domain.errors import InvalidRequest, QuarterdeckError, Unavailable
from quarterdeck.rpc.deadline import Deadline
from quarterdeck.rpc.errors import DETAILS_KEY, answer_to
from quarterdeck.rpc.glance import glance_at
from quarterdeck.rpc.limits import ALWAYS_TAKEN, Limits

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Read = Callable[[bytes], Any]


#: Seconds to wait until an error is on its way. Behind what its reader does not take it would wait for ever.
_ENDING = 2.0


class Guard(grpc.aio.ServerInterceptor):
    """Guards every method of every service; each is wrapped once, so a call costs no more than its checks.

    `account_of` tells the name of the account a request is for, by which errors name what is in it. What is beyond the
    limits is refused at once.
    """

    def __init__(self, account_of: Callable[[object], str], limits: Limits) -> None:
        self._account_of = account_of
        self._limits = limits
        self._deadline = Deadline(limits.call)
        self.calls = 0
        """How many calls with one answer are under way."""
        self.streams = 0
        """How many streams are open."""
        self._guarded: dict[str, Handler] = {}
        self._validate = Validator().validate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The guarded handler of a method; None if there is no such method."""
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            guarded = self._guarded[method] = self._guard(handler, method)
        return guarded

    def _guard(self, handler: Handler, method: str) -> Handler:
        """The same handler, which reads, checks and answers through this guard."""
        read, write = handler.request_deserializer or _as_it_is, handler.response_serializer
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._call(handler.unary_unary, read, method), None, write)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, read, method), None, write)
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(self._fed_call(handler.stream_unary, read, method), None, write)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._fed_stream(handler.stream_stream, read, method), None, write
            )
        raise TypeError(f"{method} has no handler")

    def _call(self, serve: Callable[..., Any], read: Read, method: str) -> Callable[..., Awaitable[Any]]:
        allowed, deadline = inf if method in ALWAYS_TAKEN else self._limits.calls, self._deadline

        async def call(raw: bytes, context: Context) -> Any:  # noqa: ANN401 - the method's own answer
            self.calls += 1
            task, is_late, request = deadline.begin(), False, None
            try:
                try:
                    if self.calls > allowed:
                        raise _overloaded(f"{self._limits.calls} calls")
                    request = self._checked(read, raw)
                    return await serve(request, context)
                finally:
                    is_late = deadline.end(task)
            except CancelledError:
                if not is_late:
                    raise
                await self._abort(_timed_out(deadline.seconds), context, method)
            except Exception as error:  # noqa: BLE001 - whatever it is, the table says what is seen of it
                await self._abort(error, context, method, request)
            finally:
                self.calls -= 1

        return call

    def _stream(self, serve: Callable[..., Any], read: Read, method: str) -> Callable[..., Any]:
        if isasyncgenfunction(serve):

            async def stream(raw: bytes, context: Context) -> AsyncIterator[Any]:
                try:
                    with self._one_more_stream():
                        async for answer in serve(self._checked(read, raw), context):
                            yield answer
                except Exception as error:  # noqa: BLE001 - as above
                    await self._abort(error, context, method)

            return stream

        async def write(raw: bytes, context: Context) -> None:  # it writes to the context itself
            try:
                with self._one_more_stream():
                    await serve(self._checked(read, raw), context)
            except Exception as error:  # noqa: BLE001 - as above
                await self._abort(error, context, method)

        return write

    def _fed_call(self, serve: Callable[..., Any], read: Read, method: str) -> Callable[..., Awaitable[Any]]:
        async def call(raws: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - as above
            try:
                return await serve(self._all_checked(read, raws), context)
            except Exception as error:  # noqa: BLE001 - as above
                await self._abort(error, context, method)

        return call

    def _fed_stream(self, serve: Callable[..., Any], read: Read, method: str) -> Callable[..., Any]:
        async def stream(raws: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            try:
                with self._one_more_stream():
                    async for answer in serve(self._all_checked(read, raws), context):
                        yield answer
            except Exception as error:  # noqa: BLE001 - as above
                await self._abort(error, context, method)

        return stream

    @contextmanager
    def _one_more_stream(self) -> Iterator[None]:
        if self.streams >= self._limits.streams:
            raise _overloaded(f"{self._limits.streams} streams")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def _checked(self, read: Read, raw: bytes) -> Any:  # noqa: ANN401 - the method's own request
        try:
            request = read(raw)
        except DecodeError as error:
            raise InvalidRequest("request", "is no message of this method") from error
        if isinstance(request, Message):
            glance = glance_at(type(request))  # type: ignore[arg-type]  # types can be hashed, whatever the stubs say
            if glance is None or not glance(request):
                self._validate(request)
        return request

    async def _all_checked(self, read: Read, raws: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for raw in raws:
            yield self._checked(read, raw)

    async def _abort(self, error: Exception, context: Context, method: str, request: object = None) -> None:
        if isinstance(error, grpc.aio.BaseError):  # the call has been answered already, or its caller is gone
            raise error
        code, status = answer_to(error, self._account_of(request), method)
        try:
            async with timeout(_ENDING):
                await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))
        except TimeoutError:  # its reader takes nothing: gRPC keeps the status for it, and lets go with the connection
            raise CancelledError from error


def _overloaded(limit: str) -> Unavailable:
    text = f"{limit} are under way already; nothing was recorded, try again in a moment"
    return Unavailable("OVERLOADED", text, {"limit": limit})


def _timed_out(seconds: float) -> QuarterdeckError:
    text = f"the call was not over after {seconds:g} seconds; ask again with the same request_id what became of it"
    return QuarterdeckError("TIMED_OUT", text, {"seconds": f"{seconds:g}"})


def _as_it_is(raw: bytes) -> bytes:
    return raw
