"""The server as a stranger sees it: health, reflection, and who may reach it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from core.tests.rpc.conftest import PACE, LoopThread
from core.tests.rpc.deck import FakeDeck
from quarterdeck.domain.errors import ConfigError
from quarterdeck.rpc.board import SERVICES
from quarterdeck.rpc.server import Server, check_local

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health_of(channel: grpc.Channel, service: str = "") -> int:
    ask = health_pb2.HealthCheckRequest(service=service)
    return health_pb2.HealthCheckResponse.FromString(
        raw_call(channel, "/grpc.health.v1.Health/Check", ask.SerializeToString())
    ).status


def raw_call(channel: grpc.Channel, method: str, request: bytes) -> bytes:
    call: Any = channel.unary_unary(method)
    answer: bytes = call(request, timeout=10)
    return answer


def test_health_is_told_for_every_service(grpc_channel: grpc.Channel) -> None:
    for service in ("", *SERVICES):
        assert health_of(grpc_channel, service) == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health_of(grpc_channel, "nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_client_without_our_files_can_call_what_it_finds(grpc_channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(grpc_channel)
    services = set(database.get_services())
    assert services >= {*SERVICES, "grpc.health.v1.Health"}
    service = DescriptorPool(database).FindServiceByName("quarterdeck.v1.SystemService")
    method = service.methods_by_name["GetStatus"]
    ask = GetMessageClass(method.input_type)().SerializeToString()
    raw = raw_call(grpc_channel, f"/{service.full_name}/{method.name}", ask)
    answer: Any = GetMessageClass(method.output_type).FromString(raw)
    assert answer.status.version == "0.1.0"


@pytest.mark.parametrize("method", ["/quarterdeck.v1.OrderService/DeleteOrder", "/grpc.health.v1.Health/List"])
def test_a_method_that_is_not_there_is_unimplemented(grpc_channel: grpc.Channel, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(grpc_channel, method, b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_request_too_large_is_refused(grpc_channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(grpc_channel, "/quarterdeck.v1.OrderService/GetOrder", b"x" * 300_000)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_free_port_is_told_and_a_taken_one_is_refused(server_loop: LoopThread, deck: FakeDeck) -> None:
    first, second = server_loop.call(Server, [deck], PACE), server_loop.call(Server, [deck], PACE)
    address = server_loop.run(first.start("127.0.0.1:0"))
    try:
        with grpc.insecure_channel(address) as channel:
            assert health_of(channel) == NOT_SERVING
            server_loop.run(first.serve(is_open=True))
            assert health_of(channel) == SERVING
        with pytest.raises(ConfigError, match="cannot listen"):
            server_loop.run(second.start(address))
    finally:
        server_loop.run(first.stop())
        server_loop.run(second.stop())


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:50551", "[::]:50551", "192.168.1.7:1", "example.org:1", ":50551", "50551", "", "127.0.0.1"]
)
def test_no_other_machine_is_let_in(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"^daemon\.listen: "):
        check_local(listen)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:50551", "[::1]:50551", "127.8.8.8:1", "unix:/run/q.sock"])
def test_this_machine_is(listen: str) -> None:
    check_local(listen)
