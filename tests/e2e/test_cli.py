"""Every command against a real daemon: once as it is meant, once wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quarterdeck.cli import app
from tests.e2e.process import DaemonProcess

QUARTERDECK = str(Path(sys.executable).with_name("quarterdeck"))

#: A market that passes quickly, and limits that let single orders through.
CONFIG = """\
mode = "paper"
[daemon]
listen = "127.0.0.1:0"
[journal]
url = "sqlite:///journal.db"
[feed]
plugin = "synthetic"
[feed.settings]
speed = 50
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object on the last line."""
        return json.loads(self.out.strip().rpartition("\n")[2])


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    process = DaemonProcess(tmp_path_factory.mktemp("cli"), CONFIG)
    process.start()
    yield process
    assert process.stop() == 0, process.log.read_text()


@pytest.fixture
def run(daemon: DaemonProcess) -> Run:
    """Give a command to the daemon; what is wrong with it is the failure's explanation."""

    def give(words: str, *more: str, code: int = 0) -> Done:
        result = CliRunner().invoke(app, ["--address", daemon.address, *words.split(), *more])
        assert result.exit_code == code, (words, result.stdout, result.stderr, result.exception)
        return Done(result.exit_code, result.stdout, result.stderr)

    return give


@pytest.fixture
def trading(run: Run) -> Iterator[Run]:
    """The same, ending flat and with trading allowed, whatever happened."""
    yield run
    run("risk release")
    for position in run("positions --json").json["positions"]:
        closed = run("close --json", position["instrument"].rpartition("/")[2]).json
        _filled(run, after=closed["sequence"])


def _filled(run: Run, after: int) -> dict[str, Any]:
    """The next fill after a place in the journal."""
    event: dict[str, Any] = run(f"events --follow --after {after} --type OrderFilled --limit 1 --json").json
    return event


def test_the_daemon_says_how_it_is(run: Run) -> None:
    status = run("status --json").json
    assert (status["state"], status["mode"], status["exchange"], status["feed"]) == (
        "READY",
        "PAPER",
        "paper",
        "synthetic",
    )
    assert status["head_sequence"] >= 2
    assert "ready" in run("status").out


def test_plugins_come_from_distributions(run: Run) -> None:
    running = run("plugins --json").json["plugins"]
    assert {(each["kind"], each["name"]) for each in running if each["enabled"]} == {
        ("EXCHANGE", "paper"),
        ("FEED", "synthetic"),
        ("SIZER", "speed-demon"),
        ("RISK", "limits"),
    }
    installed = run("plugins --installed --json").json["plugins"]
    names = [{key: each[key] for key in ("kind", "name", "distribution")} for each in running]
    assert names == [{key: each[key] for key in ("kind", "name", "distribution")} for each in installed]
    assert "quarterdeck-sizer-speed-demon" in run("plugins").out


def test_an_account_has_its_money(run: Run) -> None:
    account = run("account --json").json
    assert account["account"]["name"] == "accounts/main"
    assert [each["currency"] for each in account["balances"]] == ["USDT"]
    assert account["tier"] == "small"
    assert "risk per trade" in run("account").out
    missing = run("account --account other --json", code=1)
    assert missing.json["error"]["reason"] == "ACCOUNT_NOT_FOUND"


def test_instruments_and_candles(run: Run) -> None:
    instruments = run("instruments --json").json["instruments"]
    assert "instruments/btcusdt" in [each["name"] for each in instruments]
    candles = run("candles BTCUSDT --limit 3 --json").json["candles"]
    assert len(candles) == 3
    assert candles[0]["open_time"] < candles[1]["open_time"] < candles[2]["open_time"]
    assert "close" in run("candles btcusdt").out
    assert run("candles dogeusdt --json", code=1).json["error"]["reason"] == "INSTRUMENT_NOT_FOUND"
    assert "no candles of 5m" in run("candles btcusdt --interval 5m").out


def test_a_size_is_the_published_one(run: Run) -> None:
    size = run("size btcusdt --entry 50000 --stop 49000 --balance 5000 --json").json
    assert (size["quantity"], size["risk_amount"], size["risk_ratio"], size["tier"]) == (
        "0.1",
        "100",
        "0.02",
        "small",
    )
    wrong = run("size btcusdt --entry fifty --stop 49000 --json", code=1).json["error"]
    assert (wrong["code"], wrong["reason"]) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert "entry_price.value" in wrong["violations"]


def test_an_order_is_sized_filled_protected_and_closed(trading: Run) -> None:
    run = trading
    checked = run("order create btcusdt buy --stop-loss 50000 --id tour --validate-only --json").json
    assert checked["sequence"] == 0
    created = run("order create btcusdt buy --stop-loss 50000 --take-profit 90000 --id tour --json").json
    assert created["name"] == "accounts/main/orders/tour"
    assert created["sizing"]["quantity"] == created["quantity"]
    event = _filled(run, after=created["sequence"])
    assert event["order_filled"]["fill"]["order"] == "accounts/main/orders/tour"
    assert run("order get tour --json").json["state"] == "FILLED"
    assert "filled" in run("order get tour").out
    (position,) = run("positions --json").json["positions"]
    assert (position["quantity"], position["stop_loss"]) == (created["quantity"], "50000")
    assert "btcusdt" in run("positions").out
    protection = {each["role"]: each["name"] for each in run("orders --json").json["orders"]}
    assert set(protection) == {"STOP_LOSS", "TAKE_PROFIT"}
    stop = protection["STOP_LOSS"].rpartition("/")[2]
    run(f"order amend {stop} --trigger-price 51000")
    (fill,) = run("fills --order tour --json").json["fills"]
    assert fill["quantity"] == created["quantity"]
    closed = run("close btcusdt --json").json
    assert [each["reduce_only"] for each in closed["orders"]] == [True]
    assert _filled(run, after=closed["sequence"])["order_filled"]["position_quantity"] in {"0", "0.000"}
    assert "No position is open." in run("positions").out
    assert run("close btcusdt --json", code=1).json["error"]["reason"] in {"NO_POSITION", "POSITION_NOT_FOUND"}


def test_working_orders_are_changed_and_canceled(trading: Run) -> None:
    run = trading
    price = round(run("candles btcusdt --limit 1 --json").json["candles"][0]["close"] * 0.97)
    for name in ("low", "lower"):
        terms = f"--type limit --quantity 0.001 --limit-price {price} --stop-loss {price - 5000}"
        run(f"order create btcusdt buy {terms} --id {name}")
    changed = run(f"order amend low --limit-price {price - 100} --json").json
    amended = run(f"events --follow --after {changed['sequence'] - 1} --type OrderAmended --limit 1 --json").json
    assert amended["order_amended"]["limit_price"] == str(price - 100)
    cancelled = run("order cancel low --json").json
    run(f"events --follow --after {cancelled['sequence']} --type OrderCanceled --limit 1")
    assert run("order get low --json").json["state"] == "CANCELED"
    rest = run("order cancel-all --symbol btcusdt --json").json
    assert [each["name"] for each in rest["orders"]] == ["accounts/main/orders/lower"]
    assert "nothing to cancel" in run("order cancel-all --symbol ethusdt").out
    assert {each["name"] for each in run("orders --all --json").json["orders"]} >= {"accounts/main/orders/low"}


WRONG = (
    ("order create btcusdt buy --json", "INVALID_REQUEST"),
    ("order create btcusdt buy --type limit --quantity 1 --json", "INVALID_REQUEST"),
    ("order create btcusdt buy --quantity 1e3 --json", "INVALID_REQUEST"),
    ("order create btcusdt buy --quantity -1 --json", "INVALID_REQUEST"),
    ("order create btcusdt buy --quantity 1 --id UPPER --json", "INVALID_REQUEST"),
    ("order create btcusdt buy --quantity 1 --request-id 7 --json", "INVALID_REQUEST"),
    ("order create dogeusdt buy --quantity 1 --json", "INSTRUMENT_NOT_FOUND"),
    ("order create btcusdt buy --quantity 0.001 --bot nobody --json", "BOT_NOT_FOUND"),
    ("order create btcusdt buy --quantity 100 --stop-loss 50000 --json", "RISK_REFUSED"),
    ("order create btcusdt buy --stop-loss 0.1 --quantity 0.0001 --json", None),
    ("order get nothing --json", "ORDER_NOT_FOUND"),
    ("order amend nothing --quantity 1 --json", "ORDER_NOT_FOUND"),
    ("order amend nothing --json", "INVALID_REQUEST"),
    ("order cancel nothing --json", "ORDER_NOT_FOUND"),
    ("orders --symbol NO-SUCH-THING! --json", "INVALID_REQUEST"),
    ("fills --order a/b --json", "INVALID_REQUEST"),
    ("close dogeusdt --json", None),
    ("events --after 99999999 --json", "POSITION_AHEAD"),
    ("events --type nonsense --json", "INVALID_REQUEST"),
    ("bot get nobody --json", "BOT_NOT_FOUND"),
    ("bot start nobody --json", "BOT_NOT_FOUND"),
    ("bot create x --strategy nothing --symbol btcusdt --json", "PLUGIN_NOT_FOUND"),
    ("bot create x --strategy sma-cross --symbol btcusdt --set fast=90 --json", "INVALID_SETTINGS"),
    ("bot create x --strategy sma-cross --symbol btcusdt --interval 7m --json", None),
)


@pytest.mark.parametrize(("words", "reason"), WRONG, ids=[words for words, _ in WRONG])
def test_what_the_daemon_refuses_is_one_sentence_and_one_object(run: Run, words: str, reason: str | None) -> None:
    before = run("status --json").json["head_sequence"]
    done = run(words, code=1)
    error = done.json["error"]
    assert set(error) >= {"code", "reason", "message", "metadata"}
    assert reason is None or error["reason"] == reason, error
    assert done.err.startswith("Error: ")
    assert "Traceback" not in done.err
    if error["code"] in {"INVALID_ARGUMENT", "NOT_FOUND"}:
        assert run(f"events --after {before} --type OrderPrepared --json").json["events"] == []


def test_a_bot_is_created_run_paused_and_stopped(trading: Run) -> None:
    run = trading
    created = run(
        "bot create cross --strategy sma-cross --symbol btcusdt --interval 1m --set fast=3 --set slow=9 --json"
    )
    assert (created.json["name"], created.json["state"]) == ("bots/cross", "STOPPED")
    assert run("bot start cross --json").json["state"] == "RUNNING"
    assert "cross" in run("bot list").out
    assert run("bot pause cross --json").json["state"] == "PAUSED"
    assert "running" in run("bot start cross").out
    assert run("bot stop cross --flatten --json").json["state"] == "STOPPED"
    assert run("bot get cross --json").json["settings"] == {"fast": 3, "slow": 9}


def test_the_kill_switch_halts_and_releases(trading: Run) -> None:
    run = trading
    assert run("risk state --json").json["trading_state"] == "ACTIVE"
    assert run("risk halt --reason drill --json").json["trading_state"] == "HALTED"
    refused = run("order create btcusdt buy --stop-loss 50000 --json", code=1)
    assert refused.json["error"]["reason"] == "TRADING_HALTED"
    assert "risk release" in refused.err
    assert run("status --json").json["state"] == "KILLED"
    assert "halted" in run("risk state").out
    assert run("risk release --reason over --json").json["trading_state"] == "ACTIVE"
    limits = run("risk state --json").json["limits"]
    assert "max_daily_loss" in [each["name"] for each in limits]


def test_events_are_listed_without_a_hole(run: Run) -> None:
    listed = run("events --limit 20 --json").json
    assert [each["sequence"] for each in listed["events"]] == list(range(1, 1 + len(listed["events"])))
    assert listed["events"][0]["type"] == "AccountOpened"
    assert "AccountOpened" in run("events --limit 3").out


def test_one_look_shows_everything(run: Run) -> None:
    frame = run("watch --once --json").json
    assert frame["connected"]
    assert frame["status"]["state"] == "READY"
    assert frame["events"][-1]["sequence"] <= run("status --json").json["head_sequence"]
    assert "Quarterdeck" in run("watch --once").out


@pytest.mark.parametrize("words", ["watch --every 0.1 --json", "events --follow --after 0 --json"])
def test_what_goes_on_for_ever_ends_by_ctrl_c_without_a_word(daemon: DaemonProcess, words: str) -> None:
    command = [QUARTERDECK, *words.split(), "--address", daemon.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in {0, 130}
        assert process.stderr.read() == ""
    assert len(lines) == 2


def test_a_reader_that_goes_away_is_no_error(daemon: DaemonProcess) -> None:
    command = f"{QUARTERDECK} events --follow --after 0 --address {daemon.address} | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert "AccountOpened" in done.stdout
    assert "Traceback" not in done.stderr


WRONG_CONFIGURATIONS = (
    ('mode = "paper"\n[daemon]\nlisten = "0.0.0.0:1"\n', "daemon.listen"),
    ('mode = "live"\n', "live.armed"),
    ("[feed]\nplugin = 'nowhere'\n", "nowhere"),
    ("[feed]\nplugin = 'synthetic'\nsettings = {speed = 'slow'}\n", "speed"),
    ("sped = 1\n", "sped"),
    ("not toml", "not TOML"),
)
WRONG_BOTS = (
    ("[[bots]]\nid='b'\nstrategy='sma-cros'\ninstrument='btcusdt'\ninterval='1m'\n", "did you mean 'sma-cross'"),
    ("[[bots]]\nid='b'\nstrategy='sma-cross'\ninstrument='btcusdt'\ninterval='1m'\nsettings={fast=60}\n", "fast (60)"),
    ("[[bots]]\nid='b'\nstrategy='sma-cross'\ninstrument='btcusdt'\ninterval='7'\n", "'7' is not an interval"),
)


@pytest.mark.parametrize(("text", "said"), WRONG_CONFIGURATIONS + WRONG_BOTS)
def test_a_wrong_configuration_is_told_by_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quarterdeck.toml").write_text(text)
    done = CliRunner().invoke(app, ["config", "check", "--json"])
    assert done.exit_code == 1
    assert said in done.stderr
    assert said in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize(("text", "said"), WRONG_CONFIGURATIONS)
def test_a_wrong_configuration_starts_nothing(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "quarterdeck.toml").write_text(text)
    done = subprocess.run([QUARTERDECK, "serve"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["quarterdeck.toml"]


def test_a_configuration_is_written_checked_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def give(*words: str) -> Done:
        result = CliRunner().invoke(app, ["config", *words])
        return Done(result.exit_code, result.stdout, result.stderr)

    assert give("init", "--json").json == {"path": "quarterdeck.toml"}
    assert give("init", "--json").json["error"]["code"] == "ALREADY_EXISTS"
    assert give("check", "--json").json["mode"] == "paper"
    assert give("check").out.startswith("quarterdeck.toml is good: mode paper")
    assert give("show", "--json").json["limits"]["max_leverage"] == "20"
    (tmp_path / "again.toml").write_text(give("show").out)
    assert give("show", "again.toml").out == give("show").out
    assert give("check", "missing.toml").code == 1


def test_a_plugin_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["plugin", "new", "sizer", "mine", "--json"])
    assert "quarterdeck-sizer-mine/pyproject.toml" in json.loads(done.stdout)["files"]
    done = CliRunner().invoke(app, ["plugin", "new", "sizer", "mine"])
    assert done.exit_code == 1
    assert "is not empty" in done.stderr
    done = CliRunner().invoke(app, ["plugin", "new", "seizer", "mine"])
    assert "did you mean 'sizer'" in done.stderr


def test_two_daemons_do_not_share_a_journal(daemon: DaemonProcess) -> None:
    done = subprocess.run(
        [QUARTERDECK, "serve", "--config", "quarterdeck.toml"],
        cwd=daemon.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "is using this journal" in done.stderr
