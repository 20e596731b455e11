"""Orders, bots, sizes and the kill switch: what is typed is what the daemon is asked, and its answer is told."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from clients.python.tests.fake_daemon import FakeDaemon, refuse
from clients.python.tests.messages import ORDER, number, order
from core.tests.cli.conftest import Run
from core.tests.cli.test_reading import BOT, RISK
from quarterdeck.v1 import (
    bot_service_pb2,
    order_service_pb2,
    risk_pb2,
    risk_service_pb2,
    sizing_pb2,
    sizing_service_pb2,
)

SIZING = sizing_pb2.Sizing(
    quantity=number("0.1"),
    risk_amount=number("100"),
    risk_ratio=number("0.02"),
    tier="small",
    notional=number("5000"),
    basis=number("5000"),
    entry_price=number("50000"),
    stop_price=number("49000"),
    steps=[
        sizing_pb2.SizingStep(
            rule="speed-demon.ratio",
            before=number("5000"),
            after=number("0.02"),
            inputs=[sizing_pb2.SizingInput(name="basis", value=number("5000"))],
        )
    ],
)
REQUEST_ID = "7a1c6b1e-3f6a-4d55-9f3e-3c2f9f2a1b11"


@pytest.fixture
def deck(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon that does what it is told."""
    answers: dict[str, Any] = {
        "CreateOrder": order_service_pb2.CreateOrderResponse(order=order("mine"), sequence=42, sizing=SIZING),
        "AmendOrder": order_service_pb2.AmendOrderResponse(order=order("mine"), sequence=43),
        "CancelOrder": order_service_pb2.CancelOrderResponse(order=order("mine"), sequence=44),
        "ResolveOrder": order_service_pb2.ResolveOrderResponse(order=order("mine"), sequence=44),
        "CancelAllOrders": order_service_pb2.CancelAllOrdersResponse(orders=[order("mine")], sequence=45),
        "ClosePosition": order_service_pb2.ClosePositionResponse(orders=[order("out")], sequence=46),
        "CreateBot": bot_service_pb2.CreateBotResponse(bot=BOT, sequence=47),
        "StartBot": bot_service_pb2.StartBotResponse(bot=BOT, sequence=48),
        "PauseBot": bot_service_pb2.PauseBotResponse(bot=BOT, sequence=49),
        "StopBot": bot_service_pb2.StopBotResponse(bot=BOT, sequence=50),
        "EngageKillSwitch": risk_service_pb2.EngageKillSwitchResponse(risk_state=RISK, sequence=51),
        "ReleaseKillSwitch": risk_service_pb2.ReleaseKillSwitchResponse(risk_state=RISK, sequence=52),
        "ComputeSize": sizing_service_pb2.ComputeSizeResponse(sizing=SIZING, allowed=True, snapshot_sequence=53),
    }
    for method, answer in answers.items():
        daemon.answers[method] = lambda _, answer=answer: answer
    return daemon


def test_an_order_is_created_with_every_term_that_was_typed(deck: FakeDaemon, run: Run) -> None:
    words = (
        "order create BTCUSDT SELL --type stop-limit --quantity 0.1 --limit-price 48900 --trigger-price 49000 "
        f"--time-in-force gtc --bot sma --id mine --request-id {REQUEST_ID} --take-profit 40000 --stop-loss 51000"
    )
    done = run(*words.split(), "--json")
    assert done.code == 0, done.err
    (request,) = deck.requests["CreateOrder"]
    assert (request.order_id, request.request_id, request.validate_only) == ("mine", REQUEST_ID, False)
    asked = request.order
    assert (asked.instrument, asked.side, asked.type) == ("instruments/btcusdt", ORDER.SIDE_SELL, ORDER.TYPE_STOP_LIMIT)
    assert (asked.quantity.value, asked.limit_price.value, asked.trigger_price.value) == ("0.1", "48900", "49000")
    assert (asked.stop_loss.value, asked.take_profit.value) == ("51000", "40000")
    assert (asked.time_in_force, asked.bot, asked.reduce_only) == (ORDER.TIME_IN_FORCE_GTC, "bots/sma", False)
    assert (done.json["name"], done.json["sequence"]) == ("accounts/main/orders/mine", 42)
    assert done.json["sizing"]["quantity"] == "0.1"


def test_an_order_without_a_quantity_leaves_it_to_the_sizer_and_tells_how_it_was_found(
    deck: FakeDaemon, run: Run
) -> None:
    done = run("order", "create", "btcusdt", "buy", "--stop-loss", "49000")
    assert done.out.startswith("Recorded at 42: mine, buy 0.1 btcusdt market, stop 49,000\n")
    assert "speed-demon.ratio" in done.out
    assert not deck.requests["CreateOrder"][0].order.HasField("quantity")


def test_an_order_that_is_only_validated_is_said_to_be_just_that(deck: FakeDaemon, run: Run) -> None:
    done = run("order", "create", "btcusdt", "buy", "-q", "1", "--validate-only", "--reduce-only")
    assert done.out.startswith("Would be recorded:")
    (request,) = deck.requests["CreateOrder"]
    assert request.validate_only
    assert request.order.reduce_only


def test_amend_and_cancel_name_the_order(deck: FakeDaemon, run: Run) -> None:
    amended = run("order", "amend", "mine", "--quantity", "2", "--trigger-price", "5")
    cancelled = run("order", "cancel", "mine", "--json")
    (request,) = deck.requests["AmendOrder"]
    assert (request.name, request.quantity.value, request.trigger_price.value) == (
        "accounts/main/orders/mine",
        "2",
        "5",
    )
    assert not request.HasField("limit_price")
    assert amended.out.startswith("Recorded at 43: change of mine was asked for.")
    assert deck.requests["CancelOrder"][0].name == "accounts/main/orders/mine"
    assert (cancelled.json["sequence"], cancelled.json["state"]) == (44, "OPEN")


def test_an_order_is_settled_by_hand_with_a_reason(deck: FakeDaemon, run: Run) -> None:
    done = run("order", "resolve", "mine", "--reason", "Ann, by phone")
    (request,) = deck.requests["ResolveOrder"]
    assert (request.name, request.reason) == ("accounts/main/orders/mine", "Ann, by phone")
    assert done.out.startswith("Recorded at 44: mine is settled")
    assert run("order", "resolve", "mine").code == 2


def test_cancel_all_and_close_list_the_orders(deck: FakeDaemon, run: Run) -> None:
    done = run("order", "cancel-all", "--symbol", "btcusdt", "--bot", "sma", "--json")
    (request,) = deck.requests["CancelAllOrders"]
    assert (request.instrument, request.bot) == ("instruments/btcusdt", "bots/sma")
    assert ([each["name"] for each in done.json["orders"]], done.json["sequence"]) == (
        ["accounts/main/orders/mine"],
        45,
    )
    done = run("close", "BTCUSDT", "--bot", "sma")
    (closing,) = deck.requests["ClosePosition"]
    assert (closing.name, closing.bot) == ("accounts/main/positions/btcusdt", "bots/sma")
    assert "out" in done.out


def test_a_bot_is_created_with_its_settings_and_started(deck: FakeDaemon, run: Run) -> None:
    words = "bot create sma --strategy sma-cross --symbol BTCUSDT --interval 5m --set fast=10 --set note=a=b --start"
    done = run(*words.split())
    assert done.out == "Recorded at 48: bot sma is running.\n"
    (request,) = deck.requests["CreateBot"]
    assert (request.bot_id, request.bot.strategy, request.bot.instrument) == ("sma", "sma-cross", "instruments/btcusdt")
    assert request.bot.interval.seconds == 300
    assert dict(request.bot.settings) == {"fast": 10.0, "note": "a=b"}
    assert deck.requests["StartBot"][0].name == "bots/sma"


def test_a_setting_that_is_no_pair_is_refused_before_anything_is_asked(deck: FakeDaemon, run: Run) -> None:
    done = run("bot", "create", "sma", "--strategy", "sma-cross", "--symbol", "btcusdt", "--set", "fast", "--json")
    assert done.code == 2
    assert "--set fast: write it as KEY=VALUE" in done.err
    assert done.json["error"]["reason"] == "INVALID_COMMAND"
    assert not deck.requests["CreateBot"]


@pytest.mark.parametrize(
    ("words", "policy"),
    [
        ("bot stop sma", bot_service_pb2.StopBotRequest.POSITION_POLICY_KEEP),
        ("bot stop sma --flatten", bot_service_pb2.StopBotRequest.POSITION_POLICY_FLATTEN),
    ],
)
def test_a_stopped_bot_keeps_its_position_unless_told_otherwise(
    deck: FakeDaemon, run: Run, words: str, policy: int
) -> None:
    assert run(*words.split(), "--json").json["sequence"] == 50
    assert deck.requests["StopBot"][0].position_policy == policy


def test_a_bot_is_paused(deck: FakeDaemon, run: Run) -> None:
    assert run("bot", "pause", "sma", "--json").json["name"] == "bots/sma"


def test_the_kill_switch_says_why_and_what_becomes_of_positions(deck: FakeDaemon, run: Run) -> None:
    halted = run("risk", "halt", "--reason", "drill", "--flatten")
    released = run("risk", "release", "--json")
    (engaged,) = deck.requests["EngageKillSwitch"]
    assert (engaged.reason, engaged.mode) == ("drill", risk_service_pb2.EngageKillSwitchRequest.KILL_MODE_FLATTEN)
    assert halted.out == "Recorded at 51: trading is reducing.\n"
    assert (released.json["trading_state"], released.json["sequence"]) == ("REDUCING", 52)


def test_a_size_as_json_has_the_contracts_fields_at_the_top(deck: FakeDaemon, run: Run) -> None:
    done = run("size", "btcusdt", "--entry", "50000", "--stop", "49000", "--balance", "5000", "--json")
    assert done.json["quantity"] == "0.1"
    assert done.json["risk_amount"] == "100"
    assert done.json["risk_ratio"] == "0.02"
    assert done.json["tier"] == "small"
    assert (done.json["allowed"], done.json["refusal"], done.json["snapshot_sequence"]) == (True, None, 53)
    (request,) = deck.requests["ComputeSize"]
    assert (request.entry_price.value, request.stop_price.value, request.balance.value) == ("50000", "49000", "5000")


@pytest.mark.parametrize(
    ("words", "side"),
    [
        ("--entry 50000 --stop 49000", ORDER.SIDE_BUY),
        ("--entry 9 --stop 10", ORDER.SIDE_SELL),
        ("--stop 10", ORDER.SIDE_BUY),
        ("--stop 10 --side sell", ORDER.SIDE_SELL),
        ("--entry ten --stop 10", ORDER.SIDE_BUY),
    ],
)
def test_the_side_of_a_size_follows_from_its_stop(deck: FakeDaemon, run: Run, words: str, side: int) -> None:
    assert run("size", "btcusdt", *words.split()).code == 0
    assert deck.requests["ComputeSize"][0].side == side


def test_a_size_that_would_be_refused_is_an_answer(deck: FakeDaemon, run: Run) -> None:
    refusal = risk_pb2.Refusal(rule="position-risk", reason="TOO_MUCH", limit=number("0.02"), observed=number("0.03"))
    deck.answers["ComputeSize"] = lambda _: sizing_service_pb2.ComputeSizeResponse(refusal=refusal)
    done = run("size", "btcusdt", "--stop", "49000")
    assert done.code == 0
    assert "refused by position-risk, TOO_MUCH: 0.03 against 0.02" in done.out
    answer = run("size", "btcusdt", "--stop", "49000", "--json").json
    assert (answer["quantity"], answer["allowed"], answer["refusal"]["rule"]) == (None, False, "position-risk")


def test_a_refused_order_is_told_with_rule_and_numbers(deck: FakeDaemon, run: Run) -> None:
    data = {"rule": "daily-loss", "reason": "DAILY_LOSS_REACHED", "limit": "0.03", "observed": "0.031", "sequence": "9"}
    deck.steps["CreateOrder"].append(
        refuse(grpc.StatusCode.FAILED_PRECONDITION, "RISK_REFUSED", data, message="refused by daily-loss")
    )
    done = run("order", "create", "btcusdt", "buy", "-q", "1", "--json")
    assert done.code == 1
    assert done.json["error"]["metadata"] == data
    assert "risk state" in done.err


def test_fields_the_daemon_does_not_take_are_named(deck: FakeDaemon, run: Run) -> None:
    deck.steps["CreateOrder"].append(
        refuse(
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            message="order.quantity: must be greater than zero",
            fields=[("order.quantity", "must be greater than zero")],
        )
    )
    done = run("order", "create", "btcusdt", "buy", "-q", "0", "--json")
    assert "  order.quantity: must be greater than zero" in done.err.splitlines()
    assert done.json["error"]["violations"] == {"order.quantity": "must be greater than zero"}


def test_a_call_without_an_answer_says_how_to_try_it_again(deck: FakeDaemon, run: Run) -> None:
    deck.steps["CancelOrder"].extend([refuse(grpc.StatusCode.DEADLINE_EXCEEDED)] * 100)
    done = run("order", "cancel", "mine", "--request-id", REQUEST_ID)
    assert done.code == 1
    assert f"--request-id {REQUEST_ID}" in done.err
