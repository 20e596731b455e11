"""Owns how a servicer's methods become a server's: by the names in the contract, as generic handlers.

The generated `add_…_to_server` functions also register each method with the server by itself. grpc.aio then waits for
all of them in one `asyncio.wait` per call, which with this many methods costs every call a sixth of its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass


def add_service(server: grpc.aio.Server, name: str, servant: Callable[[Any], Any], *, serialized: bool = False) -> None:
    """Add the service of that full name. `servant` gives what serves a method, by its descriptor; None for nothing.

    Answers that are `serialized` already are sent as they are.
    """
    service = descriptor_pool.Default().FindServiceByName(name)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in service.methods:
        serve = servant(method)
        if serve is None:
            continue
        make = _MAKERS[method.client_streaming, method.server_streaming]
        read = GetMessageClass(method.input_type).FromString
        write = None if serialized else GetMessageClass(method.output_type).SerializeToString
        handlers[method.name] = make(serve, read, write)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))


_MAKERS: dict[tuple[bool, bool], Any] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
