"""Owns the measurement of the kill switch: how long it takes over a simulated Bybit with Bybit's own limits.

A hundred entries rest in ten books and five positions have their stops when it is pulled, and Bybit is 200 ms away. All
clocks are this machine's monotonic one; the simulator's truth says when an entry was off, a position flat, and whether
one was ever without its stop.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.processes import start_daemon
from quarterdeck.client import SyncClient
from quarterdeck.client.words import KillMode
from quarterdeck.domain.market import MINUTE, Candle, Quote
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.catalog import BTC
from quarterdeck_bybit_simulator.protection import unprotected
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_bybit_simulator.truth import Entry

Say = Callable[[str], None]

BOOKS = [f"kill{number}usdt" for number in range(10)]
HELD = BOOKS[:5]
ENTRIES = 100
PRICE = 50_000.0

#: The way to Bybit and back, in milliseconds.
ROUND_TRIP = 200

#: A little below what the budget lets through in a second.
PAUSE = 0.14


@dataclass(frozen=True, slots=True)
class Case:
    """How the switch is pulled. `exits`: each position has an exit that rests in its book and has to stay there.

    `storm`: Bybit takes no more single orders.
    """

    name: str
    mode: KillMode
    exits: bool = False
    storm: bool = False


CASES = (
    Case("halt", "CANCEL_ONLY"),
    Case("halt_with_exits", "CANCEL_ONLY", exits=True),
    Case("flatten", "FLATTEN"),
    Case("flatten_in_storm", "FLATTEN", storm=True),
)

USER = 10_000_001
KEYS = {"BENCH_API_KEY": "key-of-bench", "BENCH_API_SECRET": "secret-of-bench"}

CONFIG = """\
mode = "testnet"
[journal]
url = "sqlite:///kill.db"
[exchange]
plugin = "bybit"
[exchange.settings]
environment = "testnet"
symbols = {symbols}
credentials = "env:BENCH"
[exchange.settings.simulator]
rest = "{rest}"
private = "{socket}"
public = "{socket}"
[feed]
plugin = "bybit"
[feed.settings]
symbols = {symbols}
history = 10
[feed.settings.simulator]
rest = "{rest}"
private = "{socket}"
public = "{socket}"
[[risk]]
plugin = "limits"
[risk.settings]
max_position_risk = 1
max_daily_loss = 1
max_drawdown = 1
max_notional = "100000000"
max_open_positions = 1000
max_entries_per_minute = "off"
"""


def run(folder: Path, say: Say) -> dict[str, Any]:
    """Pull it in each case."""
    os.environ |= KEYS
    figures: dict[str, Any] = {"entries": ENTRIES, "positions": len(HELD), "round_trip_ms": ROUND_TRIP}
    with _market() as running:
        site = {"rest": running.server.rest_url, "socket": running.server.socket_url}
        daemon = start_daemon(folder, CONFIG.format(symbols=json.dumps(BOOKS), **site))
        try:
            with SyncClient.connect(daemon.address) as client:
                for case in CASES:
                    say(f"kill switch: {case.name} with {ENTRIES} entries and {len(HELD)} positions")
                    _fill(running, client, case)
                    figures |= {f"{case.name}_{key}": value for key, value in _pull(running, client, case).items()}
        finally:
            daemon.stop()
    return figures


@contextmanager
def _market() -> Iterator[RunningSimulator]:
    listed = [replace(BTC, symbol=each, venue_symbol=each.upper()) for each in BOOKS]
    members = (Member(KEYS["BENCH_API_KEY"], KEYS["BENCH_API_SECRET"], USER, (("USDT", Decimal(100_000_000)),)),)
    done = threading.Event()
    with RunningSimulator(Simulator(listed, SimulatorSettings(members=members))) as running:

        def past() -> None:
            first = time.time_ns() // MINUTE * MINUTE - 10 * MINUTE
            for each in BOOKS:
                for at in range(10):
                    opened = first + at * MINUTE
                    running.simulator.show(Candle(each, MINUTE, opened, PRICE, PRICE, PRICE, PRICE, 1.0))

        def now() -> None:
            for each in BOOKS:
                running.simulator.show(Quote(each, time.time_ns(), PRICE, 1e6, PRICE + 0.1, 1e6))

        def move() -> None:
            while not done.wait(0.5):
                running.call(now)

        running.call(past)
        mover = threading.Thread(target=move, daemon=True)
        mover.start()
        try:
            yield running
        finally:
            done.set()
            mover.join()


def _fill(running: RunningSimulator, client: SyncClient, case: Case) -> None:
    """Have every position held and protected, and every entry rest."""
    client.risk.release_kill_switch("the next measurement")
    client.orders.cancel_all()
    held = {one.instrument.rpartition("/")[2] for one in client.positions.list()}
    for symbol in [each for each in HELD if each not in held]:
        client.orders.create(instrument=symbol, side="BUY", type="MARKET", quantity="0.01", stop_loss="48000")
        time.sleep(PAUSE)
    for symbol in HELD if case.exits else ():
        client.orders.create(
            instrument=symbol, side="SELL", type="LIMIT", quantity="0.01", limit_price="51000", reduce_only=True
        )
        time.sleep(PAUSE)
    for number in range(ENTRIES):
        client.orders.create(
            instrument=BOOKS[number % len(BOOKS)], side="BUY", type="LIMIT", quantity="0.01", limit_price="49000"
        )
        time.sleep(PAUSE)
    rest = ENTRIES + len(HELD) * case.exits
    _until(lambda: _working(running) == (rest, len(HELD)) and _positions(running) == len(HELD))
    _until(lambda: sum(one.state == "OPEN" for one in client.orders.list()) >= rest + len(HELD))


def _pull(running: RunningSimulator, client: SyncClient, case: Case) -> dict[str, Any]:
    """Pull the switch and read in the truth what came of it."""
    faults, truth = running.simulator.faults, running.simulator.truth

    def make_far() -> int:
        if case.storm:
            faults.add({"match": {"path": "/v5/order/create"}, "do": "code", "code": 10006})
        for path in ("create", "cancel", "cancel-all", "create-batch", "cancel-batch"):
            faults.add({"match": {"path": f"/v5/order/{path}"}, "do": "delay_answer", "ms": ROUND_TRIP})
        return len(truth)

    before = running.call(make_far)
    begin = time.monotonic_ns()
    client.risk.engage_kill_switch("the measurement", mode=case.mode)
    left = (0, 0) if case.mode == "FLATTEN" else (len(HELD) * case.exits, len(HELD))
    _until(lambda: _working(running) == left)
    facts = running.call(lambda: [each for each in truth if each.number > before])
    bare = running.call(lambda: list(unprotected(truth, before)))
    running.call(faults.clear)
    ends = [each.at for each in facts if _is_end(each)]
    fills = [each.at for each in facts if each.kind == "execution"]
    requests = Counter(each.data["path"].rpartition("/")[2] for each in facts if _changes_orders(each))
    return {
        "entries_off_seconds": round((max(ends) - begin) / 1e9, 2),
        **({"flat_seconds": round((max(fills) - begin) / 1e9, 2)} if fills else {}),
        "requests": dict(sorted(requests.items())),
        "moments_without_stop": len(bare),
    }


def _is_end(entry: Entry) -> bool:
    """Whether an entry has been taken off."""
    row = entry.data.get("row", {})
    return entry.kind == "state" and row["orderStatus"] == "Cancelled" and row["orderType"] == "Limit"


def _changes_orders(entry: Entry) -> bool:
    return entry.kind == "request" and entry.data["method"] == "POST"


def _working(running: RunningSimulator) -> tuple[int, int]:
    """How many entries rest, and how many stops wait."""
    account = running.simulator.accounts[USER]
    waiting = running.call(lambda: [each.is_conditional for each in account.open_orders()])
    return waiting.count(False), waiting.count(True)


def _positions(running: RunningSimulator) -> int:
    account = running.simulator.accounts[USER]
    return running.call(lambda: sum(bool(account.quantity(each)) for each in HELD))


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("it never came about")
        time.sleep(0.02)
