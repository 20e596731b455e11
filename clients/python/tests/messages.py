"""Messages as a daemon would send them, to be varied by a test."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.v1 import bot_pb2, event_pb2, order_pb2
from quarterdeck.v1.decimal_pb2 import Decimal as Number

ORDER = order_pb2.Order
EPOCH = 1_767_225_600  # 2026-01-01


def at(seconds: int) -> Timestamp:
    """A moment, so many seconds into the test's world."""
    return Timestamp(seconds=EPOCH + seconds)


def number(value: object) -> Number:
    """An exact number."""
    return Number(value=str(value))


def order(order_id: str = "1", **changes: Any) -> order_pb2.Order:
    """An order that works, with nothing filled."""
    fields: dict[str, Any] = {
        "name": f"accounts/main/orders/{order_id}",
        "instrument": "instruments/btcusdt",
        "side": ORDER.SIDE_BUY,
        "type": ORDER.TYPE_MARKET,
        "quantity": number("0.1"),
        "stop_loss": number("49000"),
        "role": ORDER.ROLE_ENTRY,
        "state": ORDER.STATE_OPEN,
        "filled_quantity": number(0),
        "fees": number(0),
        "link_id": f"qd-{order_id}",
        "create_time": at(0),
        "update_time": at(1),
    }
    return order_pb2.Order(**{**fields, **changes})


def bot(settings: Struct) -> bot_pb2.Bot:
    """A bot with these settings."""
    found = bot_pb2.Bot()
    filled(found)
    found.settings.CopyFrom(settings)
    return found


def envelope(sequence: int, **event: Any) -> event_pb2.Envelope:
    """An event at a place in the journal; a DaemonStopped if nothing else is said."""
    body = event or {"daemon_stopped": event_pb2.DaemonStopped(reason=f"r{sequence}")}
    return event_pb2.Envelope(sequence=sequence, record_time=at(sequence), account="accounts/main", **body)


def history(length: int) -> list[event_pb2.Envelope]:
    """That many events, from 1."""
    return [envelope(sequence) for sequence in range(1, length + 1)]


def filled(message: Message) -> Message:
    """A message with something in every field, as a daemon would send it; the first of each oneof."""
    for field in message.DESCRIPTOR.fields:
        if field.name == "next_page_token" or (field.containing_oneof and field != field.containing_oneof.fields[0]):
            continue
        kind = field.message_type
        if kind is not None and kind.name == "Struct":
            getattr(message, field.name)["fast"] = 5
        elif kind is not None and field.is_repeated:
            filled(getattr(message, field.name).add())
        elif kind is not None:
            getattr(message, field.name).SetInParent()
            filled(getattr(message, field.name))
        elif field.is_repeated:
            getattr(message, field.name).append("x")
        else:
            is_text = field.cpp_type == FieldDescriptor.CPPTYPE_STRING
            setattr(
                message, field.name, "1" if is_text else True if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else 1
            )
    return message
