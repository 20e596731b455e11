"""`quarterdeck bybit-sim`: a simulator that runs by itself, from options or a file, until it is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from quarterdeck.plugin import ConfigError
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_bybit_simulator.scene import read_scene
from quarterdeck_bybit_simulator.walk import Walk, read_prices

PROGRAM = [str(Path(sys.executable).parent / "quarterdeck"), "bybit-sim", "--port", "0", "--json"]


def get(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - this machine's own server
        return json.load(answer)["result"]


@pytest.mark.slow
def test_it_lives_until_it_is_interrupted(tmp_path: Path) -> None:
    truth, faults = tmp_path / "truth.jsonl", tmp_path / "faults.json"
    faults.write_text(json.dumps([{"match": {"path": "/v5/market/time"}, "do": "code", "code": 10016}]))
    options = ["--truth", str(truth), "--faults", str(faults), "--speed", "50", "--symbol", "ethusdt"]
    process = subprocess.Popen([*PROGRAM, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())["simulator"]
    assert told["symbols"] == ["ethusdt"]
    assert 'plugin = "bybit"' in told["config"]
    where = f"{told['rest']}/v5/market"
    assert len(get(f"{where}/kline?category=linear&symbol=ETHUSDT&interval=1&limit=1000")["list"]) == 1000
    assert len(get(f"{where}/funding/history?category=linear&symbol=ETHUSDT")["list"]) >= 2
    prices: set[str] = set()
    end = time.monotonic() + 20
    while len(prices) < 3 and time.monotonic() < end:
        prices.add(get(f"{where}/tickers?category=linear&symbol=ETHUSDT")["list"][0]["lastPrice"])
    assert len(prices) >= 3
    assert get(f"{where}/time") == {}
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.stdout.close()
    assert {json.loads(line)["kind"] for line in truth.read_text().splitlines()} >= {"request", "fault"}


def test_a_scene_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "scene.toml"
    path.write_text(
        """
        symbols = ["btcusdt"]
        link_ids = "open_only"
        [[instruments]]
        symbol = "solusdt"
        venue_symbol = "SOLUSDT"
        base = "SOL"
        tick_size = "0.01"
        lot_size = "0.1"
        min_quantity = "0.1"
        price = 150.0
        [[accounts]]
        api_key = "somebody"
        balances = { USDT = "5" }
        [[faults]]
        match = { topic = "execution" }
        do = "dup"
        """
    )
    scene = read_scene(path, {"seed": 7})
    assert [(one.symbol, price) for one, price in scene.listing] == [("solusdt", 150.0), ("btcusdt", 50_000.0)]
    assert (scene.seed, scene.accounts[0].api_key, scene.faults[0].do) == (7, "somebody", "dup")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = 'x'", "seed: Input should be a valid integer"),
        ("sed = 1", "sed: Extra inputs are not permitted"),
        ("symbols = ['nousdt']", "'nousdt' is not listed; there are btcusdt"),
        ("[[faults]]\nmatch = {}\ndo = 'explode'", "faults.0.do: Input should be 'drop_request'"),
        ("seed =", "Invalid value"),
    ],
)
def test_a_bad_scene_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "scene.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_scene(path, {})


def test_a_seed_is_a_market() -> None:
    walks = [Walk(BTC, 50_000.0, seed) for seed in (1, 1, 2)]
    first, again, other = ([walk.next() for _ in range(100)] for walk in walks)
    assert first == again != other
    assert all(round(price * 10) == pytest.approx(price * 10) for price in first)


def test_prices_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text("ts,open,high,low,close,volume\n1700000000,10,12,9,11,1\n1700000060,11,11.5,8,9,1\n")
    assert read_prices(path) == ([10, 9, 12, 11, 11, 11.5, 8, 9], 15_000_000_000)
    path.write_text("ts,open,high,low,close\n1,2,3,x,4\n")
    with pytest.raises(ValueError, match=r"row 1: .* must be numbers"):
        read_prices(path)
    path.write_text("ts,open\n1,2\n")
    with pytest.raises(ValueError, match="column high, low, close is missing"):
        read_prices(path)
