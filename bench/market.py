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

from bench.kill import CONFIG, KEYS
from bench.load import cpu_of
from bench.processes import start_daemon
from quarterdeck.client import SyncClient
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Quote
from quarterdeck_bybit_simulator import Member, Simulator, SimulatorSettings
from quarterdeck_bybit_simulator.threaded import RunningSimulator
from quarterdeck_exchange_bybit.codec.frames import Topic, read_frame
from quarterdeck_exchange_bybit.codec.orderbook import LiveBook
from quarterdeck_exchange_bybit.codec.row import Row
from quarterdeck_exchange_bybit.market.listener import Listener, Market
from quarterdeck_exchange_bybit.market.outbox import Outbox
from quarterdeck_exchange_bybit.market.quarantine import Quarantine
from quarterdeck_exchange_bybit.market.sieve import Sieve
from quarterdeck_exchange_bybit.market.watch import Watch

UPDATES = 5_000
DEPTHS = (1, 50, 200)

#: Levels that change in one update.
CHANGES = 8

#: Updates a second that the simulated Bybit tells of 50 levels; much more it can't send.
RATES = (100, 1_000, 3_000)
DEPTH, TOPIC = 50, "orderbook.50.BTCUSDT"
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
    return figures | _ages(folder, say)


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


class Teller:
    """Has a simulated Bybit tell order books: the same messages again and again, numbered and timed anew."""

    def __init__(self, running: RunningSimulator) -> None:
        self.update_id = 0
        self._running = running
        self._rows = [json.loads(text) for text in messages(DEPTH)]
        self._at = 0
        self._task: asyncio.Task[None] | None = None
        whole = running.simulator.snapshot

        def snapshot(category: str, topic: str) -> dict[str, Any] | None:
            """What a new reader hears first: the book of this moment."""
            return self._whole() if topic == TOPIC else whole(category, topic)

        running.simulator.snapshot = snapshot  # type: ignore[method-assign]  # it has no market of its own here

    def _whole(self) -> dict[str, Any]:
        book = LiveBook("btcusdt", DEPTH)
        for row in self._rows[: self._at + 1]:
            book.take(Row(row, "row"))
        shown = book.book()
        sides = {name: [[f"{price:.2f}", f"{size:.3f}"] for price, size in levels]
                 for name, levels in (("b", shown.bids), ("a", shown.asks))}  # fmt: skip
        return self._stamped("snapshot", {"s": "BTCUSDT", **sides})

    def _stamped(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        now = time.time_ns() // 1_000_000
        numbers = {"u": self.update_id + 1_000, "seq": self.update_id}
        return {"topic": TOPIC, "type": kind, "ts": now, "data": data | numbers, "cts": now}

    async def tell(self, rate: float) -> None:
        """Tell so many a second until cancelled."""
        told, begin = 0, time.monotonic()
        while True:
            due = int((time.monotonic() - begin) * rate)
            for _ in range(due - told):
                self._at = (self._at + 1) % len(self._rows)
                self.update_id += 1
                row = self._rows[self._at]
                self._running.simulator.publish(f"linear:{TOPIC}", self._stamped(row["type"], row["data"]), None)
            told = due
            await asyncio.sleep(0.005)

    def begin(self, rate: float) -> None:
        """Begin to tell, from now on so many a second."""

        def start() -> None:
            self._task = asyncio.get_running_loop().create_task(self.tell(rate))

        self.end()
        self._running.call(start)

    def end(self) -> None:
        """Tell no more."""
        if self._task is not None:
            self._running.call(self._task.cancel)


def _ages(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    os.environ |= KEYS
    member = Member(KEYS["BENCH_API_KEY"], KEYS["BENCH_API_SECRET"])
    figures: dict[str, Any] = {}
    with RunningSimulator(Simulator([BTC], SimulatorSettings(members=(member,)))) as running:
        running.call(lambda: running.simulator.show(Quote("btcusdt", time.time_ns(), 50_000.0, 1.0, 50_000.1, 1.0)))
        teller = Teller(running)
        site = {"rest": running.server.rest_url, "socket": running.server.socket_url}
        config = CONFIG.format(symbols='["btcusdt"]', **site).replace("history = 10", "history = 10\ndepth = 50")
        daemon = start_daemon(folder, config)
        try:
            with SyncClient.connect(daemon.address) as client:
                for rate in RATES:
                    say(f"market: {rate} updates a second by a simulated Bybit, to a client")
                    teller.begin(rate)
                    found = _watched(client, daemon.process.pid, teller)
                    figures |= {f"{name}_at_{rate}": value for name, value in found.items()}
                    teller.end()
        finally:
            daemon.stop()
    return figures


def _watched(client: SyncClient, pid: int, teller: Teller) -> dict[str, float]:
    ages: list[float] = []
    stream = client.market.stream_order_books(["btcusdt"], depth=DEPTH)
    threading.Timer(SECONDS, stream.close).start()
    begin, used, first, behind = time.monotonic(), cpu_of(pid), teller.update_id, 0
    for book in stream:
        if book.usable:
            ages.append(time.time() - book.book_time.timestamp())
            behind = teller.update_id + 1_000 - book.update_id
    took = time.monotonic() - begin
    ages.sort()
    return {
        "updates_per_second": round((teller.update_id - first) / took),
        "books_per_second": round(len(ages) / took, 1),
        "age_p50_ms": round(ages[len(ages) // 2] * 1e3, 1),
        "age_p99_ms": round(ages[int(len(ages) * 0.99)] * 1e3, 1),
        "behind_at_the_end": behind,
        "daemon_cpu_part": round((cpu_of(pid) - used) / took, 2),
    }
