"""What the contract accepts and refuses. Cases are only ever added: a message that was once valid stays valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import protovalidate
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from buf.validate import validate_pb2
from tests.contract.surface import message_class, messages, methods, reachable

HERE = Path(__file__).parent


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(path.stem, case, id=f"{path.stem}: {name}")
        for path in sorted((HERE / kind).glob("*.json"))
        for name, case in json.loads(path.read_text(encoding="utf-8")).items()
    ]


def violations(message: Message) -> list[str]:
    """As "field.path: rule_id", sorted; the path is empty for a rule over the whole message."""
    found = []
    for violation in protovalidate.collect_violations(message):
        proto = violation.proto
        path = ""
        for element in proto.field.elements if proto.field else ():
            path += f".{element.field_name}" if path else element.field_name
            if element.subscript is not None:
                path += f"[{element.subscript.value}]"
        found.append(f"{path}: {proto.rule_id}")
    return sorted(found)


@pytest.mark.parametrize(("type_name", "case"), cases("accept"))
def test_what_was_ever_valid_is_valid(type_name: str, case: dict[str, Any]) -> None:
    assert violations(ParseDict(case, message_class(type_name)())) == []


@pytest.mark.parametrize(("type_name", "case"), cases("reject"))
def test_what_is_wrong_is_refused_by_its_rule_alone(type_name: str, case: dict[str, Any]) -> None:
    assert violations(ParseDict(case["message"], message_class(type_name)())) == sorted(case["violations"])


def test_every_request_has_accepted_and_refused_cases() -> None:
    requests = {method.request.name for method in methods()}
    with_fields = {name for name in requests if messages()[name].fields}
    assert requests <= {path.stem for path in (HERE / "accept").glob("*.json")}
    assert with_fields <= {path.stem for path in (HERE / "reject").glob("*.json")}


def test_every_rule_of_our_own_is_seen_refusing_in_every_field_that_has_it() -> None:
    expected, seen = set(), set()
    for request in {method.request.full_name: method.request for method in methods()}.values():
        expected |= {(request.name, "", rule.id) for rule in request.GetOptions().Extensions[validate_pb2.message].cel}
        for field in reachable(request):
            rules = list(field.GetOptions().Extensions[validate_pb2.field].cel)
            if field.message_type is not None:
                rules += field.message_type.GetOptions().Extensions[validate_pb2.message].cel
            expected |= {(request.name, field.name, rule.id) for rule in rules}
    for type_name, case in (param.values for param in cases("reject")):
        for path, rule_id in (violation.split(": ") for violation in case["violations"]):
            seen.add((type_name, path.rpartition(".")[2], rule_id))
    assert expected
    assert expected - seen == set()
