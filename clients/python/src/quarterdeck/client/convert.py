"""Owns the passage between Python values and the contract's messages, in both directions.

Inwards, one generic reader fills a dataclass from the message of the same shape, led by the dataclass's type hints:
a field that may be `None` may be absent, any other must be there. Outwards, one function per kind of value.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck.client.errors import ContractBroken
from quarterdeck.v1 import decimal_pb2

Amount = Decimal | int | str
"""An exact number: a `Decimal`, an int or its digits. Floats are refused: they are not exact."""
Moment = datetime | int
"""A point in time: a `datetime` with a time zone, or nanoseconds since 1970 UTC."""
Interval = timedelta | str
"""A length of time: a `timedelta`, or a count and its unit: `"30s"`, `"5m"`, `"4h"`, `"1d"`, `"1w"`."""

T = TypeVar("T")
Read = Callable[[Any], Any]

# ---------------------------------------------------------------- from the contract


def decode(kind: type[T], message: Message, **given: Any) -> T:  # noqa: ANN401 - fields of any type
    """The message as the dataclass `kind`; fields that are `given` are not looked for in the message.

    Raises:
        ContractBroken: a field that must be there is absent, or an amount is not a number.
    """
    plan = _plan(cast("Any", kind), message.DESCRIPTOR, tuple(given))
    return kind(**{name: read(message) for name, read in plan}, **given)


@cache
def _plan(kind: type[Any], shape: Descriptor, given: tuple[str, ...]) -> tuple[tuple[str, Read], ...]:
    """How to read each field of a dataclass from a message of that shape."""
    hints = get_type_hints(kind)
    names = (field.name for field in dataclasses.fields(kind) if field.name not in given)
    return tuple((name, _reader(shape.fields_by_name[name], hints[name])) for name in names)


def _reader(field: FieldDescriptor, hint: Any) -> Read:  # noqa: ANN401 - a type hint is any object
    """How to read one field of a message as what the hint says."""
    name = field.name
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    (inner,) = (choice for choice in choices if choice is not types.NoneType)
    if field.is_repeated:
        of_one = _converter(field, get_args(inner)[0])
        return lambda message: tuple(of_one(item) for item in getattr(message, name))
    convert = _converter(field, inner)
    if not field.has_presence:
        return lambda message: convert(getattr(message, name))

    def read(message: Message) -> Any:  # noqa: ANN401 - what the hint says
        if message.HasField(name):
            return convert(getattr(message, name))
        if types.NoneType in choices:
            return None
        raise ContractBroken(f"{message.DESCRIPTOR.full_name}.{name} is absent")

    return read


def _converter(field: FieldDescriptor, hint: Any) -> Read:  # noqa: ANN401 - a type hint is any object
    """How to turn one value of a field into what the hint says."""
    if field.enum_type is not None:
        words = _words(field.enum_type)
        return lambda number: words.get(number, str(number))
    if field.message_type is None:
        return _as_it_is
    well_known = _WELL_KNOWN.get(field.message_type.full_name)
    return well_known or (lambda message: decode(hint, message))


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - scalars of any type
    return value


def _read_amount(message: decimal_pb2.Decimal) -> Decimal:
    try:
        value = Decimal(message.value)
    except InvalidOperation as error:
        raise ContractBroken(f"{message.value!r} is not a number") from error
    return value or abs(value)


def _read_moment(message: Timestamp) -> datetime:
    return message.ToDatetime(tzinfo=UTC)


def _read_settings(message: Struct) -> dict[str, Any]:
    """JSON as it was before protobuf made a double of every number."""
    settings: dict[str, Any] = json.loads(json_format.MessageToJson(message), parse_float=_whole)
    return settings


def _whole(digits: str) -> float | int:
    value = float(digits)
    return int(value) if value.is_integer() else value


_WELL_KNOWN: Mapping[str, Read] = {
    decimal_pb2.Decimal.DESCRIPTOR.full_name: _read_amount,
    Timestamp.DESCRIPTOR.full_name: _read_moment,
    Duration.DESCRIPTOR.full_name: Duration.ToTimedelta,
    Struct.DESCRIPTOR.full_name: _read_settings,
}


@cache
def _words(enum: EnumDescriptor) -> Mapping[int, str]:
    """An enum's words by number: the value names without their common prefix."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.number: value.name.removeprefix(prefix) for value in enum.values}


# ---------------------------------------------------------------- to the contract


def amount(value: Amount | None) -> decimal_pb2.Decimal | None:
    """An exact number, or nothing. How its digits are spelt is for the daemon to judge.

    Raises:
        TypeError: a float or a bool.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise TypeError(f"{value!r} is not exact: give a Decimal, an int or a string of digits")
    return decimal_pb2.Decimal(value=value if isinstance(value, str) else format(value, "f"))


def moment(value: Moment | None) -> Timestamp | None:
    """A point in time, or nothing.

    Raises:
        ValueError: a datetime without a time zone.
    """
    if value is None:
        return None
    timestamp = Timestamp()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        timestamp.FromDatetime(value)
    else:
        timestamp.FromNanoseconds(value)
    return timestamp


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def interval_of(value: Interval | None) -> Duration | None:
    """A length of time, or nothing.

    Raises:
        ValueError: a string that is not a count and a unit.
    """
    if value is None:
        return None
    if isinstance(value, str):
        parts = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
        if parts is None:
            raise ValueError(f"{value!r} is not an interval such as '30s', '5m', '4h', '1d' or '1w'")
        value = timedelta(**{_UNITS[parts[2]]: int(parts[1])})
    duration = Duration()
    duration.FromTimedelta(value)
    return duration


def number(enum: EnumDescriptor, word: str) -> Any:  # noqa: ANN401 - each enum has an int type of its own
    """The number of an enum's word.

    Raises:
        ValueError: no such word; the message lists those there are.
    """
    words = {text: value for value, text in _words(enum).items() if value}
    if word not in words:
        raise ValueError(f"{word!r} is not one of {', '.join(words)}")
    return words[word]


def settings_of(values: Mapping[str, Any]) -> Struct:
    """A strategy's settings. Decimals become strings, which keeps them exact."""
    return json_format.ParseDict(to_dict(values), Struct())


# ---------------------------------------------------------------- to JSON


def to_dict(value: Any) -> Any:  # noqa: ANN401 - any dataclass of this package, or anything inside one
    """Anything this client returns as what `json.dumps` takes, with the contract's field names.

    Decimals become strings of digits, times RFC 3339 in UTC, lengths of time seconds such as `"300s"`.
    """
    if dataclasses.is_dataclass(value):
        return {field.name: to_dict(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_dict(item) for item in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return value
