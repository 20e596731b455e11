"""A first glance never finds valid what protovalidate refuses, and the usual request needs no second look."""

from __future__ import annotations

from typing import Any

import protovalidate
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.rpc.glance import glance_at
from quarterdeck.v1.order_service_pb2 import CreateOrderRequest
from tests.contract.surface import message_class
from tests.contract.test_corpus import cases

glance_at_order = glance_at(CreateOrderRequest)

USUAL: dict[str, Any] = {
    "parent": "accounts/main",
    "orderId": "o-1",
    "requestId": "0d9bcf0e-6f5a-4f6f-8a57-6d9df7a5b7e3",
    "order": {
        "instrument": "instruments/btcusdt",
        "side": "SIDE_BUY",
        "type": "TYPE_LIMIT",
        "limitPrice": {"value": "58000.5"},
        "stopLoss": {"value": "57000"},
    },
}

texts = st.sampled_from(
    [
        *("", "0", "00", "1", "-1", "0.0", "0.10", "1e3", "1\n", " 1", "٣", "1.", "9" * 20, "0." + "1" * 19),
        *(
            "accounts/main",
            "accounts/main\n",
            "accounts/Main",
            "instruments/btcusdt",
            "instruments/",
            "bots/a",
            "bots/é",
        ),
        *("o-1", "o_1", "a" * 64, "0d9bcf0e-6f5a-4f6f-8a57-6d9df7a5b7e3", "0d9bcf0e6f5a4f6f8a576d9df7a5b7e3"),
    ]
)
amounts = st.fixed_dictionaries({}, optional={"value": texts})
orders = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("instrument", "bot", "name", "reason"), texts),
        **dict.fromkeys(("side", "type", "timeInForce", "role", "state"), st.integers(-1, 9)),
        **dict.fromkeys(("quantity", "limitPrice", "triggerPrice", "trailingDistance"), amounts),
        **dict.fromkeys(("stopLoss", "takeProfit", "filledQuantity", "fees"), amounts),
        "reduceOnly": st.booleans(),
    },
)
changes = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(("parent", "orderId", "requestId"), texts), "order": orders}
)


def refused(message: Message) -> bool:
    return bool(protovalidate.collect_violations(message))


@pytest.mark.parametrize(("type_name", "case"), [*cases("accept"), *cases("reject")])
def test_it_agrees_with_the_corpus(type_name: str, case: dict[str, Any]) -> None:
    message = ParseDict(case.get("message", case) if "violations" in case else case, message_class(type_name)())
    glance = glance_at(type(message))  # type: ignore[arg-type]  # types can be hashed, whatever the stubs say
    assert glance is None or glance(message) is not refused(message)


@given(changes, st.sets(st.sampled_from(sorted(USUAL["order"]))))
def test_it_takes_no_order_that_is_refused(change: dict[str, Any], left_out: set[str]) -> None:
    order = {name: value for name, value in USUAL["order"].items() if name not in left_out}
    given_order = {**order, **change.get("order", {})}
    message = ParseDict({**USUAL, **change, "order": given_order}, CreateOrderRequest())
    assert glance_at_order is not None
    assert glance_at_order(message) is not refused(message)


def test_the_usual_order_needs_no_second_look() -> None:
    assert glance_at_order is not None
    assert glance_at_order(ParseDict(USUAL, CreateOrderRequest()))
    assert not glance_at_order(CreateOrderRequest())
