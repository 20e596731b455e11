"""F07, F36, F46 to F48: the disk is full, a sync fails, the database is away or locked, the daemon is frozen."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from conftest import new_postgresql_server
from core.tests.daemon.journal.test_reserve import fill, small_disk
from quarterdeck.client import Options, SyncClient
from quarterdeck.daemon.app import FAILED
from quarterdeck.engine.events import OrderPrepared
from tests.faults import invariants
from tests.faults.conftest import IMPATIENT, confirm, rest, wait_for
from tests.faults.sweep import Forked

__all__ = ["small_disk"]

pytestmark = pytest.mark.slow


def check(daemon: Forked, confirmed: Sequence[str]) -> None:
    """The journal of a daemon that has ended is whole, and has every order that was confirmed."""
    told = invariants.read(daemon.url)
    invariants.check(told)
    prepared = {one.event.order_id for one in told.events if isinstance(one.event, OrderPrepared)}
    assert prepared.issuperset(confirmed), f"confirmed and lost: {set(confirmed) - prepared}"


# ---------------------------------------------------------------- F46: no space


def test_with_a_full_disk_only_risk_is_taken_off(small_disk: Path, daemons: Callable[[Path, str], Forked]) -> None:
    daemon = daemons(small_disk, f"sqlite:///{small_disk / 'journal.db'}")
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        client.orders.create(order_id="held", instrument="btcusdt", side="BUY", type="MARKET", quantity="0.01")
        confirmed, _ = confirm(client, "before", 20)
        filler = fill(small_disk, 32 << 10)
        more, met = confirm(client, "during", 2_000)
        assert met is not None, "the disk never got full"
        assert "DISK" in str(met), met
        assert "DISK" in " ".join(client.system.status().reasons)
        for order_id in confirmed:
            client.orders.cancel(order_id)
        assert [one.quantity for one in client.positions.list()] == [Decimal("0.01")]
        client.risk.engage_kill_switch("no space", mode="FLATTEN")
        wait_for(lambda: not [one for one in client.positions.list() if one.quantity])
        assert not list(client.orders.list(open_only=True))
        filler.unlink()
        client.risk.release_kill_switch("space again")
        wait_for(lambda: "DISK" not in " ".join(client.system.status().reasons))
        rest(client, "after")
    assert daemon.stop() == 0
    check(daemon, [*confirmed, *more, "after", "held"])


def test_with_nothing_left_it_ends_and_has_what_it_confirmed(
    small_disk: Path, daemons: Callable[[Path, str], Forked]
) -> None:
    daemon = daemons(small_disk, f"sqlite:///{small_disk / 'journal.db'}")
    config = small_disk / "quarterdeck.toml"
    config.write_text(config.read_text().replace("reserve_mib = 1", "reserve_mib = 0"))
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        filler = fill(small_disk, 256 << 10)
        confirmed, met = confirm(client, "order", 3_000)
        assert met is not None, "the disk never got full"
    assert daemon.wait() == FAILED
    assert confirmed
    filler.unlink()
    check(daemon, confirmed)
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        rest(client, "after")
        *others, last = [client.orders.get(order_id).state for order_id in confirmed]
        assert set(others) == {"OPEN"}
        assert last in ("OPEN", "ABSENT")  # it may have been on its way to a venue that ended with the daemon


# ---------------------------------------------------------------- F07: a sync that fails


@pytest.fixture
def strace(tmp_path: Path) -> Callable[[int, str], subprocess.Popen[bytes]]:
    """Has system calls of a running process fail, from now on."""
    path = shutil.which("strace")
    if path is None:
        pytest.skip("strace is not installed")
    said = tmp_path / "strace.log"

    def inject(pid: int, rule: str) -> subprocess.Popen[bytes]:
        calls = rule.partition(":")[0]
        with said.open("wb") as log:
            command = [path, "-f", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={rule}"]
            tracing = subprocess.Popen(command, stderr=log)
        while "attached" not in said.read_text():
            if tracing.poll() is not None:
                pytest.skip(f"strace may not attach: {said.read_text().strip()}")
            time.sleep(0.02)
        return tracing

    return inject


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_sync_that_fails_is_not_tried_again(
    error: str,
    tmp_path: Path,
    sqlite_url: str,
    daemons: Callable[[Path, str], Forked],
    strace: Callable[[int, str], subprocess.Popen[bytes]],
) -> None:
    daemon = daemons(tmp_path, sqlite_url)
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        confirmed, _ = confirm(client, "before", 10)
        tracing = strace(daemon.process.pid, f"fdatasync,fsync:error={error}")
        more, met = confirm(client, "during", 50)
        assert met is not None, "a sync that failed confirmed an order"
    assert daemon.wait() == FAILED
    tracing.wait(10)
    assert not more, f"confirmed without a sync: {more}"
    check(daemon, confirmed)
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        rest(client, "after")


# ---------------------------------------------------------------- F47, F48: the database is away, or somebody else's


def test_somebody_else_locks_the_journal(
    tmp_path: Path, sqlite_url: str, daemons: Callable[[Path, str], Forked]
) -> None:
    daemon = daemons(tmp_path, sqlite_url)
    daemon.start()
    confirmed: list[str] = []
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(4.0, other.execute, ["ROLLBACK"])
    ending.start()
    began = time.monotonic()
    patient = Options(timeout=30.0, attempt_timeout=20.0)
    with SyncClient.connect(daemon.address, options=patient) as client:
        rest(client, "waited")
        confirmed.append("waited")
        assert time.monotonic() - began > 2, "it did not wait for the lock: nothing was tested"
        rest(client, "after")
    ending.join()
    other.close()
    assert daemon.stop() == 0
    check(daemon, [*confirmed, "after"])


def test_the_database_is_stopped_and_comes_back(tmp_path: Path, daemons: Callable[[Path, str], Forked]) -> None:
    server = new_postgresql_server()
    try:
        daemon = daemons(tmp_path, f"{server.get_uri()}&schema=away")
        daemon.start()
        with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
            confirmed, _ = confirm(client, "before", 5)
            pids = postmasters(server)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            _, met = confirm(client, "during", 1)
            assert met is not None, "an order was confirmed by a database that stands still"
            client.system.status()  # answers in every state
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            wait_for(lambda: not confirm(client, f"after-{time.monotonic_ns()}", 1)[1], 30)
        assert daemon.stop() == 0
        check(daemon, confirmed)
    finally:
        server.cleanup()


def test_every_connection_to_the_database_is_cut(tmp_path: Path, daemons: Callable[[Path, str], Forked]) -> None:
    server = new_postgresql_server()
    try:
        daemon = daemons(tmp_path, f"{server.get_uri()}&schema=cut")
        daemon.start()
        confirmed: list[str] = []
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'quarterdeck%'"
        with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
            for attempt in range(5):
                some, _ = confirm(client, f"round-{attempt}", 5)
                confirmed += some
                server.psql(cut)
            wait_for(lambda: not confirm(client, f"after-{time.monotonic_ns()}", 1)[1], 30)
        assert daemon.stop() == 0
        assert confirmed
        check(daemon, confirmed)
    finally:
        server.cleanup()


def postmasters(server: object) -> list[int]:
    """The server's processes."""
    parent = int(Path(str(server.pgdata), "postmaster.pid").read_text().splitlines()[0])  # type: ignore[attr-defined]  # untyped
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *map(int, children)]


# ---------------------------------------------------------------- F36, F60b: frozen, and in company


def test_frozen_and_woken_it_goes_on(tmp_path: Path, journal_url: str, daemons: Callable[[Path, str], Forked]) -> None:
    daemon = daemons(tmp_path, journal_url)
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        confirmed, _ = confirm(client, "before", 5)
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        daemon.process.send_signal(signal.SIGCONT)
        more, met = confirm(client, "after", 5)
        assert met is None, met
    assert daemon.stop() == 0
    check(daemon, [*confirmed, *more])


def test_two_daemons_on_one_journal(tmp_path: Path, journal_url: str, daemons: Callable[[Path, str], Forked]) -> None:
    first = daemons(tmp_path, journal_url)
    first.start()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    second = daemons(elsewhere, journal_url)
    began = time.monotonic()
    second.launch()
    assert second.wait() == 1
    assert time.monotonic() - began < 5
    assert "is using" in second.log.read_text()
    with SyncClient.connect(first.address, options=IMPATIENT) as client:
        rest(client, "still")


def test_two_daemons_on_one_port(tmp_path: Path, sqlite_url: str, daemons: Callable[[Path, str], Forked]) -> None:
    first = daemons(tmp_path, sqlite_url)
    first.start()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    second = daemons(elsewhere, f"sqlite:///{elsewhere / 'journal.db'}")
    second.address = first.address
    second.launch()
    assert second.wait() == 1
    assert first.address in second.log.read_text()
