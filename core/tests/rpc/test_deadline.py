"""A call that takes too long is given up, and only that one."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from quarterdeck.rpc.deadline import Deadline
from quarterdeck.rpc.interceptor import Guard
from quarterdeck.rpc.limits import Limits

SOON = 0.05


async def timed(deadline: Deadline, seconds: float) -> bool:
    """Whether it was given up."""
    task = deadline.begin()
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if not deadline.end(task):
            raise
        return True
    assert not deadline.end(task)
    return False


async def test_only_what_takes_too_long_is_given_up() -> None:
    deadline = Deadline(SOON)
    calls = [asyncio.create_task(timed(deadline, seconds)) for seconds in (10, 0, 10, SOON / 5)]
    await asyncio.sleep(SOON / 2)
    calls.append(asyncio.create_task(timed(deadline, 10)))
    assert await asyncio.wait_for(asyncio.gather(*calls), 5) == [True, False, True, False, True]


async def test_a_call_that_somebody_else_ends_is_not_late() -> None:
    call = asyncio.create_task(timed(Deadline(10), 10))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_its_caller_is_told() -> None:
    async def serve(raw: bytes, _: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        await asyncio.sleep(10 if raw == b"slow" else 0)
        return raw

    server = grpc.aio.server(interceptors=[Guard(lambda _: "accounts/main", Limits(call=SOON))])
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(serve)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", {"C": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/a.B/C")
            assert await call(b"quick") == b"quick"
            with pytest.raises(grpc.aio.AioRpcError, match=r"not over after 0\.05 seconds") as error:
                await call(b"slow")
            assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert await call(b"quick") == b"quick"
    finally:
        await server.stop(None)
