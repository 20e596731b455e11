"""Owns what the tests of the servicers share: request ids, and reading an error as any client would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from quarterdeck.v1.decimal_pb2 import Decimal

MAIN = "accounts/main"


def rid(number: int) -> str:
    """A request id."""
    return str(UUID(int=number))


def amount(spelt: str) -> Decimal:
    return Decimal(value=spelt)


class Failure(NamedTuple):
    """An error as a client sees it."""

    code: str
    reason: str
    metadata: dict[str, str]
    fields: list[str]
    retries: bool
    text: str


def failure(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Failure:
    """What a call fails with."""
    try:
        answer = call(*args, **kwargs)
        if not isinstance(answer, Message):
            list(answer)
    except grpc.RpcError as error:
        return failure_of(error)
    raise AssertionError(f"no error but {answer}")


def failure_of(error: grpc.RpcError) -> Failure:
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    assert status is not None, error
    assert (status.code, status.message) == (error.code().value[0], error.details())
    info, bad, retry = [], BadRequest(), False
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            found = ErrorInfo()
            detail.Unpack(found)
            info.append(found)
        elif detail.Is(BadRequest.DESCRIPTOR):
            detail.Unpack(bad)
        else:
            retry = detail.Is(RetryInfo.DESCRIPTOR)
    assert len(info) == 1
    assert info[0].domain == "quarterdeck"
    fields = [violation.field for violation in bad.field_violations]
    return Failure(error.code().name, info[0].reason, dict(info[0].metadata), fields, retry, status.message)
