"""The client says the same as the contract: every field, word, event, error and method of it, no more, no less."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from types import ModuleType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from clients.python.tests.conftest import Face
from clients.python.tests.fake_daemon import request_class
from clients.python.tests.test_public import METHODS as PUBLIC
from quarterdeck import v1
from quarterdeck.client import answers, events, new_request_id, resources, words
from quarterdeck.client.calls import METHODS
from quarterdeck.client.client import Api
from quarterdeck.client.errors import _BY_CODE, _BY_REASON
from quarterdeck.v1 import (
    account_pb2,
    bot_pb2,
    bot_service_pb2,
    error_pb2,
    event_pb2,
    fill_pb2,
    instrument_pb2,
    ledger_pb2,
    market_pb2,
    mode_pb2,
    order_pb2,
    order_service_pb2,
    position_pb2,
    risk_pb2,
    risk_service_pb2,
    signal_pb2,
    sizing_pb2,
    sizing_service_pb2,
    system_pb2,
    system_service_pb2,
)

# What an event carries of a thing is what is known when it begins; the envelope or other events tell the rest.
PARTIAL: dict[type[Any], type[Message]] = {
    resources.OrderTerms: order_pb2.Order,
    resources.NewOrder: order_pb2.Order,
    resources.Trade: fill_pb2.Fill,
    resources.NewBot: bot_pb2.Bot,
}
ANSWERS: dict[type[Any], tuple[type[Message], ...]] = {
    answers.OrderCreated: (order_service_pb2.CreateOrderResponse,),
    answers.OrderChanged: (
        order_service_pb2.AmendOrderResponse,
        order_service_pb2.CancelOrderResponse,
        order_service_pb2.ResolveOrderResponse,
    ),
    answers.OrdersChanged: (order_service_pb2.CancelAllOrdersResponse, order_service_pb2.ClosePositionResponse),
    answers.BotChanged: (
        bot_service_pb2.CreateBotResponse,
        bot_service_pb2.StartBotResponse,
        bot_service_pb2.PauseBotResponse,
        bot_service_pb2.StopBotResponse,
    ),
    answers.RiskStateChanged: (risk_service_pb2.ReleaseKillSwitchResponse,),
    answers.AccountHalt: (risk_pb2.AccountHalt,),
    answers.Halted: (risk_service_pb2.EngageKillSwitchResponse,),
    answers.RiskRatio: (sizing_service_pb2.GetRiskRatioResponse,),
    answers.Diagnosis: (system_service_pb2.DiagnoseResponse,),
    answers.Reconciliation: (system_service_pb2.ReconcileResponse,),
    answers.ComputedSize: (sizing_service_pb2.ComputeSizeResponse,),
}
THINGS = {
    name: found
    for module in (
        account_pb2,
        bot_pb2,
        event_pb2,
        fill_pb2,
        instrument_pb2,
        ledger_pb2,
        market_pb2,
        order_pb2,
        position_pb2,
        risk_pb2,
        sizing_pb2,
        system_pb2,
    )
    for name, found in module.DESCRIPTOR.message_types_by_name.items()
}
WORDS: dict[str, EnumDescriptor] = {
    "Side": order_pb2.Order.Side.DESCRIPTOR,
    "OrderType": order_pb2.Order.Type.DESCRIPTOR,
    "TimeInForce": order_pb2.Order.TimeInForce.DESCRIPTOR,
    "OrderRole": order_pb2.Order.Role.DESCRIPTOR,
    "OrderState": order_pb2.Order.State.DESCRIPTOR,
    "Liquidity": fill_pb2.Fill.Liquidity.DESCRIPTOR,
    "FillCause": fill_pb2.Fill.Cause.DESCRIPTOR,
    "LedgerBook": ledger_pb2.Posting.Book.DESCRIPTOR,
    "InstrumentKind": instrument_pb2.Instrument.Kind.DESCRIPTOR,
    "BotState": bot_pb2.Bot.State.DESCRIPTOR,
    "PositionPolicy": bot_service_pb2.StopBotRequest.PositionPolicy.DESCRIPTOR,
    "KillMode": risk_service_pb2.EngageKillSwitchRequest.KillMode.DESCRIPTOR,
    "TradingState": risk_pb2.TradingState.DESCRIPTOR,
    "SignalAction": signal_pb2.SignalAction.DESCRIPTOR,
    "Mode": mode_pb2.Mode.DESCRIPTOR,
    "DaemonState": system_pb2.Status.State.DESCRIPTOR,
    "FindingVerdict": system_pb2.Finding.Verdict.DESCRIPTOR,
    "DiagnosisDepth": system_service_pb2.DiagnoseRequest.Depth.DESCRIPTOR,
    "PluginKind": system_pb2.Plugin.Kind.DESCRIPTOR,
}


def dataclasses_of(module: ModuleType) -> Iterator[type[Any]]:
    for found in vars(module).values():
        if dataclasses.is_dataclass(found) and isinstance(found, type) and found.__module__ == module.__name__:
            yield found


def pairs() -> Iterator[tuple[type[Any], Any]]:
    for kind in (*dataclasses_of(resources), *dataclasses_of(events)):
        if kind in PARTIAL:
            yield kind, PARTIAL[kind].DESCRIPTOR
        elif kind not in {events.Event, events.Unrecognized}:
            yield kind, THINGS[kind.__name__]
    for kind, messages in ANSWERS.items():
        for message in messages:
            yield kind, message.DESCRIPTOR


every_pair = pytest.mark.parametrize(
    ("kind", "shape"), [pytest.param(*pair, id=f"{pair[0].__name__}-{pair[1].name}") for pair in pairs()]
)


@every_pair
def test_a_dataclass_has_the_fields_of_its_message(kind: type[Any], shape: Descriptor) -> None:
    ours = {field.name for field in dataclasses.fields(kind)}
    theirs = {field.name for field in shape.fields}
    if kind in PARTIAL:
        assert ours <= theirs
    else:
        assert ours == theirs


SCALARS = {
    FieldDescriptor.CPPTYPE_STRING: "str",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_INT32: "int",
    FieldDescriptor.CPPTYPE_INT64: "int",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
}
WELL_KNOWN = {"Decimal": "Decimal", "Timestamp": "datetime", "Duration": "timedelta", "Struct": "Mapping"}


@every_pair
def test_a_field_has_the_type_of_its_field(kind: type[Any], shape: Descriptor) -> None:
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, theirs = hints[field.name], shape.fields_by_name[field.name]
        if get_origin(hint) in {Union, UnionType}:
            assert theirs.has_presence, field.name
            (hint,) = (each for each in get_args(hint) if each is not type(None))
        if theirs.is_repeated:
            assert get_origin(hint) is tuple, field.name
            hint = get_args(hint)[0]
        if theirs.enum_type is not None:
            assert hint == getattr(words, next(key for key, each in WORDS.items() if each is theirs.enum_type))
        elif theirs.message_type is None:
            assert hint.__name__ == SCALARS[theirs.cpp_type], field.name
        elif theirs.message_type.name in WELL_KNOWN:
            assert (get_origin(hint) or hint).__name__ == WELL_KNOWN[theirs.message_type.name], field.name
        else:
            assert theirs.message_type is (PARTIAL[hint].DESCRIPTOR if hint in PARTIAL else THINGS[hint.__name__])


def test_every_answer_of_ours_is_one_of_theirs() -> None:
    assert set(dataclasses_of(answers)) == set(ANSWERS)


def test_every_event_is_known() -> None:
    theirs = {each.name for each in event_pb2.Envelope.DESCRIPTOR.oneofs_by_name["event"].fields}
    ours = {re.sub("(?<!^)([A-Z])", r"_\1", name).lower() for name in events.BODIES}
    assert ours == theirs | {"unrecognized"}
    header = {field.name for field in event_pb2.Envelope.DESCRIPTOR.fields if field.containing_oneof is None}
    assert {field.name for field in dataclasses.fields(events.Event)} == header | {"body", "resume_token"}


@pytest.mark.parametrize("name", WORDS)
def test_the_words_are_the_contracts(name: str) -> None:
    zero, *values = WORDS[name].values
    prefix = zero.name.removesuffix("UNSPECIFIED")
    assert list(get_args(getattr(words, name))) == [value.name.removeprefix(prefix) for value in values]


def test_no_word_is_made_up() -> None:
    assert {name for name, found in vars(words).items() if get_origin(found) is Literal} == set(WORDS)


def test_reasons_with_an_exception_of_their_own_exist() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in error_pb2.ErrorReason.keys()}  # noqa: SIM118 - no dict
    assert set(_BY_REASON) <= reasons
    assert set(_BY_CODE) <= {code.name for code in grpc.StatusCode}


class Recorder:
    """A link that makes no call, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def unary(self, call: Any) -> None:
        self.seen.append(call.request)

    def pages(self, call: Any) -> None:
        self.seen.append(call.page(""))

    def stream(self, call: Any) -> None:
        self.seen.append(call.request())


ARGUMENTS: dict[str, Any] = {
    "depth": "QUICK",
    "stream_order_books.depth": 5,
    "instrument": "btcusdt",
    "instruments": ["btcusdt"],
    "interval": "5m",
    "side": "SELL",
    "type": "LIMIT",
    "time_in_force": "GTC",
    "bot": "demo",
    "bot_id": "demo",
    "order": "1",
    "order_id": "1",
    "strategy": "sma-cross",
    "settings": {"fast": 5, "note": "x"},
    "position_policy": "FLATTEN",
    "mode": "FLATTEN",
    "kind": "SIZER",
    "reason": "because",
    "request_id": new_request_id(),
    "types": [events.OrderFilled],
    "batch_size": 7,
    "open_only": True,
    "reduce_only": True,
    "validate_only": True,
    "start": 1_000_000_000,
    "end": 2_000_000_000,
    "after": 5,
    "limit": 5,
}


def given(method: str, parameters: Iterable[str]) -> dict[str, Any]:
    """Something for every parameter of a method."""
    return {each: ARGUMENTS.get(f"{method}.{each}", ARGUMENTS.get(each, "2")) for each in parameters}


def calls() -> Iterator[tuple[str, Message]]:
    """Every method of the client, called with every argument it takes."""
    recorder = Recorder()
    api = Api(cast("Any", recorder), "main")
    for group in vars(api).values():
        for name, method in inspect.getmembers(type(group), lambda found: hasattr(found, "__get__")):
            if name.startswith("_") or not hasattr(method, "__wrapped__"):
                continue
            parameters = list(inspect.signature(method.__wrapped__).parameters)[1:]
            getattr(group, name)(**given(name, parameters))
            yield f"{type(group).__name__}.{name}", recorder.seen[-1]


def test_every_method_of_the_contract_has_one_of_ours() -> None:
    ours = [METHODS[request.DESCRIPTOR.full_name].path for name, request in calls() if name not in FOR_ALL_ACCOUNTS]
    assert sorted(ours) == sorted(method.path for method in METHODS.values())


#: The same methods, asked of every account at once.
FOR_ALL_ACCOUNTS = {"System.statuses", "Risk.halt_all"}

NOT_FOR_CALLERS = {"page_token", "resume_token"}
OUTPUT_ONLY = {field.name for field in order_pb2.Order.DESCRIPTOR.fields} - {
    field.name for field in dataclasses.fields(resources.OrderTerms)
}


@pytest.mark.parametrize(("name", "request_"), [pytest.param(*call, id=call[0]) for call in calls()])
def test_every_field_of_a_request_can_be_given(name: str, request_: Message) -> None:
    filled = {field.name for field, _ in request_.ListFields()}
    wanted = {field.name for field in request_.DESCRIPTOR.fields} - NOT_FOR_CALLERS
    if name in FOR_ALL_ACCOUNTS:
        wanted.discard("account")
    assert filled == wanted, name
    if isinstance(request_, order_service_pb2.CreateOrderRequest):
        assert {field.name for field, _ in request_.order.ListFields()} | OUTPUT_ONLY == {
            field.name for field in order_pb2.Order.DESCRIPTOR.fields
        }


def test_mutations_and_only_those_have_a_request_id() -> None:
    reads = ("Get", "List", "Stream", "ComputeSize", "Diagnose", "Reconcile")  # the last ends the same if done twice
    for _, request in calls():
        name = request.DESCRIPTOR.name
        assert ("request_id" in request.DESCRIPTOR.fields_by_name) != name.startswith(reads), name
        assert request_class(name.removesuffix("Request")) is type(request)


def test_every_service_of_the_contract_is_known() -> None:
    names = [each.name for each in pkgutil.iter_modules(v1.__path__) if each.name.endswith("_service_pb2")]
    services = [
        service
        for name in names
        for service in importlib.import_module(f"{v1.__name__}.{name}").DESCRIPTOR.services_by_name.values()
    ]
    assert sum(len(service.methods) for service in services) == len(METHODS)


async def test_every_answer_can_be_read(face: Face) -> None:
    for group, methods in PUBLIC.items():
        for name in methods:
            method = getattr(getattr(face.client, group), name)
            made = method(**given(name, inspect.signature(method).parameters))
            if (group, name) == ("events", "stream"):
                await face.close(made)
            elif hasattr(made, "__iter__") or hasattr(made, "__aiter__"):
                assert len(await face.items(made, 1)) == 1
            else:
                answer = await face.call(made)
                found = answer if isinstance(answer, list) else [answer]
                assert all(dataclasses.is_dataclass(each) for each in found)
