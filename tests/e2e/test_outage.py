"""The journal's server goes away under a daemon that trades, and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc

from conftest import PostgresqlServer
from quarterdeck.client import SyncClient
from quarterdeck.v1 import system_pb2, system_service_pb2, system_service_pb2_grpc
from tests.e2e.process import DaemonProcess
from tests.e2e.test_crash import CONFIG, Trader, check, journal_of

State = system_pb2.Status.State


def test_a_server_that_goes_away_is_waited_for_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    server = PostgresqlServer()
    daemon = DaemonProcess(tmp_path, CONFIG.replace("sqlite:///journal.db", server.url))
    daemon.start()
    traders = []
    try:
        for number in range(2):
            trader = Trader(daemon.address, f"try{number}")
            traders.append(trader)
            trader.start()
            within(20, partial(busy, trader))
            server.stop()
            within(20, lambda: status(daemon).state == State.STATE_SAFE)
            (why,) = status(daemon).reasons
            assert why.startswith("JOURNAL: postgresql://")
            confirmed = len(trader.confirmed)
            time.sleep(0.5)
            assert len(trader.confirmed) == confirmed, "something was confirmed that is not durable"
            server.start()
            within(30, lambda: status(daemon).state == State.STATE_READY)
            trader.ended.set()
            trader.join(30)
        with SyncClient.connect(daemon.address) as client:
            assert client.risk.state().trading_state == "ACTIVE"
        assert daemon.stop() == 0
        events, _ = journal_of(daemon)
        check(events)
        prepared = {getattr(one.event, "order_id", "") for one in events}
        assert prepared.issuperset(each for trader in traders for each in trader.confirmed)
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
        server.close()


def busy(trader: Trader) -> bool:
    return len(trader.confirmed) > 3


def status(daemon: DaemonProcess) -> system_pb2.Status:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = system_service_pb2_grpc.SystemServiceStub(channel)
        return stub.GetStatus(system_service_pb2.GetStatusRequest(), timeout=5, wait_for_ready=True).status


def within(seconds: float, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)
