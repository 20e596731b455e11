"""Owns the measurement of order books: what an update costs beside pybit, and how old one is when a client has it.

Both read the same bytes in the same process; a simulated Bybit tells more and more updates to a daemon and its client.
Costs are CPU time of this process; ages are by this machine's clock, in whole milliseconds as in Bybit's messages.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from pybit._websocket_stream import _V5WebSocketManager

from bench.bybit import LIMITS
from bench.load import cpu_of
from bench.processes import simulated_bybit, start_daemon
from quarterdeck.client import SyncClient
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck_exchange_bybit.codec.frames import Topic, read_frame
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook
from quarterdeck_exchange_bybit.market.listener import Listener, Market
from quarterdeck_exchange_bybit.market.outbox import Outbox
from quarterdeck_exchange_bybit.market.quarantine import Quarantine
from quarterdeck_exchange_bybit.market.sieve import Sieve
from quarterdeck_exchange_bybit.market.watch import Watch

UPDATES = 5_000
DEPTHS = (1, 50, 200)

#: Levels that change in one update.
CHANGES = 8

#: Prices a second of the simulator; each changes the book twice.
SPEEDS = (50, 200, 800)
SECONDS = 8.0

BTC = Instrument(
    "btcusdt",
    "BTCUSDT",
    InstrumentKind.LINEAR,
    "BTC",
    "USDT",
    "USDT",
    Decimal("0.1"),
    Decimal("0.001"),
    Decimal("0.001"),
)


def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure both."""
    figures: dict[str, Any] = {}
    for depth in DEPTHS:
        say(f"market: {UPDATES} updates of {depth} levels")
        figures |= {f"{name}_{depth}": value for name, value in _costs(list(messages(depth))).items()}
    for speed in SPEEDS:
        say(f"market: a simulated Bybit at {speed} prices a second, to a client")
        figures |= {f"{name}_at_{speed}": value for name, value in _lag(folder / str(speed), speed).items()}
    return figures


# ---------------------------------------------------------------- costs


def messages(depth: int) -> Iterator[str]:
    """A snapshot and what follows it, as Bybit tells it: a few levels change each time, now and then the best ones."""
    chance = random.Random(depth)
    middle = 500_000
    sizes: dict[int, float] = {}

    def side(sign: int) -> dict[int, float]:
        levels = {}
        for at in range(depth):
            price = middle + sign * (at + 1)
            levels[price] = sizes.setdefault(price, round(chance.uniform(0.001, 9), 3))
        return levels

    bids, asks = side(-1), side(1)
    yield _message(depth, "snapshot", 1_000, _told(bids), _told(asks))
    for number in range(1, UPDATES):
        if chance.random() < 0.3:
            middle += chance.choice((-1, 1))
        for _ in range(CHANGES):
            sizes[middle + chance.choice((-1, 1)) * (1 + int(chance.expovariate(0.2)) % depth)] = round(
                chance.uniform(0.001, 9), 3
            )
        before, (bids, asks) = (bids, asks), (side(-1), side(1))
        if depth == 1:  # told whole, always
            yield _message(depth, "snapshot", 1_000 + number, _told(bids), _told(asks))
        else:
            changes = [_changes(*pair) for pair in zip(before, (bids, asks), strict=True)]
            yield _message(depth, "delta", 1_000 + number, *changes)


def _told(levels: dict[int, float]) -> list[list[str]]:
    return [[f"{price / 10:.2f}", f"{size:.3f}"] for price, size in levels.items()]


def _changes(before: dict[int, float], after: dict[int, float]) -> list[list[str]]:
    changed = _told({price: size for price, size in after.items() if before.get(price) != size})
    return changed + [[f"{price / 10:.2f}", "0"] for price in before if price not in after]


def _message(depth: int, kind: str, update: int, bids: list[list[str]], asks: list[list[str]]) -> str:
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": update, "seq": update * 7}
    now = 1_700_000_000_000 + update * 20
    return json.dumps({"topic": f"orderbook.{depth}.BTCUSDT", "type": kind, "ts": now, "data": data, "cts": now})


def _costs(texts: list[str]) -> dict[str, float]:
    ways = {"pybit": _pybit, "codec_and_book": _codec, "feed": _feed}
    spent = {name: min(way(texts) for _ in range(3)) for name, way in ways.items()}
    figures = {f"{name}_us": round(spent[name] / len(texts) * 1e6, 1) for name in ways}
    figures["updates_per_cpu_second"] = round(len(texts) / spent["feed"])
    return figures | {"pybit_to_codec_and_book": round(spent["pybit"] / spent["codec_and_book"], 1)}


def _pybit(texts: list[str]) -> float:
    manager = object.__new__(_V5WebSocketManager)  # it would connect
    manager.data = {}
    manager.callback = manager._handle_incoming_message
    heard: list[Any] = []
    manager.callback_directory = {json.loads(texts[0])["topic"]: lambda message: heard.append(message["data"]["u"])}
    begin = time.process_time()
    for text in texts:
        manager._on_message(text)
    spent = time.process_time() - begin
    assert len(heard) == len(texts)
    return spent


def _codec(texts: list[str]) -> float:
    """Bytes to a book that is in order, and its best prices."""
    book = LiveBook("btcusdt", 1000)
    begin = time.process_time()
    for text in texts:
        frame = read_frame(text)
        assert isinstance(frame, Topic)
        book.take(frame.message)
        book.quote()
    return time.process_time() - begin


def _feed(texts: list[str]) -> float:
    """Bytes to the event that the daemon gets: checked, watched, and whole, every single one."""
    depth = int(json.loads(texts[0])["topic"].split(".")[1])
    market = Market(BTC, Sieve(BTC, 0.1), Sieve(BTC, 0.1), {}, {depth: LiveBook("btcusdt", depth)}, 0.0)
    outbox = Outbox()
    now = (time.monotonic(), time.time_ns())
    watch = Watch({f"orderbook.{depth}.BTCUSDT": 8.0})
    quarantine = Quarantine()
    listener = Listener({"BTCUSDT": market}.get, outbox, quarantine, watch, lambda *_: None, lambda: now)

    async def play() -> float:
        begin = time.process_time()
        for text in texts:
            frame = read_frame(text)
            assert isinstance(frame, Topic)
            listener.hear(frame)
            await outbox.get()
        return time.process_time() - begin

    spent = asyncio.run(play())
    assert not quarantine.counts, quarantine.last
    return spent


# ---------------------------------------------------------------- ages


def _lag(folder: Path, speed: int) -> dict[str, float]:
    folder.mkdir(parents=True)
    with simulated_bybit("--speed", str(speed), "--truth", str(folder / "truth.jsonl")) as site:
        os.environ |= {"BYBIT_API_KEY": site["api_key"], "BYBIT_API_SECRET": site["api_secret"]}
        config = (
            site["config"].replace(', "btcusdt-spot"', "").replace("[feed.settings]", "[feed.settings]\ndepth = 50")
        )
        daemon = start_daemon(folder / "daemon", config + LIMITS)
        try:
            with SyncClient.connect(daemon.address) as client:
                return _watched(client, daemon.process.pid)
        finally:
            daemon.stop()


def _watched(client: SyncClient, pid: int) -> dict[str, float]:
    ages: list[float] = []
    updates: list[int] = []
    stream = client.market.stream_order_books(["btcusdt"], depth=50)
    threading.Timer(SECONDS, stream.close).start()
    begin, used = time.monotonic(), cpu_of(pid)
    for book in stream:
        if book.usable:
            ages.append(time.time() - book.book_time.timestamp())
            updates.append(book.update_id)
    took = time.monotonic() - begin
    ages.sort()
    return {
        "updates_per_second": round((updates[-1] - updates[0]) / took),
        "books_per_second": round(len(updates) / took, 1),
        "age_p50_ms": round(ages[len(ages) // 2] * 1e3, 1),
        "age_p99_ms": round(ages[int(len(ages) * 0.99)] * 1e3, 1),
        "daemon_cpu_part": round((cpu_of(pid) - used) / took, 2),
    }
