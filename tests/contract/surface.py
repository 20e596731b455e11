"""Owns how the contract tests see `quarterdeck.v1`: every element's descriptor and the comment that leads it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

PROTOS = Path(__file__).parents[2] / "protos"
NAMES = sorted(path.stem for path in (PROTOS / "quarterdeck" / "v1").glob("*.proto"))


@dataclass(frozen=True, slots=True)
class Method:
    """One method of one service."""

    descriptor: MethodDescriptor
    service: ServiceDescriptor

    @property
    def name(self) -> str:
        return self.descriptor.name

    @property
    def request(self) -> Descriptor:
        return self.descriptor.input_type

    @property
    def response(self) -> Descriptor:
        return self.descriptor.output_type

    @property
    def streams(self) -> bool:
        return self.name.startswith("Stream")

    @property
    def lists(self) -> bool:
        return self.name.startswith("List")

    @property
    def reads(self) -> bool:
        """Answers once, and asking again is the same as asking once."""
        return self.name.startswith(("Get", "List", "Compute", "Diagnose", "Reconcile"))

    @property
    def mutates(self) -> bool:
        return not self.reads and not self.streams


@cache
def proto_files() -> tuple[FileDescriptor, ...]:
    modules = (importlib.import_module(f"quarterdeck.v1.{name}_pb2") for name in NAMES)
    return tuple(module.DESCRIPTOR for module in modules)


@cache
def services() -> tuple[ServiceDescriptor, ...]:
    return tuple(service for file in proto_files() for service in file.services_by_name.values())


@cache
def methods() -> tuple[Method, ...]:
    return tuple(Method(method, service) for service in services() for method in service.methods)


@cache
def messages() -> dict[str, Descriptor]:
    return {name: message for file in proto_files() for name, message in file.message_types_by_name.items()}


@cache
def enums() -> tuple[EnumDescriptor, ...]:
    free = (enum for file in proto_files() for enum in file.enum_types_by_name.values())
    nested = (enum for message in messages().values() for enum in message.enum_types)
    return (*free, *nested)


def message_class(name: str) -> type[Message]:
    return GetMessageClass(messages()[name])


def reachable(message: Descriptor) -> Iterator[FieldDescriptor]:
    """Every field of a message of ours and of the messages of ours inside it."""
    pending, seen = [message], set[str]()
    while pending:
        current = pending.pop()
        if current.full_name in seen or current.file.package != "quarterdeck.v1":
            continue
        seen.add(current.full_name)
        for field in current.fields:
            yield field
            if field.message_type is not None:
                pending.append(field.message_type)


@cache
def comments() -> dict[str, str]:
    """The comment that leads each message, field, enum, value, service and method, by full name."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "contract.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{PROTOS / 'third_party'}"]
        command += ["--include_source_info", f"--descriptor_set_out={target}"]
        subprocess.run(command + [f"quarterdeck/v1/{name}.proto" for name in NAMES], check=True)
        described = FileDescriptorSet.FromString(target.read_bytes())
    return {name: text for file in described.file for name, text in _comments_of(file)}


def _comments_of(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        element, name = file, file.package
        steps = iter(location.path)
        for number in steps:
            field = element.DESCRIPTOR.fields_by_number[number]
            if field.message_type is None or not field.is_repeated:
                break
            element = getattr(element, field.name)[next(steps)]
            name = f"{name}.{getattr(element, 'name', '')}"
        else:
            yield name, " ".join(location.leading_comments.split())
