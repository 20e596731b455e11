"""F06, F08: killed inside the kill switch, started with an old copy of its journal."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from quarterdeck.client import QuarterdeckError, SyncClient
from quarterdeck.daemon.failpoints import ARM
from tests.e2e.process import PATIENCE
from tests.faults import invariants
from tests.faults.conftest import IMPATIENT, confirm, rest, wait_for
from tests.faults.sweep import SIGKILL, Forked

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("point", ["kill.latched", "cancel.before", "cancel.after"])
def test_killed_inside_the_kill_switch_it_is_halted_and_goes_on_canceling(
    point: str, tmp_path: Path, journal_url: str, daemons: Callable[[Path, str], Forked]
) -> None:
    daemon = daemons(tmp_path, journal_url)
    daemon.start({ARM: f"{point}=kill"})
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        confirmed, _ = confirm(client, "order", 4)
        with suppress(QuarterdeckError):  # the answer may be faster than the end
            client.risk.engage_kill_switch("the test")
    assert daemon.process.wait(PATIENCE) == SIGKILL
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        assert client.risk.state().trading_state == "HALTED"
        wait_for(lambda: {client.orders.get(order_id).state for order_id in confirmed} == {"CANCELED"})
        _, met = confirm(client, "after", 1)
        assert met is not None, "an order in spite of the kill switch"
    assert daemon.stop() == 0
    invariants.check(invariants.read(daemon.url))


def test_an_old_copy_of_the_journal(tmp_path: Path, sqlite_url: str, daemons: Callable[[Path, str], Forked]) -> None:
    daemon = daemons(tmp_path, sqlite_url)
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        before, _ = confirm(client, "before", 3)
    assert daemon.stop() == 0
    journal, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    shutil.copy(journal, copy)
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        confirm(client, "lost", 3)
    daemon.kill()
    for leftover in tmp_path.glob("journal.db-*"):
        leftover.unlink()
    shutil.copy(copy, journal)
    daemon.start()
    with SyncClient.connect(daemon.address, options=IMPATIENT) as client:
        assert {client.orders.get(order_id).state for order_id in before} == {"OPEN"}
        rest(client, "after")
    assert daemon.stop() == 0
    invariants.check(invariants.read(daemon.url))
