"""Owns the measurements of the whole flow: candles a second, start-up, and restart from a long journal."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.control import ACCOUNT, STREAM, config
from bench.load import cpu_of, write_frames
from bench.processes import Process, load, start_daemon
from quarterdeck.client import SyncClient
from quarterdeck.v1 import event_service_pb2

ROUNDS = 3
EVENTS = 100_000
CANDLES = 100_000
OPEN_ORDERS = 100

# A market at full speed that ends after so many candles, and a bot that trades it without the losses ending it.
MARKET = """\
mode = "paper"
[journal]
url = "sqlite:///flow.db"
[exchange]
plugin = "paper"
[exchange.settings.balances]
USDT = "1000000"
[feed]
plugin = "synthetic"
[feed.settings]
speed = "max"
count = {candles}
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
[[bots]]
id = "bench"
strategy = "sma-cross"
instrument = "btcusdt"
interval = "1m"
"""


def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `folder` is for what the daemon writes."""
    command = str(Path(sys.executable).with_name("quarterdeck"))
    say("help and start-up")
    figures: dict[str, Any] = {
        "help_cpu_s": median(_cpu([command, "--help"]) for _ in range(ROUNDS)),
        "start_s": median(_start(folder / f"start-{turn}") for turn in range(ROUNDS)),
    }
    say(f"{CANDLES:,} candles through the whole flow")
    figures["flow"] = _flow(folder / "flow")
    say(f"restart with {EVENTS:,} events")
    figures["restart"] = _restart(folder / "restart")
    say(f"restart with {OPEN_ORDERS} open orders")
    figures["restart_with_open_orders"] = _recovery(folder / "recovery")
    say(f"resume of {EVENTS:,} events")
    figures["resume"] = _resume(folder / "restart")
    return figures


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3)


def _start(folder: Path) -> float:
    begun = time.perf_counter()
    daemon = start_daemon(folder, config("sqlite:///flow.db"))
    took = time.perf_counter() - begun
    daemon.stop()
    return round(took, 3)


def _flow(folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "flow.py"
    script.write_text(_FLOW)
    rounds = []
    for turn in range(ROUNDS):
        place = folder / str(turn)
        place.mkdir()
        done = subprocess.run(
            [sys.executable, str(script), MARKET.format(candles=CANDLES)],
            cwd=place,
            check=True,
            capture_output=True,
            text=True,
        )
        rounds.append(json.loads(done.stdout.splitlines()[-1]))
    best: dict[str, Any] = sorted(rounds, key=lambda one: float(one["candles_per_second"]))[len(rounds) // 2]
    return best


_FLOW = """\
import asyncio, json, sys, time
import uvloop
from quarterdeck.daemon.app import Daemon
from quarterdeck.daemon.config import parse


async def main():
    daemon = await Daemon.start(parse(sys.argv[1], "bench").model_copy())
    core = daemon.core
    begun, cpu = time.perf_counter(), time.process_time()
    await core.ended()
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    head = core.head
    await daemon.stop("measured")
    print(json.dumps({
        "candles": core.feed_events, "events": head, "seconds": round(took, 2), "cpu_s": round(cpu, 2),
        "candles_per_second": round(core.feed_events / took),
    }))


uvloop.run(main())
"""


def _restart(folder: Path) -> dict[str, Any]:
    """Trade until the journal is long enough, then start again: by folding all of it, and from a snapshot."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "restart.py"
    script.write_text(_RESTART)
    environment = os.environ | {"EVENTS": str(EVENTS)}
    done = subprocess.run(
        [sys.executable, str(script), MARKET.format(candles=10_000_000)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _recovery(folder: Path) -> dict[str, float]:
    """Kill a daemon whose orders work, and start another: how long until it takes orders again, imports included."""
    daemon = start_daemon(folder, config("sqlite:///flow.db"))
    with SyncClient.connect(daemon.address) as client:
        for number in range(OPEN_ORDERS):
            client.orders.create(
                order_id=f"open-{number}",
                instrument="btcusdt",
                side="BUY",
                type="LIMIT",
                quantity="0.001",
                limit_price="59000",
                stop_loss="57000",
            )
        while sum(one.state == "OPEN" for one in client.orders.list(open_only=True)) < OPEN_ORDERS:
            time.sleep(0.05)
    seconds, cpu = [], []
    for _ in range(ROUNDS):
        daemon.kill()
        begun = time.perf_counter()
        daemon = start_daemon(folder, config("sqlite:///flow.db"))
        seconds.append(time.perf_counter() - begun)
        cpu.append(cpu_of(daemon.process.pid))
    with SyncClient.connect(daemon.address) as client:
        working = sum(1 for _ in client.orders.list(open_only=True))
    daemon.stop()
    if working < OPEN_ORDERS:
        raise RuntimeError(f"{working} of {OPEN_ORDERS} orders work after {ROUNDS} restarts")
    return {"orders": working, "seconds": round(median(seconds), 3), "cpu_s": round(median(cpu), 3)}


def _resume(folder: Path) -> dict[str, Any]:
    """Have one reader catch up with the journal of `_restart`, many events in a message and one by one."""
    daemon = start_daemon(folder, MARKET.format(candles=1))  # a history that is over: nothing else happens
    try:
        return {
            f"seconds_{size}_a_message": round(median(_resumed(folder, daemon, size) for _ in range(ROUNDS)), 3)
            for size in (256, 1)
        } | {"events": EVENTS}
    finally:
        daemon.stop()


def _resumed(folder: Path, daemon: Process, batch_size: int) -> float:
    request = event_service_pb2.StreamEventsRequest(parent=ACCOUNT, after_sequence=0, batch_size=batch_size)
    requests = write_frames(folder / "resume.frames", [request.SerializeToString()])
    spec = {"kind": "resume", "method": STREAM, "requests": requests, "events": EVENTS}
    seconds: float = load(address=daemon.address, **spec)["seconds"]
    return seconds


_RESTART = """\
import asyncio, json, os, sys, time
import uvloop
from quarterdeck.daemon.app import Daemon
from quarterdeck.daemon.config import parse
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.keeper import Keeper

config = parse(sys.argv[1], "bench")


async def trade():
    daemon = await Daemon.start(config)
    while daemon.core.head < int(os.environ["EVENTS"]):
        await asyncio.sleep(0.05)
    await daemon.stop("measured")


def load():
    journal = Journal.open(config.journal.url, "main")
    begun, cpu = time.perf_counter(), time.process_time()
    state = Keeper(journal).load()
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    journal.close()
    return {"events": state.sequence, "seconds": round(took, 3), "cpu_s": round(cpu, 3)}


def forget_snapshots():
    import sqlite3

    with sqlite3.connect("flow.db") as database:
        database.execute("DELETE FROM snapshot")
    database.close()


uvloop.run(trade())
snapshot = load()
forget_snapshots()
print(json.dumps({"whole_fold": load(), "from_snapshot": snapshot}))
"""
