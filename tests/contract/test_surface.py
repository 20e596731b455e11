"""Habits of the contract that buf lint does not know."""

from __future__ import annotations

import re

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from buf.validate import validate_pb2
from tests.contract.surface import Method, comments, enums, messages, methods, reachable, services

REASONS = {
    value.removeprefix("ERROR_REASON_")
    for enum in enums()
    if enum.name == "ErrorReason"
    for value in enum.values_by_name
}
OBSERVATIONS = {"Candle", "Quote", "BookLevel", "Ticker"}
CODES = {code.name for code in grpc.StatusCode}


def by_name(method: Method) -> str:
    return method.name


def field_type(message: Descriptor, name: str) -> int | None:
    field = message.fields_by_name.get(name)
    return None if field is None else field.type


@pytest.mark.parametrize("method", [method for method in methods() if method.mutates], ids=by_name)
def test_a_mutation_can_be_retried_and_says_where_it_was_recorded(method: Method) -> None:
    request_id = method.request.fields_by_name["request_id"]
    assert request_id.GetOptions().Extensions[validate_pb2.field].string.uuid
    assert field_type(method.response, "sequence") == FieldDescriptor.TYPE_INT64


@pytest.mark.parametrize("method", [method for method in methods() if method.reads], ids=by_name)
def test_a_read_states_its_journal_position_and_takes_no_request_id(method: Method) -> None:
    assert field_type(method.response, "snapshot_sequence") == FieldDescriptor.TYPE_INT64
    assert "request_id" not in method.request.fields_by_name


@pytest.mark.parametrize("method", [method for method in methods() if method.lists], ids=by_name)
def test_a_list_comes_in_pages(method: Method) -> None:
    assert field_type(method.request, "page_size") == FieldDescriptor.TYPE_INT32
    assert field_type(method.request, "page_token") == FieldDescriptor.TYPE_STRING
    assert field_type(method.response, "next_page_token") == FieldDescriptor.TYPE_STRING


@pytest.mark.parametrize("method", methods(), ids=by_name)
def test_what_streams_is_named_so(method: Method) -> None:
    assert method.descriptor.server_streaming == method.streams
    assert not method.descriptor.client_streaming


@pytest.mark.parametrize("enum", enums(), ids=lambda enum: enum.full_name)
def test_an_enum_begins_with_unspecified(enum: EnumDescriptor) -> None:
    assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


@pytest.mark.parametrize("method", methods(), ids=by_name)
def test_an_enum_given_by_a_caller_is_never_unspecified(method: Method) -> None:
    for field in reachable(method.request):
        if field.enum_type is None or comments()[field.full_name].endswith("Output only."):
            continue
        rules = field.GetOptions().Extensions[validate_pb2.field].enum
        assert rules.defined_only, field.full_name
        assert list(rules.not_in) == [0], field.full_name


@pytest.mark.parametrize("message", messages().values(), ids=messages())
def test_fields_keep_the_style(message: Descriptor) -> None:
    unsigned = {
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_FIXED32,
        FieldDescriptor.TYPE_FIXED64,
    }
    for field in message.fields:
        is_time = field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp"
        assert field.type not in unsigned, field.full_name
        assert field.name.endswith("_time") == is_time, field.full_name
        if field.type in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
            assert message.name in OBSERVATIONS, f"{field.full_name}: only observations are floats"


def test_an_event_is_named_like_its_message() -> None:
    named = {field.name: field.message_type for field in messages()["Envelope"].oneofs_by_name["event"].fields}
    events = {name: message.name for name, message in named.items() if message is not None}
    assert events == {name: "".join(word.capitalize() for word in name.split("_")) for name in named}
    in_file = {name for name, message in messages().items() if message.file.name.endswith("/event.proto")}
    assert in_file == {*events.values(), "Envelope"}


def test_every_error_reason_tells_its_status_code() -> None:
    for reason in REASONS - {"UNSPECIFIED"}:
        text = comments()[f"quarterdeck.v1.ErrorReason.ERROR_REASON_{reason}"]
        assert sum(code in re.findall(r"[A-Z_]+", text) for code in CODES) == 1, reason


def test_every_error_a_service_names_exists() -> None:
    values = {value.name for enum in enums() for value in enum.values}
    known = CODES | REASONS | {word for value in values for word in _endings(value)}
    names = {service.full_name for service in services()} | {method.descriptor.full_name for method in methods()}
    for name in names:
        for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", comments()[name]):
            assert word in known, f"{name} names {word}"


def _endings(value: str) -> set[str]:
    words = value.split("_")
    return {"_".join(words[start:]) for start in range(len(words))}
