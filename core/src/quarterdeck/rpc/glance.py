"""Owns the first glance at a request, which finds the usual one valid in a third of the time that its rules take.

protovalidate walks a message by way of Python and evaluates CEL; the rules that requests have are mostly patterns. So
they are taken from the same descriptors once and made into functions. A glance only ever says "certainly valid": what
it does not like, and every message with a rule it does not know, is protovalidate's, whose word is what callers see.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2

Glance = Callable[[Any], bool]
"""Whether a message, or a field's value, is certainly valid."""


class _Unknown(Exception):
    """There is a rule that is not known here."""


@cache
def glance_at(kind: type[Message]) -> Glance | None:
    """The glance at messages of a kind; None if they have rules that are not known here."""
    try:
        return _all(_of_message(kind.DESCRIPTOR, ()))  # type: ignore[arg-type]  # upb's descriptor is like Python's
    except _Unknown:
        return None


_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_POSITIVE = re.compile("[0-9.]*[1-9]")

#: What expressions say, by their text: one that is changed in the contract is not known here any more.
_SAID: dict[str, Glance] = {
    "this.value.matches('^[0-9.]*[1-9]')": lambda m: _POSITIVE.match(m.value) is not None,
    "(this.type in [2, 4, 6]) == has(this.limit_price)": lambda m: (m.type in (2, 4, 6)) == m.HasField("limit_price"),
    "(this.type in [3, 4, 5, 6]) == has(this.trigger_price)": (
        lambda m: (m.type in (3, 4, 5, 6)) == m.HasField("trigger_price")
    ),
    "(this.type == 7) == has(this.trailing_distance)": lambda m: (m.type == 7) == m.HasField("trailing_distance"),
    "this.time_in_force != 4 || this.type == 2": lambda m: m.time_in_force != 4 or m.type == 2,
    "!this.reduce_only || !(has(this.stop_loss) || has(this.take_profit))": (
        lambda m: not m.reduce_only or not (m.HasField("stop_loss") or m.HasField("take_profit"))
    ),
    "has(this.quantity) || has(this.stop_loss)": lambda m: m.HasField("quantity") or m.HasField("stop_loss"),
}


def _all(glances: list[Glance]) -> Glance:
    if len(glances) == 1:
        return glances[0]

    def glance(value: Any) -> bool:  # noqa: ANN401 - a message, or a field's value
        for one in glances:  # noqa: SIM110 - all() with a generator takes half as long again
            if not one(value):
                return False
        return True

    return glance


def _of_message(kind: Descriptor, around: tuple[Descriptor, ...]) -> list[Glance]:
    if kind in around:  # a message within its like
        raise _Unknown
    if any(oneof.GetOptions().ByteSize() for oneof in kind.oneofs):
        raise _Unknown
    glances = _rules(kind.GetOptions().Extensions[validate_pb2.message], {"cel": _expressions})
    for field in kind.fields:
        glances += _of_field(field, (*around, kind))
    return glances


def _of_field(field: FieldDescriptor, around: tuple[Descriptor, ...]) -> list[Glance]:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    glances = _rules(rules, {"string": _of_string, "int32": _of_number, "int64": _of_number, "enum": _of_enum(field)})
    if field.message_type is not None:
        glances += _of_message(field.message_type, around)
    if not glances and not rules.required:
        return []
    if field.is_repeated or (rules.required and not field.has_presence):
        raise _Unknown
    return [_of_value(field, _all(glances), rules)]


def _of_value(field: FieldDescriptor, glance: Glance, rules: validate_pb2.FieldRules) -> Glance:
    name, is_required = field.name, rules.required
    if field.has_presence:
        return lambda m: glance(getattr(m, name)) if m.HasField(name) else not is_required
    if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        return lambda m: not (value := getattr(m, name)) or glance(value)
    return lambda m: glance(getattr(m, name))


def _rules(rules: Message, known: dict[str, Callable[[Any], list[Glance]]]) -> list[Glance]:
    known = {"cel": _expressions, "ignore": lambda _: [], "required": lambda _: [], **known}
    glances: list[Glance] = []
    for field, value in rules.ListFields():
        if field.name not in known:
            raise _Unknown
        glances += known[field.name](value)
    return glances


def _expressions(rules: Any) -> list[Glance]:  # noqa: ANN401 - repeated validate_pb2.Rule
    if any(rule.expression not in _SAID for rule in rules):
        raise _Unknown
    return [_SAID[rule.expression] for rule in rules]


def _of_string(rules: validate_pb2.StringRules) -> list[Glance]:
    return _rules(
        rules,
        {
            "pattern": lambda pattern: [_matches(_whole(pattern))],
            "uuid": lambda _: [_matches(_UUID)],
            "max_len": lambda most: [lambda value: len(value) <= most],
        },
    )


def _matches(pattern: re.Pattern[str]) -> Glance:
    matches = pattern.fullmatch
    return lambda value: matches(value) is not None


def _whole(pattern: str) -> re.Pattern[str]:
    """A pattern for the whole of a text, in words that mean the same to RE2 and to Python."""
    inner = pattern[1:-1]
    if pattern != f"^{inner}$" or re.search(r"\\[^.]|\(\?", inner) or "|" in re.sub(r"\([^()]*\)", "", inner):
        raise _Unknown
    return re.compile(inner)


def _of_number(rules: Message) -> list[Glance]:
    return _rules(rules, {"gte": lambda least: [lambda value: value >= least]})


def _of_enum(field: FieldDescriptor) -> Callable[[validate_pb2.EnumRules], list[Glance]]:
    def of_enum(rules: validate_pb2.EnumRules) -> list[Glance]:
        if any(rule.name not in ("defined_only", "not_in") for rule, _ in rules.ListFields()) or not rules.defined_only:
            raise _Unknown
        assert field.enum_type is not None, "the contract's compiler sees to that"
        allowed = {value.number for value in field.enum_type.values} - set(rules.not_in)
        return [allowed.__contains__]

    return of_enum
