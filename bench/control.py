"""Owns the measurements of the control plane: reads, durable orders and streams, each beside its bare limit."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from bench.load import write_frames
from bench.processes import Process, bare_server, load, postgresql_server, start_daemon
from quarterdeck.v1 import (
    decimal_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    order_pb2,
    order_service_pb2,
    order_service_pb2_grpc,
    position_service_pb2,
    position_service_pb2_grpc,
)

ACCOUNT = "accounts/main"
ROUNDS = 3

#: Turns of bare server and daemon, and what each lasts: short, so that what else the machine does meets both.
TURNS = 12
SECONDS = 0.5

#: More than can be placed in all turns.
ORDERS = 60_000

IN_FLIGHT = (1, 8, 64)
READERS = (1, 10, 100)

#: Resting orders whose cancelling makes the events of the fan-out; each leads to a wish and an answer.
CANCELED = 500

READ = "/quarterdeck.v1.PositionService/ListPositions"
CREATE = "/quarterdeck.v1.OrderService/CreateOrder"
CANCEL_ALL = "/quarterdeck.v1.OrderService/CancelAllOrders"
STREAM = "/quarterdeck.v1.EventService/StreamEvents"

# Enough money, and so little risk an order, that a hundred thousand of them pass every rule. The market hardly moves.
CONFIG = """\
mode = "paper"
[journal]
url = "{journal}"
[exchange]
plugin = "paper"
[exchange.settings.balances]
USDT = "1000000000"
[feed]
plugin = "synthetic"
[feed.settings]
speed = 0.2
[sizing]
plugin = "speed-demon"
[sizing.settings]
max_ratio = "0.0000001"
min_ratio = "0.00000001"
[[risk]]
plugin = "limits"
[risk.settings]
max_entries_per_minute = "off"
price_band = "off"
[limits]
max_open_orders = 1000000
"""


def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `folder` is for what the servers write."""
    figures: dict[str, Any] = {}
    daemon = start_daemon(folder / "daemon", config("sqlite:///bench.db"))
    try:
        say("reads")
        figures["read"] = _reads(folder, daemon)
        say("durable orders")
        figures["submit"] = _submissions(folder, daemon, folder / "bare.db", folder / "plain.db")
        say("event streams")
        figures["fan_out"] = _fan_outs(folder, daemon)
    finally:
        daemon.kill()
    say("durable orders on PostgreSQL")
    with postgresql_server() as url:
        daemon = start_daemon(folder / "postgresql", config(f"{url}&schema=bench"))
        try:
            figures["submit_postgresql"] = _submissions(folder, daemon, url, url)
        finally:
            daemon.kill()
    return figures


def config(journal: str) -> str:
    """A daemon with its journal at a URL."""
    return CONFIG.replace("{journal}", journal)


def _reads(folder: Path, daemon: Process) -> list[dict[str, Any]]:
    request = position_service_pb2.ListPositionsRequest(parent=ACCOUNT).SerializeToString()
    requests = write_frames(folder / "read.frames", [request])
    figures = []
    with bare_server("echo") as bare:
        for in_flight in IN_FLIGHT:
            turns = _in_turns([(bare, "/bare.Bare/Echo"), (daemon, READ)], requests, in_flight)
            figures.append({"in_flight": in_flight} | _compared(turns, "bare"))
    return figures


def _submissions(folder: Path, daemon: Process, database: object, other: object) -> list[dict[str, Any]]:
    figures = []
    with bare_server("commit", database) as bare, bare_server("plain", other) as plain:
        for in_flight in IN_FLIGHT:
            orders = [_order(f"b{in_flight}-{number}").SerializeToString() for number in range(ORDERS)]
            requests = write_frames(folder / "submit.frames", orders)
            targets = [(bare, "/bare.Bare/Commit"), (plain, "/bare.Bare/Create"), (daemon, CREATE)]
            figures.append(
                {"in_flight": in_flight} | _compared(_in_turns(targets, requests, in_flight), "bare", "plain")
            )
            _cancel_all(daemon)
    return figures


def _fan_outs(folder: Path, daemon: Process) -> list[dict[str, Any]]:
    """Cancel what rests: each cancelled order is a wish and an answer, and every reader gets both."""
    start = write_frames(
        folder / "start.frames",
        [event_service_pb2.StreamEventsRequest(parent=ACCOUNT).SerializeToString()],
    )
    figures = []
    for readers in READERS:
        pairs = []
        for turn in range(ROUNDS):
            before = _place(daemon, CANCELED, f"f{readers}-{turn}")
            trigger = write_frames(folder / "trigger.frames", [_cancel_all_request().SerializeToString()])
            spec = {
                "kind": "fan_out",
                "requests": start,
                "trigger": trigger,
                "readers": readers,
                "messages": 2 * CANCELED,
                "settle": 0.5,
            }
            ours = _read_all(daemon, method=STREAM, trigger_method=CANCEL_ALL, greets=False, floor=60, **spec)
            frames = write_frames(folder / "events.frames", _events(daemon, before, 2 * CANCELED))
            with bare_server("stream", frames) as bare:
                limit = _read_all(
                    bare, method="/bare.Bare/Stream", trigger_method="/bare.Bare/Trigger", greets=True, floor=0, **spec
                )
            pairs.append((limit, ours))
        figures.append({"readers": readers} | _compared(pairs, "bare"))
    return figures


def _in_turns(servers: list[tuple[Process, str]], requests: Path, in_flight: int) -> list[list[dict[str, Any]]]:
    targets = [
        {"address": server.address, "pid": server.process.pid, "method": method, "requests": requests}
        for server, method in servers
    ]
    turns: list[list[dict[str, Any]]] = load(
        kind="call", targets=targets, turns=TURNS, seconds=SECONDS, in_flight=in_flight
    )
    return turns


def _read_all(server: Process, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON has it
    figures: dict[str, Any] = load(address=server.address, **spec)
    return figures


def _compared(turns: Sequence[Sequence[dict[str, Any]]], *limits: str) -> dict[str, Any]:
    """Medians of all sides, ours last, and beside each limit the medians of the turns' ratios."""
    names = [name for name in ("rate", "p50_ms", "p99_ms", "cpu_us") if name in turns[0][0]]
    figures: dict[str, Any] = {}
    for side, label in enumerate((*limits, "ours")):
        figures[label] = {name: round(median(turn[side][name] for turn in turns), 3) for name in names}
    figures["ratio"] = {
        label: {name: round(median(turn[-1][name] / turn[side][name] for turn in turns), 3) for name in names}
        for side, label in enumerate(limits)
    }
    return figures


def _order(order_id: str) -> order_service_pb2.CreateOrderRequest:
    """A limit order far below the market, sized from its stop; hardly two are alike, as in life."""
    limit = random.randint(57_500_0, 58_500_0)
    stop = limit - random.randint(500_0, 1_500_0)
    return order_service_pb2.CreateOrderRequest(
        parent=ACCOUNT,
        order_id=order_id,
        request_id=str(uuid.uuid4()),
        order=order_pb2.Order(
            instrument="instruments/btcusdt",
            side=order_pb2.Order.SIDE_BUY,
            type=order_pb2.Order.TYPE_LIMIT,
            limit_price=_price(limit),
            stop_loss=_price(stop),
        ),
    )


def _price(tenths: int) -> decimal_pb2.Decimal:
    return decimal_pb2.Decimal(value=f"{tenths // 10}.{tenths % 10}")


def _cancel_all_request() -> order_service_pb2.CancelAllOrdersRequest:
    return order_service_pb2.CancelAllOrdersRequest(parent=ACCOUNT, request_id=str(uuid.uuid4()))


def _cancel_all(daemon: Process) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        order_service_pb2_grpc.OrderServiceStub(channel).CancelAllOrders(_cancel_all_request())


def _place(daemon: Process, count: int, prefix: str) -> int:
    """Place orders that rest; returns the journal's head after them, once all of them work."""
    with grpc.insecure_channel(daemon.address) as channel:
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        for number in range(count):
            orders.CreateOrder(_order(f"{prefix}-{number}"))
        positions = position_service_pb2_grpc.PositionServiceStub(channel)
        answer = positions.ListPositions(position_service_pb2.ListPositionsRequest(parent=ACCOUNT))
    return answer.snapshot_sequence


def _events(daemon: Process, after: int, count: int) -> list[bytes]:
    """The next events after a sequence, as the stream sends them."""
    request = event_service_pb2.StreamEventsRequest(parent=ACCOUNT, after_sequence=after)
    frames = []
    with grpc.insecure_channel(daemon.address) as channel:
        stream = event_service_pb2_grpc.EventServiceStub(channel).StreamEvents(request)
        for message in stream:
            if message.HasField("envelope"):
                frames.append(message.SerializeToString())
            if len(frames) == count:
                break
        stream.cancel()
    return frames
