"""Owns the measurement of the way to Bybit and back: what the daemon adds to pybit itself, over a simulated Bybit.

Everybody takes turns of a few orders, and what counts is the median, over the rounds, of the difference between the
daemon and pybit in the same round: a machine that is busy slows both. All clocks are this machine's monotonic one,
which every process shares; the simulator's truth log says when a request came in and when a trade was told.

Out: from the call of pybit, or from the daemon's receiving CreateOrder, until the request goes to the socket; and until
Bybit has it. In: from the frame with a trade, and from Bybit's telling it, until pybit's callback, or a gRPC client's
stream, has it. An order of the daemon's is on the disk before it leaves: `sync` says what the disk takes for that.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol

from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading
from websocket import WebSocketApp

from bench import staged
from bench.processes import Process, simulated_bybit, start_daemon
from quarterdeck.client import SyncClient
from quarterdeck.client.events import OrderFilled

ROUNDS, ORDERS = 40, 3

#: Rounds that nobody looks at: connections, caches and code are cold.
COLD = 4

#: Between orders, so that what follows from one is over. The daemon lets eight leave in a second.
PAUSE = 0.03

ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.001"}

SCENE = """
symbols = ["btcusdt"]
limits = false
""" + "".join(
    f"""
[[accounts]]
api_key = "key-of-{name}"
api_secret = "secret-of-{name}"
user_id = {number}
balances = {{ USDT = "100000000" }}
"""
    for number, name in enumerate(("pybit", "rest", "websocket"), 1)
)

CONFIG = """
mode = "testnet"
[exchange]
plugin = "bybit"
[exchange.settings]
environment = "testnet"
symbols = ["btcusdt"]
orders = "{way}"
credentials = "env:BENCH_{way}"
simulator = {{ rest = "{rest}", private = "{sockets}", public = "{sockets}" }}
[feed]
plugin = "bybit"
[feed.settings]
symbols = ["btcusdt"]
simulator = {{ rest = "{rest}", private = "{sockets}", public = "{sockets}" }}
"""

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


class Trader(Protocol):
    """Somebody who buys."""

    begun: dict[str, int]
    """When it was asked to, by link id."""
    heard: dict[str, int]
    """When its trade was known."""

    def buy(self) -> str:
        """Buy a little; returns its link id."""


#: When the process last wrote to a socket of pybit's.
_sent: list[int] = []


def _note_sending(owner: type, method: str) -> None:
    original = getattr(owner, method)

    def noted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the method takes and gives
        _sent.append(time.monotonic_ns())
        return original(*args, **kwargs)

    setattr(owner, method, noted)


class Bare:
    """pybit alone. `sent`: when its request went to the socket; `framed`: when the frame with the trade came."""

    def __init__(self, name: str, site: Mapping[str, Any], *, by_socket: bool) -> None:
        base = site["sockets"]

        def redirect(kind: Any) -> Any:  # noqa: ANN401 - pybit has no types
            class Redirected(kind):  # type: ignore[misc]  # pybit has no types
                def _connect(self, url: str) -> None:
                    super()._connect(base + url[url.index("/v5/") :])

                def _on_message(self, message: str) -> None:
                    self.came = time.monotonic_ns()
                    if "subscribe" in message:
                        time.sleep(0.2)  # it notes what it asked for after asking: the answer must not be first
                    super()._on_message(message)

            return Redirected

        key = {"api_key": "key-of-pybit", "api_secret": "secret-of-pybit"}
        self.begun: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.framed: dict[str, int] = {}
        self.heard: dict[str, int] = {}
        self._links = (f"{name}-{number}" for number in itertools.count())
        self._name = name
        self._stream = redirect(WebSocket)(testnet=True, channel_type="private", **key)
        self._stream.execution_stream(callback=self._hear)
        self._socket: Any = None
        if by_socket:
            self._socket = redirect(WebSocketTrading)(testnet=True, **key)
            logging.getLogger("pybit").setLevel(logging.ERROR)  # an answer may overtake its being waited for
            self._place: Callable[..., Any] = lambda **order: self._socket.place_order(lambda _: None, **order)
        else:
            http = HTTP(testnet=True, **key)
            http.endpoint = site["rest"]
            self._place = http.place_order

    def _hear(self, message: dict[str, Any]) -> None:
        now = time.monotonic_ns()
        for row in message["data"]:
            self.heard.setdefault(row["orderLinkId"], now)
            self.framed.setdefault(row["orderLinkId"], self._stream.came)

    def close(self) -> None:
        """Hang up."""
        for socket in (self._stream, self._socket):
            if socket is not None:
                socket.exit()

    def buy(self) -> str:
        """Buy a little."""
        link = next(self._links)
        _sent.clear()
        self.begun[link] = time.monotonic_ns()
        self._place(**ORDER, orderLinkId=link)
        self.sent[link] = _sent[0]
        return link


class Ours:
    """A client of a daemon."""

    def __init__(self, client: SyncClient) -> None:
        self.begun: dict[str, int] = {}
        self.heard: dict[str, int] = {}
        self._client = client
        self._links: dict[str, str] = {}
        after = client.system.status().head_sequence
        threading.Thread(target=self._listen, args=(after,), daemon=True).start()

    def _listen(self, after: int) -> None:
        with suppress(ValueError), self._client.events.stream(after) as events:
            for event in events:
                if isinstance(event.body, OrderFilled):
                    now = time.monotonic_ns()
                    self.heard.setdefault(event.body.fill.order.rpartition("/")[2], now)

    def buy(self) -> str:
        """Buy a little."""
        begun = time.monotonic_ns()
        order = self._client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity="0.001").order
        self.begun[order.id] = begun
        self._links[order.id] = order.link_id
        return order.id

    def links(self, orders: Sequence[str]) -> list[str]:
        """Their link ids."""
        return [self._links[order] for order in orders]

    def named(self, times: Mapping[str, int]) -> dict[str, int]:
        """The same by link id."""
        return {self._links[order]: at for order, at in times.items() if order in self._links}


def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure both ways; milliseconds."""
    folder.mkdir(parents=True)
    _note_sending(HTTPConnection, "send")
    _note_sending(WebSocketApp, "send")
    sync = _sync(folder)
    truth = folder / "truth.jsonl"
    turns: dict[str, list[list[str]]] = {}
    cpu: dict[str, float] = {}
    with ExitStack() as stack:
        scene = folder / "scene.toml"
        scene.write_text(SCENE)
        site = stack.enter_context(simulated_bybit("--truth", str(truth), scene=scene))
        bare = {f"pybit {way}": Bare(way, site, by_socket=way == "websocket") for way in ("rest", "websocket")}
        daemons = {way: stack.enter_context(_daemon(folder, way, site)) for way in ("rest", "websocket")}
        clients = {way: stack.enter_context(SyncClient.connect(one.address)) for way, one in daemons.items()}
        ours = {way: Ours(client) for way, client in clients.items()}
        traders: dict[str, Trader] = bare | {f"daemon {way}": each for way, each in ours.items()}
        say(f"Bybit: {ROUNDS} rounds of {ORDERS} orders each by {', '.join(traders)}")
        turns = _take_turns(traders, daemons, cpu)
        for each in bare.values():
            each.close()
    came, told = _truth(truth)
    figures: dict[str, Any] = {}
    for way in daemons:
        pybit, client, noted = bare[f"pybit {way}"], ours[way], _Notes(folder / way / "marks.json")
        theirs, mine = turns[f"pybit {way}"], [client.links(turn) for turn in turns[f"daemon {way}"]]
        heard = client.named(client.heard)
        spans = {
            "out": (_spans(theirs, pybit.begun, pybit.sent), _spans(mine, noted.received, noted.sent)),
            "out_until_there": (_spans(theirs, pybit.begun, came), _spans(mine, noted.received, came)),
            "in": (_spans(theirs, pybit.framed, pybit.heard), _spans(mine, noted.framed, heard)),
            "in_since_told": (_spans(theirs, told, pybit.heard), _spans(mine, told, heard)),
        }
        for name, (without, within) in spans.items():
            figures |= _summary(f"{way}_{name}_pybit", without) | _summary(f"{way}_{name}_daemon", within)
            figures[f"{way}_{name}_added_p50_ms"] = _added(within, without)
        figures |= {f"{way}_{name}": value for name, value in noted.stations().items()}
        figures[f"{way}_cpu_ms_an_order"] = round(cpu[way] * 1e3 / (ROUNDS * ORDERS), 2)
    figures["sync_p50_ms"] = round(sync, 2)
    return figures


def _take_turns(
    traders: Mapping[str, Trader], daemons: Mapping[str, Process], cpu: dict[str, float]
) -> dict[str, list[list[str]]]:
    """Everybody buys a few times, again and again, each round in another order; returns who bought what, by round."""
    turns: dict[str, list[list[str]]] = {name: [] for name in traders}
    names = list(traders)
    before: dict[str, float] = {}
    for round_number in range(COLD + ROUNDS):
        if round_number == COLD:
            before = {way: _cpu(one) for way, one in daemons.items()}
        began = time.monotonic()
        for place in range(len(names)):
            name = names[(round_number + place) % len(names)]
            bought = [_buy(traders[name]) for _ in range(ORDERS)]
            if round_number >= COLD:
                turns[name].append(bought)
        time.sleep(max(0.0, began + 0.7 - time.monotonic()))  # what the daemon lets leave in a second is not to be met
    cpu |= {way: _cpu(one) - before[way] for way, one in daemons.items()}
    return turns


def _buy(trader: Trader) -> str:
    link = trader.buy()
    end = time.monotonic() + 10
    while link not in trader.heard and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(PAUSE)
    return link


@contextmanager
def _daemon(folder: Path, way: str, site: Mapping[str, Any]) -> Iterator[Process]:
    os.environ |= {f"BENCH_{way}_API_KEY": f"key-of-{way}", f"BENCH_{way}_API_SECRET": f"secret-of-{way}"}
    config = CONFIG.format(way=way, rest=site["rest"], sockets=site["sockets"]) + LIMITS
    marks = folder / way / "marks.json"
    daemon = start_daemon(folder / way, config, [sys.executable, staged.__file__, str(marks)])
    try:
        yield daemon
    finally:
        daemon.stop()


def _cpu(process: Process) -> float:
    """Seconds of CPU a process has used."""
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _sync(folder: Path) -> float:
    """Median milliseconds that this disk takes for a page: part of every order that is durable before it leaves."""
    spans: list[float] = []
    with (folder / "page").open("wb", buffering=0) as page:
        for _ in range(100):
            page.write(b"x" * 4096)
            begun = time.monotonic_ns()
            os.fdatasync(page.fileno())
            spans.append((time.monotonic_ns() - begun) / 1e6)
            time.sleep(0.005)
    return statistics.median(spans)


# ---------------------------------------------------------------- what came of it


def _truth(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """When each order came in, and when its trade was told."""
    came: dict[str, int] = {}
    told: dict[str, int] = {}
    for row in map(json.loads, path.read_text().splitlines()):
        if row["kind"] == "request" and row["path"] == "/v5/order/create":
            came[json.loads(row["body"])["orderLinkId"]] = row["at"]
        elif row["kind"] == "operation":
            came[row["message"]["args"][0]["orderLinkId"]] = row["at"]
        elif row["kind"] == "execution":
            told.setdefault(row["row"]["orderLinkId"], row["at"])
    return came, told


class _Notes:
    """What a daemon noted of its orders: when it received them, sent them, and got the frame with their trade."""

    def __init__(self, path: Path) -> None:
        self.received: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.framed: dict[str, int] = {}
        self._durable: dict[str, int] = {}
        self._filled: dict[str, int] = {}
        marks = [(station, at) for station, at in json.loads(path.read_text())]
        starts = [place for place, (station, _) in enumerate(marks) if station == "received"]
        for start, end in zip(starts, [*starts[1:], len(marks)], strict=True):
            self._take(marks[start:end])

    def _take(self, marks: list[tuple[str, int]]) -> None:
        """The notes from one order to the next."""
        link = next((station.removeprefix("asked ") for station, _ in marks if station.startswith("asked ")), "")
        if not link:
            return
        asked = next(at for station, at in marks if station.startswith("asked "))
        self.received[link] = marks[0][1]
        for station, at in marks:
            if station == "socket" and at > asked:
                self.sent.setdefault(link, at)
            elif station.startswith("durable "):
                if at <= asked:
                    self._durable[link] = at
                elif "OrderFilled" in station:
                    self._filled.setdefault(link, at)
            elif station == "heard execution":
                self.framed.setdefault(link, max(t for s, t in marks if s == "frame private" and t <= at))

    def stations(self) -> dict[str, float]:
        """Median milliseconds until an order, and its trade, are durable."""
        found: dict[str, float] = {}
        for way, begins, ends in (("out", self.received, self._durable), ("in", self.framed, self._filled)):
            spans = [(ends[link] - at) / 1e6 for link, at in begins.items() if link in ends]
            found[f"{way}_until_durable_ms"] = round(statistics.median(spans), 2)
        return found


def _spans(turns: list[list[str]], begins: Mapping[str, int], ends: Mapping[str, int]) -> list[list[float]]:
    """Milliseconds from begin to end, by round."""
    return [[(ends[link] - begins[link]) / 1e6 for link in turn if link in begins and link in ends] for turn in turns]


def _summary(name: str, rounds: list[list[float]]) -> dict[str, float]:
    spans = sorted(span for turn in rounds for span in turn)
    return {
        f"{name}_p50_ms": round(statistics.median(spans), 2),
        f"{name}_p99_ms": round(spans[int(len(spans) * 0.99)], 2),
    }


def _added(ours: list[list[float]], bare: list[list[float]]) -> float:
    """The median of what the daemon took longer than pybit in the same round."""
    pairs = zip(ours, bare, strict=True)
    differences = [statistics.median(mine) - statistics.median(theirs) for mine, theirs in pairs if mine and theirs]
    return round(statistics.median(differences), 2)
