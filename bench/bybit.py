"""Owns the measurement of the way to Bybit and back: what the daemon adds to pybit itself, over a simulated Bybit.

All clocks are this machine's monotonic one, which every process shares; the simulator's truth log says when a request
came in and when a trade was told.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pybit.unified_trading import HTTP, WebSocket

from bench.processes import simulated_bybit, start_daemon
from quarterdeck.client import SyncClient
from quarterdeck.client.events import OrderFilled

ORDERS = 100

#: A little below what the budget lets through in a second.
PAUSE = 0.15

CREATE = "/v5/order/create"
ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.001"}

LIMITS = """
[journal]
url = "sqlite:///bybit.db"
[[risk]]
plugin = "limits"
[risk.settings]
max_position_risk = 1
max_daily_loss = 1
max_drawdown = 1
max_notional = "100000000"
max_entries_per_minute = "off"
"""


def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure both ways; milliseconds."""
    folder.mkdir(parents=True)
    truth = folder / "truth.jsonl"
    with simulated_bybit("--truth", str(truth)) as site:
        os.environ |= {"BYBIT_API_KEY": site["api_key"], "BYBIT_API_SECRET": site["api_secret"]}
        say(f"Bybit: {ORDERS} orders by pybit alone")
        bare = _bare(site)
        say(f"Bybit: {ORDERS} orders by the daemon")
        ours = _ours(folder, site["config"])
        rows = [json.loads(line) for line in truth.read_text().splitlines()]
    came: dict[str, int] = {}
    told: dict[str, int] = {}
    for row in rows:
        if row["kind"] == "request" and row["path"] == CREATE:
            came[json.loads(row["body"])["orderLinkId"]] = row["at"]
        elif row["kind"] == "execution":
            told.setdefault(row["row"]["orderLinkId"], row["at"])
    figures: dict[str, Any] = {}
    for way, begins, ends in (("out", 0, came), ("in", 1, told)):
        for name, marks in (("bare", bare), ("ours", ours)):
            sign = 1 if way == "out" else -1
            spans = sorted(sign * (ends[link] - at[begins]) / 1e6 for link, at in marks.items() if link in ends)
            figures[f"{way}_{name}_p50_ms"] = round(spans[len(spans) // 2], 2)
            figures[f"{way}_{name}_p99_ms"] = round(spans[int(len(spans) * 0.99)], 2)
        figures[f"{way}_added_p50_ms"] = round(figures[f"{way}_ours_p50_ms"] - figures[f"{way}_bare_p50_ms"], 2)
    return figures


#: When an order was asked for, and when its trade was heard of.
_Marks = dict[str, tuple[int, int]]


def _paired(asked: dict[str, int], heard: dict[str, int]) -> _Marks:
    return {link: (at, heard[link]) for link, at in asked.items() if link in heard}


def _bare(site: dict[str, Any]) -> _Marks:
    class Redirected(WebSocket):  # type: ignore[misc]  # pybit has no types
        def _connect(self, url: str) -> None:
            super()._connect(site["sockets"] + url[url.index("/v5/") :])

    key = {"api_key": site["api_key"], "api_secret": site["api_secret"]}
    http = HTTP(testnet=True, **key)
    http.endpoint = site["rest"]
    asked: dict[str, int] = {}
    heard: dict[str, int] = {}

    def hear(message: dict[str, Any]) -> None:
        now = time.monotonic_ns()
        for row in message["data"]:
            heard.setdefault(row["orderLinkId"], now)

    socket = Redirected(testnet=True, channel_type="private", **key)
    socket.execution_stream(callback=hear)
    time.sleep(1)
    for number in range(ORDERS):
        link = f"bare-{number}"
        asked[link] = time.monotonic_ns()
        http.place_order(**ORDER, orderLinkId=link)
        time.sleep(PAUSE)
    time.sleep(1)
    socket.exit()
    return _paired(asked, heard)


def _ours(folder: Path, config: str) -> _Marks:
    daemon = start_daemon(folder / "daemon", config.replace(', "btcusdt-spot"', "") + LIMITS)
    asked: dict[str, int] = {}
    heard: dict[str, int] = {}
    links: dict[str, str] = {}
    try:
        with SyncClient.connect(daemon.address) as client:
            after = client.system.status().head_sequence

            def listen() -> None:
                with client.events.stream(after) as events:
                    for event in events:
                        if isinstance(event.body, OrderFilled):
                            heard.setdefault(event.body.fill.order, time.monotonic_ns())
                            if len(heard) >= ORDERS:
                                return

            listener = threading.Thread(target=listen, daemon=True)
            listener.start()
            for _ in range(ORDERS):
                begin = time.monotonic_ns()
                order = client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity="0.001").order
                asked[order.id] = begin
                time.sleep(PAUSE)
            listener.join(10)
            links = {order.id: order.link_id for order in client.orders.list()}
    finally:
        daemon.stop()
    by_id = {name.rpartition("/")[2]: at for name, at in heard.items()}
    return {links[order]: (at, by_id[order]) for order, at in asked.items() if order in by_id}
