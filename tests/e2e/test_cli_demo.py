"""The demo: live and watched, replayed from files, on bad data, and on a year of real candles."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

QUARTERDECK = str(Path(sys.executable).with_name("quarterdeck"))
REAL = Path(__file__).parents[3] / "shared/data/candles/bybit_linear/BTCUSDT-5m-2025.parquet"

SUMMARY = {
    "trades",
    "orders",
    "fills",
    "refused",
    "initial_balance",
    "final_equity",
    "pnl",
    "fees",
    "win_rate",
    "max_drawdown",
    "events",
    "candles",
    "seconds",
    "candles_per_second",
    "journal",
}
TIMING = {"seconds", "candles_per_second"}


def demo(folder: Path, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A demo in a folder, where no terminal is attached."""
    done = subprocess.run(
        [QUARTERDECK, "demo", *words], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def last_object(text: str) -> Any:
    return json.loads(text.strip().rpartition("\n")[2])


def candles(folder: Path, count: int) -> Path:
    """A file of candles that swing up and down, so that averages cross."""
    file = folder / "BTCUSDT-1m-swings.csv"
    rows = ["ts,open,high,low,close,volume"]
    last = 50_000.0
    for number in range(count):
        price = 50_000.0 + 400.0 * abs((number % 200) - 100) / 100 + (number % 7)
        high, low = max(last, price) + 5, min(last, price) - 5
        time = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        rows.append(f"{time.isoformat()},{last},{high},{low},{price},10")
        last = price
    file.write_text("\n".join(rows))
    return file


def test_a_file_is_replayed_to_its_end_the_same_each_time(tmp_path: Path) -> None:
    file = candles(tmp_path, 2_000)
    once, again = (last_object(demo(tmp_path, "--data", file, "--speed", "max", "--json").stdout) for _ in range(2))
    assert set(once) == SUMMARY
    assert once["candles"] == 2_000
    assert once["fills"] >= 10
    assert once["initial_balance"] == "10000"
    assert {key: value for key, value in once.items() if key not in TIMING} == {
        key: value for key, value in again.items() if key not in TIMING
    }
    assert sorted(each.name for each in tmp_path.iterdir()) == [".quarterdeck", file.name]


def test_people_get_a_summary_and_what_to_do_next(tmp_path: Path) -> None:
    done = demo(tmp_path, "--data", candles(tmp_path, 500), "--speed", "max", "--balance", "5000")
    for text in ("trades", "profit", "of 5,000.00", "refused", "500 in", ".quarterdeck/demo.db", "quarterdeck serve"):
        assert text in done.stdout


def test_a_live_demo_tells_how_it_goes_ends_by_itself_and_can_be_joined(tmp_path: Path) -> None:
    command = [QUARTERDECK, "demo", "--speed", "100", "--duration", "6"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"listening at (\S+)\.", process.stderr.readline())
        assert found is not None
        joined = subprocess.run(
            [QUARTERDECK, "status", "--json", "--address", found[1]],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        out, _ = process.communicate(timeout=120)
    assert last_object(joined.stdout)["mode"] == "DEMO"
    assert process.returncode == 0
    assert re.search(r"  ready  equity [0-9,.]+ USDT  unrealized ", out.splitlines()[0])
    assert "max drawdown" in out


def test_a_live_demo_as_json_says_one_thing_on_stdout(tmp_path: Path) -> None:
    done = demo(tmp_path, "--speed", "100", "--duration", "3", "--json")
    assert done.stdout.count("\n") == 1
    summary = json.loads(done.stdout)
    assert summary["candles"] > 100
    assert summary["orders"] > 0


def test_ctrl_c_ends_a_demo_with_its_summary(tmp_path: Path) -> None:
    command = [QUARTERDECK, "demo", "--forever", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert set(json.loads(out)) == SUMMARY


HEADER = "ts,open,high,low,close,volume\n"
BAD = {
    "no number": (HEADER + "2025-01-01T00:00:00Z,1,2,1,nan,1\n", "close"),
    "high below low": (HEADER + "2025-01-01T00:00:00Z,5,4,6,5,1\n", "high"),
    "negative": (HEADER + "2025-01-01T00:00:00Z,-5,4,-6,-5,1\n", "open"),
    "unsorted": (HEADER + "2025-01-01T00:01:00Z,5,6,4,5,1\n2025-01-01T00:00:00Z,5,6,4,5,1\n", "ts"),
    "twice": (HEADER + "2025-01-01T00:00:00Z,5,6,4,5,1\n2025-01-01T00:00:00Z,5,6,4,5,1\n", "ts"),
    "gap": (
        HEADER + "2025-01-01T00:00:00Z,5,6,4,5,1\n2025-01-01T00:01:00Z,5,6,4,5,1\n2025-01-01T00:05:00Z,5,6,4,5,1\n",
        "missing",
    ),
    "no column": ("ts,open,high,low,volume\n2025-01-01T00:00:00Z,5,6,4,1\n", "close"),
    "nothing": ("", "Empty"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=list(BAD))
def test_bad_data_is_told_before_anything_is_traded(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "BTCUSDT-1m-bad.csv").write_text(text)
    done = demo(tmp_path, "--data", "BTCUSDT-1m-bad.csv", "--speed", "max", "--json", code=1)
    assert "BTCUSDT-1m-bad.csv" in done.stderr
    assert said in done.stderr
    assert last_object(done.stdout)["error"]["reason"] == "CONFIG"


def test_what_the_feed_does_not_know_by_itself_is_said_to_it(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-1m-numbers.csv").write_text(HEADER + "1735689600000,5,6,4,5,1\n")
    replay = ("--data", "BTCUSDT-1m-numbers.csv", "--speed", "max", "--json")
    assert "--feed KEY=VALUE" in demo(tmp_path, *replay, code=1).stderr
    assert last_object(demo(tmp_path, *replay, "--feed", "time_unit=ms").stdout)["candles"] == 1


def test_gaps_are_taken_if_they_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-1m-gap.csv").write_text(BAD["gap"][0])
    done = demo(tmp_path, "--data", "BTCUSDT-1m-gap.csv", "--speed", "max", "--feed", "on_gap=allow", "--json")
    assert last_object(done.stdout)["candles"] == 3


#: What the demo made of the year. A change of engine or venue that moves a number is meant, and said in its commit.
PINNED = {
    "trades": 1141,
    "orders": 3325,
    "fills": 2283,
    "refused": {"daily-loss": 83},
    "initial_balance": "10000",
    "final_equity": "816.54902968",
    "pnl": "-9183.45097032",
    "fees": "9041.52777032",
    "win_rate": "0.3541",
    "max_drawdown": "0.92347372",
    "events": 22229,
    "candles": 105_120,
}


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL.name} beside the clone")
def test_a_year_of_real_candles_gives_what_it_gave(tmp_path: Path) -> None:
    summary = last_object(demo(tmp_path, "--data", REAL, "--speed", "max", "--json").stdout)
    assert {key: value for key, value in summary.items() if key not in TIMING | {"journal"}} == PINNED


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL.name} beside the clone")
def test_with_the_usual_drawdown_limit_entries_soon_end(tmp_path: Path) -> None:
    replay = ("--data", REAL, "--speed", "max", "--json")
    summary = last_object(demo(tmp_path, *replay, "--max-drawdown", "0.05").stdout)
    assert float(summary["max_drawdown"]) < 0.06
    assert summary["refused"]["drawdown"] > 1000
    assert summary["trades"] < 100
