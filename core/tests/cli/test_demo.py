"""What the demo runs, and what is told of it; that it runs is shown by tests/e2e."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clients.python.tests.fake_daemon import FakeDaemon
from clients.python.tests.messages import ORDER, envelope, number, order
from core.tests.cli.conftest import Run
from core.tests.cli.test_reading import FILL, world
from quarterdeck.cli.demo_config import Choices, begin_anew, configuration
from quarterdeck.cli.problem import Problem
from quarterdeck.cli.summary import shown, summarize
from quarterdeck.client import Client
from quarterdeck.daemon.config import load
from quarterdeck.daemon.journal.lock import InstanceLock
from quarterdeck.domain.errors import ConfigError
from quarterdeck.v1 import account_pb2, event_pb2, event_service_pb2, mode_pb2

__all__ = ["world"]


def choices(**changes: object) -> Choices:
    usual = {
        "data": None,
        "speed": 10.0,
        "symbol": None,
        "interval": None,
        "seed": 6,
        "balance": "10000",
        "listen": "127.0.0.1:0",
    }
    return Choices(**{**usual, **changes})  # type: ignore[arg-type]  # a test's words


def test_with_no_choice_the_market_is_made_up() -> None:
    config = configuration(choices())
    assert (config.mode, config.feed.plugin, config.exchange.plugin) == ("demo", "synthetic", "paper")
    assert config.feed.settings["speed"] == 10.0
    (bot,) = config.bots
    assert (bot.strategy, bot.instrument, bot.interval) == ("sma-cross", "btcusdt", "1m")


@pytest.mark.parametrize(
    ("file", "symbol", "interval"),
    [
        ("BTCUSDT-5m-2025.parquet", "btcusdt", "5m"),
        ("some/where/ETHUSDT-1h-2020_2024.parquet", "ethusdt", "1h"),
        ("xrpusdt-15m-x.csv", "xrpusdt", "15m"),
    ],
)
def test_a_file_says_by_its_name_what_it_is(file: str, symbol: str, interval: str) -> None:
    config = configuration(choices(data=Path(file), speed=None))
    assert config.feed.plugin == "file"
    assert config.feed.settings["symbol"] == config.bots[0].instrument == symbol
    assert config.feed.settings["interval"] == config.bots[0].interval == interval
    assert config.feed.settings["speed"] == "max"


def test_what_a_name_does_not_say_is_asked_for() -> None:
    with pytest.raises(
        Problem, match=r"candles\.csv does not say by its name what it is; give --symbol and --interval"
    ):
        configuration(choices(data=Path("candles.csv")))
    with pytest.raises(Problem, match="give --interval"):
        configuration(choices(data=Path("candles.csv"), symbol="btcusdt"))
    config = configuration(choices(data=Path("candles.csv"), symbol="btcusdt", interval="1m"))
    assert config.bots[0].interval == "1m"


def test_speed_is_candles_per_second_of_a_file_too() -> None:
    config = configuration(choices(data=Path("BTCUSDT-5m-2025.parquet"), speed=2.0))
    assert config.feed.settings["speed"] == 600.0  # two candles of 300 s each second


def test_a_demo_begins_anew_and_leaves_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = configuration(choices())
    begin_anew(config)
    (tmp_path / ".quarterdeck/demo.db").write_text("old")
    (tmp_path / ".quarterdeck/demo.db-wal").write_text("old")
    begin_anew(config)
    assert sorted(each.name for each in (tmp_path / ".quarterdeck").iterdir()) == ["demo.db.lock", "demo.toml"]
    assert load(tmp_path / ".quarterdeck/demo.toml") == config


def test_a_running_demo_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = configuration(choices())
    begin_anew(config)
    running = InstanceLock(tmp_path / ".quarterdeck/demo.db.lock")
    (tmp_path / ".quarterdeck/demo.db").write_text("precious")
    with pytest.raises(ConfigError, match="is using this journal"):
        begin_anew(config)
    running.release()
    assert (tmp_path / ".quarterdeck/demo.db").read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--speed fast", "--speed fast: give candles per second, such as 10, or max."),
        ("--speed 0", "--speed 0:"),
        ("--speed inf", "--speed inf:"),
        ("--speed nan", "--speed nan:"),
        ("--data nowhere.parquet", "'nowhere.parquet' does not exist"),
        ("--interval 7", "'7' is not an interval"),
        ("--listen 0.0.0.0:1", "can be reached from other machines"),
    ],
)
def test_a_wrong_choice_is_told_before_anything_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("demo", *words.split(), "--json")
    assert done.code != 0
    assert said in done.err
    assert said in done.json["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def filled(order_name: str, moved: int, after: int, realized: str = "0", fee: str = "1") -> event_pb2.OrderFilled:
    fill = type(FILL)()
    fill.CopyFrom(FILL)
    fill.order, fill.realized_pnl.value, fill.fee.value = f"accounts/main/orders/{order_name}", realized, fee
    fill.side = ORDER.SIDE_BUY if moved > 0 else ORDER.SIDE_SELL
    fill.quantity.value = str(abs(moved))
    return event_pb2.OrderFilled(
        fill=fill,
        order_state=ORDER.STATE_FILLED,
        filled_quantity=number(1),
        position_quantity=number(after),
    )


def refused(rule: str) -> event_pb2.OrderRefused:
    return event_pb2.OrderRefused(order=order("x"), rule=rule, reason="NO")


def snapshot(drawdown: str) -> event_pb2.PortfolioSnapshotTaken:
    zero = number(0)
    return event_pb2.PortfolioSnapshotTaken(
        equity=number(1),
        wallet_balance=zero,
        unrealized_pnl=zero,
        realized_pnl=zero,
        fees=zero,
        funding=zero,
        drawdown=number(drawdown),
        peak_equity=number(1),
        risk_ratio=zero,
    )


HISTORY: tuple[dict[str, Any], ...] = (
    {
        "account_opened": event_pb2.AccountOpened(
            account="accounts/main",
            mode=mode_pb2.MODE_DEMO,
            balances=[
                account_pb2.Balance(currency="BTC", wallet=number(3)),
                account_pb2.Balance(currency="USDT", wallet=number(10000)),
            ],
            settle="USDT",
        )
    },
    {"order_prepared": event_pb2.OrderPrepared(order=order("in"), reference_price=number(1))},
    {"order_filled": filled("in", 4, 4)},
    {"order_adopted": event_pb2.OrderAdopted(order=order("stop"))},
    {"order_filled": filled("stop", -1, 3, "-2.5")},
    {"order_filled": filled("stop", -2, 1, "5", fee="-0.25")},
    {"order_filled": filled("turn", -3, -2, "-1")},
    {"order_refused": refused("drawdown")},
    {"order_refused": refused("drawdown")},
    {"order_refused": refused("daily-loss")},
    {"portfolio_snapshot_taken": snapshot("0.2")},
    {"portfolio_snapshot_taken": snapshot("0.1")},
)


async def test_a_summary_is_reckoned_from_the_events(world: FakeDaemon) -> None:
    envelopes = [envelope(sequence, **event) for sequence, event in enumerate(HISTORY, start=1)]
    world.answers["ListEvents"] = lambda _: event_service_pb2.ListEventsResponse(
        envelopes=envelopes, snapshot_sequence=len(envelopes)
    )
    async with Client.connect(world.target) as client:
        summary = await summarize(client, candles=1000, seconds=0.5)
    assert (summary.orders, summary.fills, summary.trades) == (2, 4, 2)
    assert summary.refused == {"drawdown": 2, "daily-loss": 1}
    assert (summary.initial_balance, summary.final_equity, summary.pnl) == (
        Decimal(10000),
        Decimal("10100.25"),
        Decimal("100.25"),
    )
    assert summary.fees == Decimal("2.75")
    assert summary.win_rate == Decimal("0.5")  # the stop won in all, the turn lost
    assert summary.max_drawdown == Decimal("0.2")
    assert (summary.events, summary.candles, summary.candles_per_second) == (1234, 1000, 2000)
    told = shown(summary)
    assert told["refused"] == "2 by drawdown, 1 by daily-loss"
    assert told["equity"] == "10,100.25 of 10,000.00"


async def test_a_run_in_which_nothing_happened_has_no_win_rate(world: FakeDaemon) -> None:
    world.answers["ListEvents"] = lambda _: event_service_pb2.ListEventsResponse()
    async with Client.connect(world.target) as client:
        summary = await summarize(client, candles=0, seconds=0.0)
    assert (summary.win_rate, summary.refused, summary.candles_per_second) == (None, {}, 0)
    assert shown(summary)["refused"] == "none"
