"""Owns what a call is, apart from how it is made: its request, and how its answer is read.

The contract names every request after its one method, so a request says by itself which method is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import uuid4

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from quarterdeck.client.convert import decode
from quarterdeck.v1 import (
    account_service_pb2,
    bot_service_pb2,
    event_service_pb2,
    market_data_service_pb2,
    order_service_pb2,
    position_service_pb2,
    risk_service_pb2,
    sizing_service_pb2,
    system_service_pb2,
)

PAGE_SIZE = 500

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Method(NamedTuple):
    """One method of the contract, as a channel needs to know it."""

    path: str
    read: Callable[[bytes], Any]


_SERVICES = (
    account_service_pb2,
    bot_service_pb2,
    event_service_pb2,
    market_data_service_pb2,
    order_service_pb2,
    position_service_pb2,
    risk_service_pb2,
    sizing_service_pb2,
    system_service_pb2,
)

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.input_type.full_name: Method(
            f"/{service.full_name}/{method.name}", GetMessageClass(method.output_type).FromString
        )
        for module in _SERVICES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
)
"""Every method of the contract, by the full name of its request."""


def method_of(request: Message) -> Method:
    """The method a request is for."""
    return METHODS[request.DESCRIPTOR.full_name]


def serialize(request: Message) -> bytes:
    """A request as bytes."""
    return request.SerializeToString()


def new_request_id() -> str:
    """An id for one mutation, kept through all tries of it."""
    return str(uuid4())


def resource(kind: type[T], field: str = "") -> Callable[[Any], T]:
    """A reader that takes the dataclass `kind` out of a field of the answer, or out of the answer itself."""
    return lambda answer: decode(kind, getattr(answer, field) if field else answer)


def resources(kind: type[T], field: str) -> Callable[[Any], list[T]]:
    """A reader that takes the dataclasses `kind` out of a repeated field of the answer."""
    return lambda answer: [decode(kind, item) for item in getattr(answer, field)]


@dataclass(frozen=True, slots=True)
class Unary(Generic[T]):
    """One request, one answer."""

    request: Message
    read: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A list that is read page by page. `read` gives the items of one page; at most `limit` are wanted."""

    request: Any
    read: Callable[[Any], list[T]]
    limit: int | None = None

    def page(self, token: str) -> Message:
        """The request for the page with that token; empty for the first."""
        request: Message = type(self.request)()
        request.CopyFrom(self.request)
        request.MergeFrom(
            type(self.request)(page_size=min(self.limit or PAGE_SIZE, PAGE_SIZE), page_token=token),
        )
        return request


class Stream(Protocol[T_co]):
    """A call whose answers don't end, and which is opened again when it breaks."""

    def opening(self) -> Unary[None] | None:
        """A call to make before the stream is opened for the first time, if one is needed."""
        ...

    def request(self) -> Message:
        """The request that opens the stream where it was left."""
        ...

    def accept(self, answer: Any) -> Iterator[T_co]:  # noqa: ANN401 - a message of any method
        """The items in a message that are for the reader. Each counts as read when it is taken from here."""
        ...


@dataclass(frozen=True, slots=True)
class Feed(Generic[T]):
    """A stream that is lossy by contract: opened again, it goes on with what is so then."""

    opened_by: Message
    read: Callable[[Any], T]

    def accept(self, answer: Any) -> Iterator[T]:  # noqa: ANN401 - a message of any method
        """The one item in a message."""
        yield self.read(answer)

    def opening(self) -> None:
        """Nothing: it begins with what is so now."""

    def request(self) -> Message:
        """Always the same."""
        return self.opened_by
