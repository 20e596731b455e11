"""Two daemons on one journal: one trades, the other waits, takes over when it has to, and never both."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from core.tests.daemon.journal.outside import outside
from quarterdeck.client import SyncClient, Unavailable
from quarterdeck.v1 import system_pb2, system_service_pb2, system_service_pb2_grpc
from tests.e2e.process import DaemonProcess
from tests.e2e.test_crash import CONFIG, Trader, check, journal_of

State = system_pb2.Status.State


class Pair:
    """A leader and its standby, each in a folder of its own, on one journal."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        config = CONFIG.replace('url = "sqlite:///journal.db"', f'url = "{url}"\nlease = "2s"\nstandby = true')
        self.daemons = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            self.daemons.append(DaemonProcess(folder / name, config))
        self.leader, self.standby = self.daemons
        self.leader.start()
        self.standby.start()

    def end(self) -> None:
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                os.kill(daemon.process.pid, signal.SIGCONT)
                daemon.kill()


@pytest.fixture
def pair(tmp_path: Path, journal_url: str) -> Iterator[Pair]:
    pair = Pair(tmp_path, journal_url.replace("/journal.db", "/shared.db"))
    yield pair
    pair.end()


on_postgresql = pytest.mark.parametrize("journal_url", ["postgresql"], indirect=True)


def status(daemon: DaemonProcess) -> system_pb2.Status:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = system_service_pb2_grpc.SystemServiceStub(channel)
        return stub.GetStatus(system_service_pb2.GetStatusRequest(), timeout=5, wait_for_ready=True).status


def health(daemon: DaemonProcess) -> int:
    with grpc.insecure_channel(daemon.address) as channel:
        check: Any = health_pb2_grpc.HealthStub(channel)
        return int(check.Check(health_pb2.HealthCheckRequest(), timeout=5).status)


def within(seconds: float, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def leads(daemon: DaemonProcess) -> bool:
    try:
        return status(daemon).state == State.STATE_READY
    except grpc.RpcError:
        return False


def test_a_standby_says_so_and_takes_over_when_the_leader_is_killed(pair: Pair) -> None:
    assert status(pair.leader).state == State.STATE_READY
    waiting = status(pair.standby)
    assert waiting.state == State.STATE_FENCED
    assert f"process {pair.leader.process.pid}" in waiting.reasons[0]
    assert health(pair.standby) == health_pb2.HealthCheckResponse.NOT_SERVING
    with SyncClient.connect(pair.standby.address) as client, pytest.raises(Unavailable, match="standby"):
        list(client.positions.list())

    trader = Trader(pair.leader.address, "before")
    trader.start()
    time.sleep(0.5)
    pair.leader.kill()
    trader.ended.set()
    trader.join(30)
    within(30, lambda: leads(pair.standby))
    assert health(pair.standby) == health_pb2.HealthCheckResponse.SERVING
    trader = Trader(pair.standby.address, "after")
    trader.start()
    within(10, lambda: len(trader.confirmed) > 3)
    trader.ended.set()
    trader.join(30)
    pair.standby.kill()
    events, _ = journal_of(pair.standby)
    check(events)


def test_a_leader_that_stops_in_order_hands_over_at_once(pair: Pair) -> None:
    assert pair.leader.stop() == 0
    began = time.monotonic()
    within(30, lambda: leads(pair.standby))
    assert "waiting_out" not in pair.standby.log.read_text()
    assert time.monotonic() - began < 20


@on_postgresql
def test_a_leader_that_stood_still_and_was_replaced_sends_nothing_any_more(pair: Pair) -> None:
    """Its process is stopped, its line to the database is cut as by a network that broke, and then it wakes up."""
    trader = Trader(pair.leader.address, "before")
    trader.start()
    within(10, lambda: len(trader.confirmed) > 3)
    os.kill(pair.leader.process.pid, signal.SIGSTOP)
    with outside(pair.url) as connection:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
        connection.exec_driver_sql(ended, (f"quarterdeck {pair.leader.process.pid} %",))
    within(30, lambda: leads(pair.standby))
    os.kill(pair.leader.process.pid, signal.SIGCONT)
    assert pair.leader.wait() == 3
    assert "has taken the journal" in pair.leader.log.read_text()
    trader.ended.set()
    trader.join(30)
    assert status(pair.standby).state == State.STATE_READY
    pair.standby.kill()
    events, _ = journal_of(pair.standby)
    check(events)
    prepared = {getattr(one.event, "order_id", "") for one in events if type(one.event).__name__ == "OrderPrepared"}
    assert prepared.issuperset(trader.confirmed), "what was confirmed is lost"


def test_without_standby_a_second_daemon_is_refused_at_once(tmp_path: Path, journal_url: str) -> None:
    config = CONFIG.replace("sqlite:///journal.db", journal_url)
    first, second = DaemonProcess(tmp_path, config), DaemonProcess(tmp_path, config)
    second.log = tmp_path / "second.log"
    first.start()
    try:
        second.launch()
        assert second.wait() == 1
        text = " ".join(second.log.read_text().split())
        assert f"process {first.process.pid}" in text
        assert "is using th" in text
    finally:
        first.kill()
