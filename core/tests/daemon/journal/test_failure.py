"""Failures: what was acknowledged survives anything, and after a write that failed nothing is believed any more."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from core.tests.daemon.journal.test_journal import Gate, entries
from quarterdeck.daemon.journal import Entry, Journal, JournalBroken, Snapshot, schema, sqlite

#: Appends batches for ever and says how far it is only once it is durable; now and then a derived write in between.
APPEND = """
import asyncio, sys
from quarterdeck.daemon.journal import Entry, Journal, Snapshot

async def main(url):
    journal = Journal.open(url, "main")
    number = journal.head
    async def append():
        nonlocal number
        while True:
            batch = [Entry(number + 1 + i, 1, "A", str(number + 1 + i).encode() * 50) for i in range(number % 7 + 1)]
            number = batch[-1].sequence
            await journal.append(batch)
            print(batch[-1].sequence, flush=True)
            if number % 5 == 0:
                journal.save_snapshot(Snapshot(number, "test", b"x" * 5000))
    await asyncio.gather(*(append() for _ in range(4)))

asyncio.run(main(sys.argv[1]))
"""


def test_a_killed_writer_loses_nothing_it_has_acknowledged(url: str) -> None:
    chance = random.Random(5)
    durable = 0
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", APPEND, url], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        child.kill()
        acknowledged = [int(line) for line in child.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        journal = Journal.open(url, "main")
        assert journal.head >= max(acknowledged, default=0)
        assert journal.head > durable
        durable = journal.head
        found = list(journal.iterate(0))
        assert [entry.sequence for entry in found] == list(range(1, durable + 1))
        assert all(entry.body == str(entry.sequence).encode() * 50 for entry in found)
        journal.close()


#: Has PostgreSQL say what it says when its disk is full, to a large entry.
FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: the disk is full' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON event FOR EACH ROW WHEN (length(NEW.body) > 1000)
EXECUTE FUNCTION full_disk()
"""


def fill_the_disk(journal: Journal) -> None:
    """From now on the database can grow by some twenty pages only."""

    def limit(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(FULL)
            return
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")

    journal.write(0, limit).result()


def test_a_full_disk_breaks_the_journal_for_good_and_leaves_no_half_batch(url: str) -> None:
    journal = Journal.open(url, "main", patience=0.2)
    journal.append_threadsafe(entries(1, 3)).result()
    fill_the_disk(journal)
    with pytest.raises(JournalBroken, match="full"):
        journal.append_threadsafe(entries(4, 100, b"x" * 4000)).result()
    assert journal.head == 3
    for _ in range(2):
        with pytest.raises(JournalBroken, match="full"):
            journal.append_threadsafe(entries(104))
        with pytest.raises(JournalBroken, match="full"):
            journal.write(3, lambda _: None)
    assert [entry.sequence for entry in journal.read(0, 1000)] == [1, 2, 3]
    journal.close()
    journal = Journal.open(url, "main")
    assert journal.head == 3
    journal.append_threadsafe(entries(4)).result()
    journal.close()


def test_everything_that_waited_for_the_failed_commit_fails_with_it(journal: Journal) -> None:
    fill_the_disk(journal)
    gate = Gate(journal)
    large = journal.append_threadsafe(entries(1, 100, b"x" * 4000))
    small = journal.append_threadsafe(entries(101))
    task = journal.write(101, lambda _: pytest.fail("ran after the failure"))
    gate.open()
    for each in (large, small, task):
        with pytest.raises(JournalBroken):
            each.result()
    assert journal.head == 0
    assert journal.read(0, 10) == []


async def test_whoever_awaits_hears_of_the_failure(journal: Journal) -> None:
    fill_the_disk(journal)
    with pytest.raises(JournalBroken, match="full"):
        await journal.append(entries(1, 100, b"x" * 4000))
    with pytest.raises(JournalBroken, match="full"):
        await journal.append(entries(1))


def test_an_entry_that_is_there_already_breaks_the_journal(journal: Journal) -> None:
    row = (2, 0, "main", "Forged", b"", b"")
    journal.write(0, lambda connection: connection.execute(insert(schema.event).values(row))).result()
    with pytest.raises(JournalBroken, match=r"(?i)unique"):
        journal.append_threadsafe(entries(1, 2)).result()
    assert [entry.type for entry in journal.read(0, 10)] == ["Forged"]


def fails(_connection: Connection) -> None:
    raise ZeroDivisionError("a bug")


def test_a_derived_write_that_fails_breaks_the_journal_and_leaves_nothing(url: str) -> None:
    def half(connection: Connection) -> None:
        connection.execute(insert(schema.snapshot).values((1, "half", b"", b"")))
        fails(connection)

    journal = Journal.open(url, "main")
    with pytest.raises(JournalBroken, match="a bug"):
        journal.write(0, half).result()
    with pytest.raises(JournalBroken, match="a bug"):
        journal.append_threadsafe(entries(1))
    journal.close()
    journal = Journal.open(url, "main")
    assert journal.latest_snapshot("half", at_most=10) is None
    journal.close()


@pytest.mark.parametrize("forbidden", ["DELETE FROM event", "CREATE TABLE x (y INTEGER)"])
def test_a_reader_can_not_write(journal: Journal, forbidden: str) -> None:
    with pytest.raises(DBAPIError, match=r"readonly|read-only"), journal.reading() as connection:
        connection.exec_driver_sql(forbidden)


def test_a_reader_neither_holds_up_the_writer_nor_sees_what_came_later(journal: Journal) -> None:
    journal.append_threadsafe(entries(1)).result()
    count = "SELECT count(*) FROM event"
    with journal.reading() as connection:
        assert connection.exec_driver_sql(count).scalar() == 1
        for number in range(2, 50):
            journal.append_threadsafe(entries(number)).result(timeout=1)
        journal.save_snapshot(Snapshot(49, "test", b"x")).result(timeout=1)
        assert connection.exec_driver_sql(count).scalar() == 1
    assert journal.read(48, 10) == entries(49)


def test_a_reader_left_open_does_not_keep_the_journal_from_closing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 100)
    journal = Journal.open(url, "main")
    journal.append_threadsafe([Entry(1, 1, "A", b"")]).result()
    with journal.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM event").fetchone()
        journal.append_threadsafe([Entry(2, 1, "A", b"")]).result()
        began = time.monotonic()
        journal.close()
        assert time.monotonic() - began < 1
    journal = Journal.open(url, "main")
    assert journal.head == 2
    journal.close()
