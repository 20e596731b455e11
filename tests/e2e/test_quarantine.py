"""A daemon that finds its journal damaged shows what is intact, refuses everything else, and writes nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from quarterdeck.client import QuarterdeckError, SyncClient
from tests.e2e.process import DaemonProcess

CONFIG = """\
mode = "paper"
[journal]
url = "sqlite:///journal.db"
anchor_file = "anchor.jsonl"
[exchange]
plugin = "paper"
[feed]
plugin = "synthetic"
[feed.settings]
seed = 6
speed = 20
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that has placed three orders and was stopped in order."""
    process = DaemonProcess(tmp_path, CONFIG)
    process.start()
    with SyncClient.connect(process.address) as client:
        price = next(client.market.stream_quotes()).bid
        for number in (1, 2, 3):
            client.orders.create(
                order_id=f"order-{number}",
                instrument="btcusdt",
                side="BUY",
                type="LIMIT",
                quantity="0.001",
                limit_price=str(round(price * 0.97)),
                stop_loss=str(round(price * 0.95)),
            )
    assert process.stop() == 0
    yield process
    process.kill()


def edit(daemon: DaemonProcess, statement: str) -> None:
    with closing(sqlite3.connect(daemon.folder / "journal.db")) as connection:
        connection.execute(statement)
        connection.commit()


def prepared(daemon: DaemonProcess) -> list[int]:
    """Where the orders were recorded."""
    with closing(sqlite3.connect(daemon.folder / "journal.db")) as connection:
        return [row[0] for row in connection.execute("SELECT sequence FROM event WHERE type = 'OrderPrepared'")]


def everything(daemon: DaemonProcess) -> list[str]:
    """All there is in the journal, but whose it is now."""
    with closing(sqlite3.connect(daemon.folder / "journal.db")) as connection:
        return [line for line in connection.iterdump() if not line.startswith('INSERT INTO "lease"')]


def test_a_damaged_journal_is_shown_as_far_as_it_is_intact_and_left_alone(daemon: DaemonProcess) -> None:
    _, _, third = prepared(daemon)
    edit(daemon, f"UPDATE event SET body = zeroblob(9) WHERE sequence = {third}")
    # The last stop was in order and its head is signed, so a quick look has no reason to read what is before.
    (daemon.folder / "quarterdeck.toml").write_text(CONFIG.replace("[exchange]", 'check = "full"\n[exchange]', 1))
    before = everything(daemon)
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        status = client.system.status()
        assert status.state == "SAFE"
        assert status.head_sequence == third - 1
        assert f"event {third}: is not what was written" in status.reasons[1]
        assert "quarterdeck journal verify" in status.reasons[-1]
        assert [each.id for each in client.orders.list()] == ["order-2", "order-1"]
        assert client.orders.get("order-2").state == "OPEN"
        assert list(client.positions.list()) == []
        events = list(client.events.list(0))
        assert [each.sequence for each in events] == list(range(1, third))
        with pytest.raises(QuarterdeckError, match="the journal is damaged") as refused:
            client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity="0.001")
        assert refused.value.reason == "JOURNAL_DAMAGED"
        assert refused.value.metadata["headSequence"] == str(third - 1)
        with pytest.raises(QuarterdeckError, match="the journal is damaged"):
            client.risk.engage_kill_switch("in doubt")
        with pytest.raises(QuarterdeckError, match="the journal is damaged"):
            client.orders.cancel("order-1")
    assert daemon.stop() == 0
    assert everything(daemon) == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM event WHERE sequence = (SELECT max(sequence) FROM event)", "signed_head"),
        ("UPDATE event SET type = 'X' WHERE sequence = (SELECT max(sequence) FROM event)", "event"),
        ("UPDATE snapshot SET body = replace(body, '0', '1')", "snapshot"),
        ("UPDATE projection_cursor SET sequence = 100000", "projection_cursor"),
    ],
)
def test_the_quick_look_of_every_start_finds_what_it_would_build_on(
    daemon: DaemonProcess, damage: str, said: str
) -> None:
    edit(daemon, damage)
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        status = client.system.status()
        assert (status.state, said in status.reasons[1]) == ("SAFE", True), status.reasons


def test_a_journal_whose_file_is_torn_is_shown_as_far_as_it_can_be_read(daemon: DaemonProcess) -> None:
    path = daemon.folder / "journal.db"
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        for _ in range(20):  # a longer journal, so that its end is a page of its own
            client.orders.amend("order-1", quantity="0.002")
            client.orders.amend("order-1", quantity="0.001")
    assert daemon.stop() == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        last = connection.execute(
            "SELECT max(pageno) FROM dbstat WHERE name = 'event' AND pagetype = 'leaf'"
        ).fetchone()[0]
    with path.open("r+b") as file:
        file.seek((last - 1) * 4096)
        file.write(b"\xff" * 4096)
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        status = client.system.status()
        assert status.state == "SAFE"
        assert any("malformed" in reason for reason in status.reasons), status.reasons
        assert [each.sequence for each in client.events.list(0)] == list(range(1, status.head_sequence + 1))
        assert status.head_sequence > 0


def test_an_older_copy_put_back_is_known_by_the_anchor(daemon: DaemonProcess) -> None:
    path = daemon.folder / "journal.db"
    older = path.read_bytes()
    daemon.start()
    time.sleep(0.5)
    assert daemon.stop() == 0
    path.write_bytes(older)
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        status = client.system.status()
        assert status.state == "SAFE"
        assert "anchor" in status.reasons[1]
        assert "were there" in status.reasons[1]
        assert len(list(client.orders.list())) == 3
    daemon.stop()
    (daemon.folder / "anchor.jsonl").rename(daemon.folder / "anchor.old")
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        assert client.system.status().state == "READY"


def test_a_write_ahead_log_lost_after_a_crash_is_known_by_the_anchor(daemon: DaemonProcess) -> None:
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        client.orders.cancel("order-1")
    daemon.kill()
    # SQLite takes the end of what is left for the end of the log, so inside of the journal nothing tells of it.
    (daemon.folder / "journal.db-wal").write_bytes(b"")
    daemon.start()
    with SyncClient.connect(daemon.address) as client:
        status = client.system.status()
        assert status.state == "SAFE"
        assert "were there" in status.reasons[1]
