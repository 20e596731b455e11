"""What is asked of the daemon, and how its answers are told: to programs exactly, to people in tables."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from clients.python.tests.fake_daemon import FakeDaemon, refuse
from clients.python.tests.messages import ORDER, at, envelope, number, order
from core.tests.cli.conftest import Run
from quarterdeck.client.calls import METHODS
from quarterdeck.v1 import (
    account_pb2,
    account_service_pb2,
    bot_pb2,
    bot_service_pb2,
    event_pb2,
    event_service_pb2,
    fill_pb2,
    instrument_pb2,
    market_data_service_pb2,
    market_pb2,
    mode_pb2,
    order_service_pb2,
    position_pb2,
    position_service_pb2,
    risk_pb2,
    risk_service_pb2,
    system_pb2,
    system_service_pb2,
)

STATUS = system_pb2.Status(
    mode=mode_pb2.MODE_PAPER,
    state=system_pb2.Status.STATE_SAFE,
    reasons=["the feed is silent", "a position differs"],
    version="1.2.3",
    journal_id="abc",
    head_sequence=1234,
    start_time=at(0),
    current_time=at(60),
    exchange="paper",
    feed="synthetic",
    market_data_age=Duration(seconds=75),
    reconcile_age=Duration(seconds=5),
    unknown_order_count=3,
    unknown_orders=["accounts/main/orders/lost", "accounts/main/orders/adrift"],
    unprotected_positions=["accounts/main/positions/btcusdt"],
    loop_lag=Duration(nanos=1_500_000),
    queue_depth=2,
    journal_bytes=3 * 2**20,
    wal_bytes=512,
    lease_remaining=Duration(seconds=9),
    head_hash="ab12",
    kept_sequence=1000,
    kept_age=Duration(seconds=60),
    unclean_start=True,
    stale_instruments=["instruments/ethusdt"],
    quarantined_count=1234,
    exchange_remarks=["the trade socket is down"],
)
ACCOUNT = account_pb2.Account(name="accounts/main", mode=mode_pb2.MODE_PAPER, settle="USDT")
OVERVIEW = account_pb2.AccountOverview(
    account=ACCOUNT,
    balances=[account_pb2.Balance(currency="USDT", wallet=number("10000.5"))],
    equity=number("10100.25"),
    wallet_balance=number("10000.5"),
    unrealized_pnl=number("99.75"),
    realized_pnl_today=number("-12.5"),
    drawdown=number("0.0123"),
    peak_equity=number("10226"),
    tier="small",
    risk_ratio=number("0.02"),
    max_risk_amount=number("200.01"),
    open_positions=1,
    open_orders=2,
    trading_state=risk_pb2.TRADING_STATE_ACTIVE,
)
POSITION = position_pb2.Position(
    name="accounts/main/positions/btcusdt",
    instrument="instruments/btcusdt",
    quantity=number("-0.5"),
    average_price=number("60123.333333333333333333"),
    mark_price=number("60000"),
    unrealized_pnl=number("61.67"),
    realized_pnl=number("0"),
    fees=number("16.5"),
    funding=number("0"),
    stop_loss=number("61000"),
    shares=[position_pb2.PositionShare(bot="bots/sma", quantity=number("-0.5"), realized_pnl=number("0"))],
    update_time=at(5),
)
BOT = bot_pb2.Bot(
    name="bots/sma",
    account="accounts/main",
    strategy="sma-cross",
    settings=Struct(),
    instrument="instruments/btcusdt",
    interval=Duration(seconds=300),
    state=bot_pb2.Bot.STATE_RUNNING,
    quantity=number("-0.5"),
    realized_pnl=number("12.3"),
    fees=number("4.56"),
    trades=7,
    create_time=at(0),
    update_time=at(1),
)
FILL = fill_pb2.Fill(
    name="accounts/main/fills/f1",
    order="accounts/main/orders/1",
    bot="bots/sma",
    instrument="instruments/btcusdt",
    side=ORDER.SIDE_BUY,
    quantity=number("0.1"),
    price=number("50000.1"),
    fee=number("2.75"),
    fee_currency="USDT",
    liquidity=fill_pb2.Fill.LIQUIDITY_TAKER,
    realized_pnl=number("0"),
    exchange_trade_id="t1",
    exchange_time=at(3),
    record_time=at(3),
    cause=fill_pb2.Fill.CAUSE_ORDER,
)
INSTRUMENT = instrument_pb2.Instrument(
    name="instruments/btcusdt",
    venue_symbol="BTCUSDT",
    kind=instrument_pb2.Instrument.KIND_LINEAR,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=number("0.1"),
    lot_size=number("0.001"),
    min_quantity=number("0.001"),
    max_leverage=number("100"),
    maintenance_margin_rate=number("0.005"),
    maker_fee_rate=number("0.0002"),
    taker_fee_rate=number("0.00055"),
)
RISK = risk_pb2.RiskState(
    trading_state=risk_pb2.TRADING_STATE_REDUCING,
    since_time=at(7),
    reason="daily-loss",
    limits=[
        risk_pb2.RiskLimit(rule="daily-loss", name="max_daily_loss", limit=number("0.03"), observed=number("0.031"))
    ],
    day_start_equity=number("10000"),
    peak_equity=number("10226"),
    drawdown=number("0.0123"),
    daily_loss=number("0.031"),
)
PLUGIN = system_pb2.Plugin(
    kind=system_pb2.Plugin.KIND_RISK,
    name="limits",
    distribution="quarterdeck-risk-limits",
    version="0.1.0",
    summary="Seven limits",
    enabled=True,
)


FINDINGS = [
    system_pb2.Finding(
        check="ledger",
        invariants=["I04"],
        verdict=system_pb2.Finding.VERDICT_OK,
        detail="it adds up",
        data=Struct(),
        age=Duration(),
    ),
    system_pb2.Finding(
        check="replay",
        invariants=["I06", "I25"],
        verdict=system_pb2.Finding.VERDICT_FAILED,
        detail="another state",
        data=Struct(),
        age=Duration(),
    ),
]


@pytest.fixture
def world(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon with one of everything."""
    answers: dict[str, Any] = {
        "GetStatus": system_service_pb2.GetStatusResponse(status=STATUS, snapshot_sequence=1234),
        "ListPlugins": system_service_pb2.ListPluginsResponse(plugins=[PLUGIN], snapshot_sequence=9),
        "GetAccountOverview": account_service_pb2.GetAccountOverviewResponse(overview=OVERVIEW, snapshot_sequence=9),
        "ListPositions": position_service_pb2.ListPositionsResponse(positions=[POSITION], snapshot_sequence=9),
        "ListOrders": order_service_pb2.ListOrdersResponse(orders=[order("a"), order("b")], snapshot_sequence=9),
        "GetOrder": order_service_pb2.GetOrderResponse(order=order("a"), snapshot_sequence=9),
        "ListFills": order_service_pb2.ListFillsResponse(fills=[FILL], snapshot_sequence=9),
        "ListBots": bot_service_pb2.ListBotsResponse(bots=[BOT], snapshot_sequence=9),
        "GetBot": bot_service_pb2.GetBotResponse(bot=BOT, snapshot_sequence=9),
        "ListInstruments": market_data_service_pb2.ListInstrumentsResponse(
            instruments=[INSTRUMENT], snapshot_sequence=9
        ),
        "GetRiskState": risk_service_pb2.GetRiskStateResponse(risk_state=RISK, snapshot_sequence=9),
    }
    for method, answer in answers.items():
        daemon.answers[method] = lambda _, answer=answer: answer
    return daemon


READING = (
    ("status", {"state": "SAFE", "mode": "PAPER", "reasons": ["the feed is silent", "a position differs"]}),
    ("account", {"equity": "10100.25", "risk_ratio": "0.02", "tier": "small", "max_position_notional": None}),
    ("risk state", {"trading_state": "REDUCING", "daily_loss": "0.031"}),
    ("order get a", {"name": "accounts/main/orders/a", "quantity": "0.1", "stop_loss": "49000"}),
    ("bot get sma", {"name": "bots/sma", "state": "RUNNING", "trades": 7, "interval": "300s"}),
)
LISTS = (
    ("positions", "positions", "accounts/main/positions/btcusdt"),
    ("orders", "orders", "accounts/main/orders/a"),
    ("fills", "fills", "accounts/main/fills/f1"),
    ("bot list", "bots", "bots/sma"),
    ("instruments", "instruments", "instruments/btcusdt"),
    ("plugins", "plugins", "limits"),
)


@pytest.mark.parametrize(("words", "expected"), READING, ids=[words for words, _ in READING])
def test_one_thing_as_json_is_its_fields(world: FakeDaemon, run: Run, words: str, expected: dict[str, object]) -> None:
    done = run(*words.split(), "--json")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    assert {key: done.json[key] for key in expected} == expected


@pytest.mark.parametrize(("words", "plural", "name"), LISTS, ids=[words for words, _, _ in LISTS])
def test_a_list_as_json_stands_under_its_plural(
    world: FakeDaemon, run: Run, words: str, plural: str, name: str
) -> None:
    done = run(*words.split(), "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["snapshot_sequence"] == 9
    assert done.json[plural][0]["name"] == name


def test_times_are_rfc_3339_and_decimals_are_strings(world: FakeDaemon, run: Run) -> None:
    position = run("positions", "--json").json["positions"][0]
    assert position["update_time"] == "2026-01-01T00:00:05Z"
    assert position["average_price"] == "60123.333333333333333333"
    assert position["take_profit"] is None


SEEN = (
    ("status", ("safe", "the feed is silent", "paper", "1 min 15 s", "abc at 1,234", "1.2.3")),
    ("status", ("lost, adrift, and 1 more", "btcusdt", "1.5 ms", "2 inputs", "9.0 s left", "3.0 MiB", "ab12")),
    ("status", ("with the exchange 5.0 s ago", "at 1,000, 1 min ago", "not in order")),
    ("account", ("10,100.25 USDT", "+99.75", "-12.50", "1.23 % from 10,226.00", "2 % (small)", "200.01")),
    ("positions", ("btcusdt", "-0.5", "60,123.333", "+61.67", "61,000")),
    ("orders", ("btcusdt", "buy", "market", "entry", "open")),
    ("fills", ("0.1", "50,000.1", "2.75 USDT", "taker")),
    ("bot list", ("sma", "running", "sma-cross", "5 min", "+12.30", "7")),
    ("bot get sma", ("bots/sma", "its defaults", "btcusdt on candles of 5 min")),
    ("order get a", ("accounts/main/orders/a", "buy 0.1 btcusdt market, stop 49,000", "qd-a")),
    ("instruments", ("BTCUSDT", "linear", "0.055 %", "0.02 %")),
    ("plugins", ("risk", "limits", "yes", "quarterdeck-risk-limits 0.1.0", "Seven limits")),
    ("risk state", ("reducing", "daily-loss", "3.10 % lost of 10,000.00", "max_daily_loss", "0.031")),
)


@pytest.mark.parametrize(("words", "expected"), SEEN, ids=range(len(SEEN)))
def test_people_see_what_matters(world: FakeDaemon, run: Run, words: str, expected: tuple[str, ...]) -> None:
    done = run(*words.split())
    assert (done.code, done.err) == (0, "")
    assert [text for text in expected if text not in done.out] == []


def test_a_doctor_tells_all_it_found_and_ends_with_what_failed(world: FakeDaemon, run: Run) -> None:
    for count, code in ((1, 0), (2, 3)):
        answer = system_service_pb2.DiagnoseResponse(findings=FINDINGS[:count], snapshot_sequence=9)
        world.answers["Diagnose"] = lambda _, answer=answer: answer
        done = run("doctor", "--json")
        assert (done.code, [each["verdict"] for each in done.json["findings"]]) == (code, ["OK", "FAILED"][:count])
        seen = run("doctor", "--full")
        assert seen.code == code
        assert ["it adds up" in seen.out, "I06 I25" in seen.out] == [True, count == 2]


EMPTY = (
    ("positions", "No position is open."),
    ("orders", "--all lists those that are over"),
    ("orders --all", "There is no such order."),
    ("fills", "There is no such fill."),
    ("bot list", "`quarterdeck bot create` makes one"),
    ("candles btcusdt", "no candles of 1m for btcusdt"),
    ("plugins", "No plugin"),
)


@pytest.mark.parametrize(("words", "said"), EMPTY, ids=[words for words, _ in EMPTY])
def test_an_empty_list_says_so(daemon: FakeDaemon, run: Run, words: str, said: str) -> None:
    for method in METHODS.values():
        daemon.answers[method.path.rpartition("/")[2]] = lambda _, method=method: method.read(b"")
    done = run(*words.split())
    assert done.code == 0
    assert said in done.out


def test_filters_reach_the_daemon(world: FakeDaemon, run: Run) -> None:
    run("orders", "--symbol", "BTCUSDT", "--bot", "sma", "--limit", "3")
    run("orders", "--all")
    run("fills", "--order", "7", "--symbol", "ethusdt")
    first, second = world.requests["ListOrders"]
    assert (first.instrument, first.bot, first.open_only, first.page_size) == (
        "instruments/btcusdt",
        "bots/sma",
        True,
        3,
    )
    assert not second.open_only
    (fills,) = world.requests["ListFills"]
    assert (fills.instrument, fills.order) == ("instruments/ethusdt", "accounts/main/orders/7")


def test_a_limit_is_kept(world: FakeDaemon, run: Run) -> None:
    assert len(run("orders", "--limit", "1", "--json").json["orders"]) == 1


def test_another_account_is_asked_for(world: FakeDaemon, run: Run) -> None:
    run("account", "--account", "second")
    run("--account", "third", "positions")
    assert world.requests["GetAccountOverview"][0].parent == "accounts/second"
    assert world.requests["ListPositions"][0].parent == "accounts/third"


def test_candles_are_the_latest_oldest_first(daemon: FakeDaemon, run: Run) -> None:
    candles = [
        market_pb2.Candle(
            instrument="instruments/btcusdt",
            interval=Duration(seconds=60),
            open_time=at(60 * each),
            open=1.5,
            high=2,
            low=1,
            close=each,
            volume=3,
            closed=True,
        )
        for each in range(5)
    ]
    daemon.answers["ListCandles"] = lambda _: market_data_service_pb2.ListCandlesResponse(candles=candles)
    done = run("candles", "BTCUSDT", "--limit", "2", "--json")
    assert [each["close"] for each in done.json["candles"]] == [3, 4]
    assert daemon.requests["ListCandles"][0].instrument == "instruments/btcusdt"
    assert "2026-01-01 00:04:00" in run("candles", "btcusdt").out


def test_events_are_envelopes_whose_last_field_says_what_happened(daemon: FakeDaemon, run: Run) -> None:
    filled = event_pb2.OrderFilled(
        fill=FILL, order_state=ORDER.STATE_FILLED, filled_quantity=number("0.1"), position_quantity=number("0.1")
    )
    daemon.answers["ListEvents"] = lambda _: event_service_pb2.ListEventsResponse(
        envelopes=[envelope(1, order_filled=filled)], snapshot_sequence=1
    )
    done = run("events", "--after", "0", "--type", "OrderFilled", "--json")
    (event,) = done.json["events"]
    assert (event["sequence"], event["type"]) == (1, "OrderFilled")
    assert event["order_filled"]["fill"]["price"] == "50000.1"
    assert list(daemon.requests["ListEvents"][0].event_types) == ["OrderFilled"]
    assert "OrderFilled" in run("events").out


def test_followed_events_are_one_object_a_line(daemon: FakeDaemon, run: Run) -> None:
    daemon.record(envelope(1), envelope(2), envelope(3))
    done = run("events", "--follow", "--after", "1", "--limit", "2", "--json")
    assert [json.loads(line)["sequence"] for line in done.out.splitlines()] == [2, 3]


def test_a_daemon_that_is_not_there_is_told_with_a_hint(run: Run) -> None:
    done = run("status", "--address", "127.0.0.1:1", "--json")
    assert done.code == 1
    assert "No daemon answers at 127.0.0.1:1." in done.err
    assert "quarterdeck serve" in done.err
    assert done.json["error"]["code"] == "UNAVAILABLE"
    assert done.json["error"]["metadata"]["address"] == "127.0.0.1:1"


def test_an_address_after_the_command_wins(daemon: FakeDaemon, run: Run) -> None:
    done = run("--address", "127.0.0.1:1", "positions", "--address", daemon.target)
    assert done.code == 0


def test_a_refusal_of_the_daemon_is_told_with_its_reason_and_data(daemon: FakeDaemon, run: Run) -> None:
    daemon.steps["GetOrder"].append(
        refuse(grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND", {"name": "accounts/main/orders/x"}, message="no order 'x'")
    )
    done = run("order", "get", "x", "--json")
    assert done.code == 1
    assert done.err.splitlines() == ["Error: no order 'x'", "`quarterdeck orders --all` lists the orders."]
    assert done.json == {
        "error": {
            "code": "NOT_FOUND",
            "reason": "ORDER_NOT_FOUND",
            "message": "no order 'x'",
            "metadata": {"name": "accounts/main/orders/x"},
        }
    }


def test_a_reconciliation_says_what_still_differs(world: FakeDaemon, run: Run) -> None:
    answer = system_service_pb2.ReconcileResponse(order_count=3, booked_count=2, look_count=1)
    answer.look_time.FromSeconds(1)
    answer.duration.FromSeconds(1)
    world.answers["Reconcile"] = lambda _: answer
    done = run("reconcile", "--json")
    assert done.json["booked_count"] == 2
    assert "yes" in run("reconcile").out
    answer.differences.append("position dogeusdt: 0 here, 1 at the venue")
    seen = run("reconcile").out
    assert "dogeusdt" in seen
    assert "yes" not in seen
