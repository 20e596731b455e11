"""Owns what happens around every call: the contract's rules before it, the error table after it.

A call that fails never shows its caller more than the table says: gRPC alone would send the text of any exception.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import isasyncgenfunction
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from protovalidate import Validator

from quarterdeck.domain.errors import InvalidRequest
from quarterdeck.rpc.errors import DETAILS_KEY, answer_to

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Read = Callable[[bytes], Any]


class Guard(grpc.aio.ServerInterceptor):
    """Guards every method of every service; each is wrapped once, so a call costs no more than its checks.

    `account` is the account's name, by which errors name what is in it.
    """

    def __init__(self, account: str) -> None:
        self._account = account
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
        async def call(raw: bytes, context: Context) -> Any:  # noqa: ANN401 - the method's own answer
            try:
                return await serve(self._checked(read, raw), context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the table says what is seen of it
                await self._abort(error, context, method)

        return call

    def _stream(self, serve: Callable[..., Any], read: Read, method: str) -> Callable[..., Any]:
        if not isasyncgenfunction(serve):
            return self._call(serve, read, method)  # it writes to the context itself

        async def stream(raw: bytes, context: Context) -> AsyncIterator[Any]:
            try:
                async for answer in serve(self._checked(read, raw), context):
                    yield answer
            except Exception as error:  # noqa: BLE001 - as above
                await self._abort(error, context, method)

        return stream

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
                async for answer in serve(self._all_checked(read, raws), context):
                    yield answer
            except Exception as error:  # noqa: BLE001 - as above
                await self._abort(error, context, method)

        return stream

    def _checked(self, read: Read, raw: bytes) -> Any:  # noqa: ANN401 - the method's own request
        try:
            request = read(raw)
        except DecodeError as error:
            raise InvalidRequest("request", "is no message of this method") from error
        if isinstance(request, Message):
            self._validate(request)
        return request

    async def _all_checked(self, read: Read, raws: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for raw in raws:
            yield self._checked(read, raw)

    async def _abort(self, error: Exception, context: Context, method: str) -> None:
        if isinstance(error, grpc.aio.BaseError):  # the call has been answered already, or its caller is gone
            raise error
        code, status = answer_to(error, self._account, method)
        await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))


def _as_it_is(raw: bytes) -> bytes:
    return raw
