"""`quarterdeck data`: what Bybit has becomes files the file feed reads, and nothing is asked for twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quarterdeck.domain.market import DAY, HOUR, MINUTE, Candle, FundingRate
from quarterdeck.plugin import ConfigError
from quarterdeck_bybit_simulator import Simulator
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit.data.download import Downloader, Fetched
from quarterdeck_exchange_bybit.data.store import Part, verify
from quarterdeck_exchange_bybit.rest import Unreachable
from quarterdeck_exchange_bybit.settings import Environment, Site
from quarterdeck_feed_file.load import load
from quarterdeck_feed_file.settings import FileSettings

MINUTES = 5_000
END = time.time_ns() // DAY * DAY
START = END - MINUTES * MINUTE
MISSING = range(1_500, 1_510)
RATES = 450


def candle(number: int) -> Candle:
    price = 50_000.0 + number % 100
    return Candle("btcusdt", MINUTE, START + number * MINUTE, price, price + 5, price - 5, price + 1, 2.0)


@pytest.fixture
def running() -> Iterator[RunningSimulator]:
    simulator = Simulator([BTC])
    simulator.remember(FundingRate("btcusdt", END - n * 8 * HOUR, 0.0001) for n in range(RATES, 0, -1))
    simulator.remember(candle(number) for number in range(MINUTES) if number not in MISSING)
    with RunningSimulator(simulator) as running:
        yield running


@pytest.fixture
def downloader(running: RunningSimulator, tmp_path: Path) -> Iterator[Downloader]:
    url = running.server.socket_url
    site = Site(rest=running.server.rest_url, private=url, public=url)
    made = Downloader(tmp_path, Environment.LIVE, site)
    yield made
    made.close()


def asked(running: RunningSimulator, what: str) -> list[dict[str, str]]:
    entries = running.call(lambda: running.simulator.truth.of("request", "fault"))
    return [dict(parse_qsl(entry.data.get("query", ""))) for entry in entries if entry.data["path"].endswith(what)]


def total(files: list[Fetched], name: str) -> int:
    return sum(getattr(each, name) for each in files)


async def test_candles_become_files_that_the_feed_reads(
    running: RunningSimulator, downloader: Downloader, tmp_path: Path
) -> None:
    instrument = await downloader.instrument("btcusdt")
    files = list(await downloader.candles(instrument, "1m", START, END))
    assert total(files, "new") == MINUTES - len(MISSING)
    assert total(files, "absent") == len(MISSING)
    assert all(int(each["limit"]) == 1_000 for each in asked(running, "kline"))
    paths = [each.path for each in files]
    series = load("btcusdt", paths, FileSettings(path=tuple(map(str, paths)), on_gap="allow"))
    assert list(series.events(0, 3)) == [candle(0), candle(1), candle(2)]
    assert len(series) == MINUTES - len(MISSING)
    assert all(each.faults == {} for each in verify(tmp_path))


async def test_nothing_is_asked_for_twice(running: RunningSimulator, downloader: Downloader) -> None:
    instrument = await downloader.instrument("btcusdt")
    await downloader.candles(instrument, "1m", START, END - HOUR)
    before = len(asked(running, "kline"))
    files = list(await downloader.candles(instrument, "1m", START, END))
    again = asked(running, "kline")[before:]
    assert [int(each["start"]) for each in again] == [(END - HOUR) // 1_000_000]
    assert (total(files, "new"), total(files, "absent")) == (60, 0)
    await downloader.candles(instrument, "1m", START, END)
    assert len(asked(running, "kline")) == before + 1


async def test_what_had_come_before_an_interruption_is_kept(running: RunningSimulator, downloader: Downloader) -> None:
    instrument = await downloader.instrument("btcusdt")
    for _ in range(3):  # as often as a read is tried
        fault = {"match": {"path": "/v5/market/kline", "nth": 3}, "do": "http", "status": 502}
        running.call(lambda fault=fault: running.simulator.faults.add(fault))  # type: ignore[misc]  # bound early
    with pytest.raises(Unreachable):
        await downloader.candles(instrument, "1m", START, END)
    running.call(running.simulator.faults.clear)
    files = list(await downloader.candles(instrument, "1m", START, END))
    assert total(files, "had") >= 1_000  # less than two pages where a month begins among them
    assert total(files, "had") + total(files, "new") == MINUTES - len(MISSING)


async def test_funding_page_after_page_and_only_what_is_missing(
    running: RunningSimulator, downloader: Downloader, tmp_path: Path
) -> None:
    instrument = await downloader.instrument("btcusdt")
    begin = END - RATES * 8 * HOUR
    first = await downloader.funding(instrument, begin, begin + 100 * 8 * HOUR)
    last = await downloader.funding(instrument, END - 10 * 8 * HOUR, END)
    before = len(asked(running, "funding/history"))
    rest = await downloader.funding(instrument, begin, END)
    assert (first.new, last.new, rest.new) == (100, 10, RATES - 110)
    assert len(asked(running, "funding/history")) - before == 2
    times = pq.read_table(tmp_path / "btcusdt-funding.parquet")["ts"].to_pylist()
    assert len(times) == RATES
    assert times == sorted(set(times))
    assert verify(tmp_path)[0].faults == {}


async def test_what_can_not_be_is_kept_aside(running: RunningSimulator, downloader: Downloader, tmp_path: Path) -> None:
    def spoil() -> None:
        bars = running.simulator.markets["linear", "BTCUSDT"].bars["1"]
        bars[7].high = bars[7].low - 1
        bars[9].open = 0.0

    running.call(spoil)
    instrument = await downloader.instrument("btcusdt")
    files = list(await downloader.candles(instrument, "1m", START, START + HOUR))
    assert (total(files, "new"), total(files, "quarantined"), total(files, "absent")) == (58, 2, 0)
    quarantine = files[0].path.with_suffix(".quarantine.jsonl")
    reasons = [json.loads(line)["reason"] for line in quarantine.read_text().splitlines()]
    assert any("high is highest" in reason for reason in reasons)
    assert any("a price above zero" in reason for reason in reasons)
    assert verify(tmp_path)[0].faults == {"missing": 2}


async def test_what_can_hardly_be_is_kept_and_named(
    running: RunningSimulator, downloader: Downloader, tmp_path: Path
) -> None:
    def spoil() -> None:
        bars = running.simulator.markets["linear", "BTCUSDT"].bars["1"]
        bars[7].high = 60_000.0
        bars[9].open = bars[9].high = bars[9].low = bars[9].close = 5_000.0

    running.call(spoil)
    instrument = await downloader.instrument("btcusdt")
    files = list(await downloader.candles(instrument, "1m", START, START + HOUR))
    assert (total(files, "new"), total(files, "quarantined"), total(files, "doubtful")) == (60, 0, 3)
    kept = [json.loads(line) for line in files[0].path.with_suffix(".quarantine.jsonl").read_text().splitlines()]
    assert [each["row"][0] for each in kept] == [(START + at * MINUTE) // 1_000_000 for at in (7, 9, 10)]
    assert kept[0]["reason"].startswith("kept, though it can hardly be")
    assert verify(tmp_path)[0].faults == {}


async def test_unknown_symbols_are_named(downloader: Downloader) -> None:
    with pytest.raises(ConfigError, match="'nousdt' is not traded"):
        await downloader.instrument("nousdt")


def test_verification_finds_each_fault(tmp_path: Path) -> None:
    def write(minutes: list[int], high: float = 2.0, low: float = 1.0) -> dict[str, int]:
        ts = pa.array([START // 1_000_000 + each * 60_000 for each in minutes], pa.timestamp("ms", "UTC"))
        ones = [1.5] * len(minutes)
        table = {"ts": ts, "open": ones, "high": [high] * len(ones), "low": [low] * len(ones), "close": ones}
        pq.write_table(pa.table(table | {"volume": ones}), tmp_path / "btcusdt-1m-2025-01.parquet")
        return dict(verify(tmp_path)[0].faults)

    assert write([0, 1, 2]) == {}
    assert write([0, 1, 3]) == {"missing": 1}
    assert write([0, 1, 1, 2]) == {"duplicates": 1}
    assert write([0, 2, 1, 3]) == {"not in order": 1}
    assert write([0], high=1.2) == {"high below low": 1}
    assert write([0], low=-1.0) == {"not above zero": 1}
    assert write([0], high=float("nan")) == {"not a number": 1}
    with pytest.raises(ConfigError, match="there are no Parquet files"):
        verify(tmp_path / "nowhere")


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part(tmp_path / "x-1m-2025-01.parquet", ("rate",), {START: (1.0,)}, {START + MINUTE})
    part.write()
    part.rows[START + 2 * MINUTE] = (2.0,)

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(pq, "write_table", fail)
        with pytest.raises(OSError, match="no space left"):
            part.write()
    again = Part.read(part.path, ("rate",))
    assert (again.rows, again.absent) == ({START: (1.0,)}, {START + MINUTE})


@pytest.mark.slow
def test_the_command(running: RunningSimulator, tmp_path: Path) -> None:
    program = [str(Path(sys.executable).parent / "quarterdeck"), "data"]
    start = datetime.fromtimestamp(START / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    words = ["download", "btcusdt", "--start", start, "--interval", "1h", "--funding", "--into", str(tmp_path)]
    words += ["--simulator", running.server.address, "--json"]
    done = subprocess.run([*program, *words], capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout.strip().rpartition("\n")[2])["data"]
    assert summary["new"] >= MINUTES // 60
    done = subprocess.run([*program, "verify", str(tmp_path), "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["data"]["is_sound"] is True
    wrong = [*program, "download", "btcusdt", "--start", start, "--interval", "2m"]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'2m' is no candle that Bybit makes" in done.stderr


@pytest.mark.slow
def test_an_interrupted_command_keeps_what_had_come(running: RunningSimulator, tmp_path: Path) -> None:
    fault = {"match": {"path": "/v5/market/kline", "nth": 4}, "do": "delay_answer", "ms": 3_000}
    running.call(lambda: running.simulator.faults.add(fault))
    start = datetime.fromtimestamp(START / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    end = datetime.fromtimestamp(END / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    words = ["data", "download", "btcusdt", "--start", start, "--end", end, "--into", str(tmp_path)]
    words += ["--simulator", running.server.address, "--json"]
    program = str(Path(sys.executable).parent / "quarterdeck")
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 30
    while len(asked(running, "kline")) < 4 and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    kept = sum(each.rows for each in verify(tmp_path))
    assert kept >= 2_000
    done = subprocess.run([program, *words], capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout.strip().rpartition("\n")[2])["data"]
    assert (summary["had"], summary["had"] + summary["new"]) == (kept, MINUTES - len(MISSING))
