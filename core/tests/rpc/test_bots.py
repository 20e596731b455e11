"""BotService: what a bot is made of survives the wire, and its states follow the engine's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from core.tests.rpc.calls import MAIN, failure, rid
from core.tests.rpc.deck import FakeDeck
from quarterdeck.domain.market import MINUTE
from quarterdeck.rpc.convert.bots import settings_text
from quarterdeck.v1.bot_pb2 import Bot
from quarterdeck.v1.bot_service_pb2 import (
    CreateBotRequest,
    GetBotRequest,
    ListBotsRequest,
    PauseBotRequest,
    StartBotRequest,
    StopBotRequest,
)
from quarterdeck.v1.bot_service_pb2_grpc import BotServiceStub


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[BotServiceStub]:
    return BotServiceStub


def create(bot_id: str, request: int, settings: dict[str, Any] | None = None, **more: Any) -> CreateBotRequest:
    bot = Bot(
        account=MAIN,
        strategy="sma-cross",
        instrument="instruments/btcusdt",
        interval=Duration(seconds=300),
        settings=ParseDict(settings or {}, Struct()),
    )
    bot.MergeFrom(Bot(**more))
    return CreateBotRequest(bot_id=bot_id, bot=bot, request_id=rid(request))


def test_a_bot_is_recorded_as_it_was_described(grpc_stub: BotServiceStub, deck: FakeDeck) -> None:
    settings = {"slow": 50, "fast": 20, "stop": "0.01", "nested": {"on": True, "list": [1, 2.5, None]}}
    answer = grpc_stub.CreateBot(create("sma-1", 1, settings))
    assert answer.sequence == deck.events.head
    assert (answer.bot.name, answer.bot.state) == ("bots/sma-1", Bot.STATE_STOPPED)
    assert answer.bot.create_time.ToNanoseconds() == deck.time
    spec = deck.state.bots["sma-1"].spec
    assert (spec.strategy, spec.symbol, spec.interval) == ("sma-cross", "btcusdt", 5 * MINUTE)
    assert json.loads(spec.settings) == settings
    assert '"slow": 50,' in spec.settings  # a whole number stays one
    assert grpc_stub.GetBot(GetBotRequest(name="bots/sma-1")).bot == answer.bot


def test_equal_settings_have_equal_texts() -> None:
    assert settings_text({"b": 2.0, "a": [1.0, {"x": 3.0}]}) == settings_text({"a": [1, {"x": 3}], "b": 2})
    assert settings_text({"a": 1e300}) == '{"a": 1e+300}'


def test_settings_that_are_no_numbers_are_refused(grpc_stub: BotServiceStub) -> None:
    wish = create("nan", 2)
    wish.bot.settings.fields["fast"].number_value = float("nan")
    found = failure(grpc_stub.CreateBot, wish)
    assert (found.reason, found.fields) == ("INVALID_REQUEST", ["bot.settings"])


def test_a_bot_starts_pauses_and_stops(grpc_stub: BotServiceStub, deck: FakeDeck) -> None:
    name = "bots/sma-1"
    started = grpc_stub.StartBot(StartBotRequest(name=name, request_id=rid(10)))
    assert (started.bot.state, started.sequence) == (Bot.STATE_RUNNING, deck.events.head)
    again = grpc_stub.StartBot(StartBotRequest(name=name, request_id=rid(11)))
    assert again.sequence == started.sequence == deck.events.head
    paused = grpc_stub.PauseBot(PauseBotRequest(name=name, request_id=rid(12)))
    assert paused.bot.state == Bot.STATE_PAUSED
    stop = StopBotRequest(name=name, position_policy=StopBotRequest.POSITION_POLICY_KEEP, request_id=rid(13))
    stopped = grpc_stub.StopBot(stop)
    assert stopped.bot.state == Bot.STATE_STOPPED
    found = failure(grpc_stub.PauseBot, PauseBotRequest(name=name, request_id=rid(14)))
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "BOT_STATE")
    assert found.metadata == {"name": "bots/sma-1", "state": "STOPPED"}


def test_bots_are_listed_by_name(grpc_stub: BotServiceStub) -> None:
    grpc_stub.CreateBot(create("alpha", 20))
    first = grpc_stub.ListBots(ListBotsRequest(page_size=1))
    second = grpc_stub.ListBots(ListBotsRequest(page_size=1, page_token=first.next_page_token))
    assert [bot.name for bot in (*first.bots, *second.bots)] == ["bots/alpha", "bots/sma-1"]
    assert not second.next_page_token


def test_what_is_not_there_is_named(grpc_stub: BotServiceStub) -> None:
    calls: list[tuple[Callable[..., Any], Any]] = [
        (grpc_stub.GetBot, GetBotRequest(name="bots/none")),
        (grpc_stub.StartBot, StartBotRequest(name="bots/none", request_id=rid(30))),
        (grpc_stub.PauseBot, PauseBotRequest(name="bots/none", request_id=rid(31))),
    ]
    for method, request in calls:
        found = failure(method, request)
        assert (found.code, found.reason, found.metadata) == ("NOT_FOUND", "BOT_NOT_FOUND", {"name": "bots/none"})


def test_a_bot_belongs_to_this_account(grpc_stub: BotServiceStub) -> None:
    found = failure(grpc_stub.CreateBot, create("foreign", 40, account="accounts/other"))
    assert found.reason == "ACCOUNT_NOT_FOUND"
    assert failure(grpc_stub.CreateBot, create("alpha", 41)).reason == "BOT_ID_TAKEN"
    unknown = failure(grpc_stub.CreateBot, create("beta", 42, instrument="instruments/nothing"))
    assert unknown.metadata == {"name": "instruments/nothing"}
