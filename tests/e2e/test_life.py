"""The life of a real daemon process: how it starts without its venue, what it does when it stops, who is told."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quarterdeck.client import Event, Options, QuarterdeckError, SyncClient, Unavailable, events
from quarterdeck.daemon.app import FAILED, OVERDUE, STOPPED, UNFINISHED
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.keeper import Keeper
from quarterdeck.domain.order import OrderState
from quarterdeck.engine.state import State
from tests.e2e import moody
from tests.e2e.plugins import install
from tests.e2e.process import PATIENCE, DaemonProcess

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

CONFIG = """\
mode = "paper"
[daemon]
on_stop = "{policy}"
stop_within = "{within}"
[journal]
url = "sqlite:///journal.db"
[exchange]
plugin = "moody"
[feed]
plugin = "synthetic"
[feed.settings]
speed = 20
[[risk]]
plugin = "limits"
[risk.settings]
max_daily_loss = 1
max_drawdown = 1
max_position_risk = 1
[[bots]]
id = "sleeper"
strategy = "sleeper"
instrument = "btcusdt"
interval = "1m"
"""


@dataclass
class Life:
    """A daemon whose moods are files in its folder."""

    process: DaemonProcess

    def mood(self, name: str) -> Path:
        path = self.process.folder / name
        path.touch()
        return path

    def client(self) -> SyncClient:
        return SyncClient.connect(self.process.address, options=Options(timeout=5.0, attempt_timeout=5.0))

    def health(self) -> int:
        with grpc.insecure_channel(self.process.address) as channel:
            ask: Any = health_pb2_grpc.HealthStub(channel)
            status: int = ask.Check(health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True).status
            return status

    def found(self) -> State:
        """What the next start would find."""
        journal = Journal.open(f"sqlite:///{self.process.folder / 'journal.db'}", "main")
        with closing(journal):
            return Keeper(journal).load()


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Life]]:
    """Makes a daemon that finds the moody plugin."""
    site = tmp_path / "site"
    install(site, "quarterdeck-moody", Path(moody.__file__).read_text())
    monkeypatch.setenv("PYTHONPATH", str(site))
    made: list[DaemonProcess] = []

    def make(policy: str = "auto", within: str = "25s") -> Life:
        made.append(DaemonProcess(tmp_path, CONFIG.format(policy=policy, within=within)))
        return Life(made[-1])

    yield make
    for process in made:
        with suppress(AssertionError, ProcessLookupError):
            process.kill()


def until(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def trade(client: SyncClient) -> None:
    """Hold something with its stop, and have one entry work."""
    price = round(next(client.market.stream_quotes()).bid)
    held = client.orders.create(
        order_id="held", instrument="btcusdt", side="BUY", type="MARKET", quantity="0.01", stop_loss=str(price // 2)
    )
    limit = str(round(price * 0.97))
    client.orders.create(
        order_id="low",
        instrument="btcusdt",
        side="BUY",
        type="LIMIT",
        quantity="0.001",
        limit_price=limit,
        stop_loss=str(price // 2),
    )
    missing = {"held is filled", "low is open"}
    for event in client.events.stream(after=held.sequence):
        if isinstance(event.body, events.OrderFilled):
            missing.discard("held is filled")
        elif isinstance(event.body, events.OrderOpened) and event.body.order.endswith("/low"):
            missing.discard("low is open")
        if not missing:
            return


class Reader(threading.Thread):
    """Follows the events until the daemon ends the stream."""

    def __init__(self, life: Life) -> None:
        super().__init__(daemon=True)
        self._client = SyncClient.connect(life.process.address, options=Options(stream_patience=0.1))
        self.seen: list[Event] = []

    def run(self) -> None:
        with self._client, suppress(QuarterdeckError):
            self.seen.extend(self._client.events.stream(after=0))


@pytest.mark.parametrize(
    ("policy", "entry", "held"),
    [("auto", OrderState.OPEN, "0.01"), ("cancel", OrderState.CANCELED, "0.01"), ("flatten", OrderState.CANCELED, "0")],
)
def test_a_stop_does_as_its_policy_says_and_readers_see_its_end(
    live: Callable[..., Life], policy: str, entry: OrderState, held: str
) -> None:
    life = live(policy)
    life.process.start()
    reader = Reader(life)
    reader.start()
    with life.client() as client:
        trade(client)
    assert life.health() == SERVING
    assert life.process.stop() == STOPPED, life.process.log.read_text()
    reader.join(PATIENCE)
    state = life.found()
    low = state.order("low")
    assert low is not None
    assert low.state is entry
    assert str(state.positions["btcusdt"].quantity.normalize()) == held
    assert [each.role.value for each in state.open_orders.values() if each.parent_id] == ["STOP_LOSS"] * (held != "0")
    assert state.clean
    assert isinstance(reader.seen[-1].body, events.DaemonStopped)
    assert reader.seen[-1].sequence == state.sequence


def test_what_the_venue_does_not_answer_is_named(live: Callable[..., Life]) -> None:
    life = live("cancel", "3s")
    life.process.start()
    with life.client() as client:
        trade(client)
    life.mood("mute")
    assert life.process.stop() == UNFINISHED
    log = life.process.log.read_text()
    assert "left_unfinished" in log
    assert "order low: its cancel is not answered" in log
    assert life.found().clean


def test_asked_twice_it_ends_at_once_and_loses_nothing(live: Callable[..., Life]) -> None:
    life = live("cancel", "60s")
    life.process.start()
    with life.client() as client:
        trade(client)
    life.mood("mute")
    life.process.process.send_signal(signal.SIGTERM)
    with life.client() as client:
        until(lambda: client.system.status().state == "SAFE")
        with pytest.raises(Unavailable, match="stopping"):
            client.orders.cancel_all()
    assert life.health() == NOT_SERVING
    began = time.monotonic()
    assert life.process.stop() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 5
    assert not life.found().clean
    life.process.start()
    with life.client() as client:
        assert client.system.status().unclean_start
        assert client.orders.get("low").state == "OPEN"


def test_a_hanging_stop_ends_when_its_time_is_up(live: Callable[..., Life]) -> None:
    life = live(within="2s")
    life.process.start({"QUARTERDECK_FAILPOINTS": "stop.served=hang"})
    assert life.process.stop() == OVERDUE


def test_a_start_without_its_venue_waits_for_it_and_can_be_halted(live: Callable[..., Life], tmp_path: Path) -> None:
    life = live()
    away, unreachable = life.mood("away"), life.mood("unreachable")
    with Manager(tmp_path) as manager:
        life.process.launch(manager.environment())
        with life.client() as client:
            until(lambda: _answers(client) == "SAFE")
            assert life.health() == NOT_SERVING
            assert "nobody is there" in client.system.status().reasons[0]
            with pytest.raises(Unavailable) as caught:
                client.orders.create(order_id="a", instrument="btcusdt", side="BUY", type="MARKET", quantity="0.01")
            assert caught.value.reason == "NOT_READY"
            away.unlink()
            until(lambda: any("the line is dead" in each for each in client.system.status().reasons))
            client.risk.engage_kill_switch(reason="just in case")
            assert client.system.status().state == "KILLED"
            unreachable.unlink()
            until(lambda: life.health() == SERVING)
            client.risk.release_kill_switch(reason="it is back")
            assert client.system.status().state == "READY"
        until(lambda: "STATUS=READY" in manager.said())
        assert life.process.stop() == STOPPED
        said = manager.said()
        assert said.count("READY=1") == 1
        assert said.index("READY=1") < said.index("STATUS=READY") < said.index("STOPPING=1")
        assert "nobody is there" in next(each for each in said if each.startswith("STATUS=SAFE"))


def test_a_venue_that_calls_the_configuration_wrong_ends_the_start(live: Callable[..., Life]) -> None:
    life = live()
    away = life.mood("away")
    life.process.launch()
    with life.client() as client:
        until(lambda: _answers(client) == "SAFE")
    life.mood("wrong")
    away.unlink()
    assert life.process.wait() == 1
    assert "no such account" in life.process.log.read_text()


def test_a_hanging_loop_is_not_told_to_live(live: Callable[..., Life], tmp_path: Path) -> None:
    life = live()
    with Manager(tmp_path) as manager:
        life.process.start(manager.environment(watchdog=0.6))
        until(lambda: manager.said().count("WATCHDOG=1") >= 3)
        hang = life.mood("hang")
        until(manager.is_silent)
        hang.unlink()
        until(lambda: not manager.is_silent())
    assert life.process.stop() == STOPPED


def test_a_core_that_breaks_ends_with_another_code(live: Callable[..., Life]) -> None:
    life = live()
    life.process.start({"QUARTERDECK_FAILPOINTS": "journal.commit=raise@20"})
    with life.client() as client, suppress(QuarterdeckError):
        while True:
            client.risk.engage_kill_switch(reason="one more")
            client.risk.release_kill_switch(reason="commit")
    assert life.process.wait() == FAILED


def _answers(client: SyncClient) -> str:
    try:
        return client.system.status().state
    except QuarterdeckError:
        return ""


class Manager:
    """A service manager that only listens."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.setblocking(False)
        self._said: list[str] = []
        self._heard = time.monotonic()

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def environment(self, watchdog: float = 0.0) -> dict[str, str]:
        """What it gives a process to know it by."""
        watched = {"WATCHDOG_USEC": str(round(watchdog * 1e6))} if watchdog else {}
        return {"NOTIFY_SOCKET": str(self._path), **watched}

    def said(self) -> list[str]:
        """Every word so far, in order."""
        with suppress(BlockingIOError):
            while True:
                self._said += self._socket.recv(4096).decode().split("\n")
                self._heard = time.monotonic()
        return self._said

    def is_silent(self) -> bool:
        """Whether nothing was said for two seconds."""
        self.said()
        return time.monotonic() - self._heard > 2.0
