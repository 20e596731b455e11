"""Entries: durable before anybody hears of it, dense, in order, and many to a commit."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from sqlalchemy import Connection

from core.tests.daemon.journal.outside import rows
from quarterdeck.daemon.journal import Entry, Journal, JournalDamaged


def entries(first: int, count: int = 1, body: bytes = b"body") -> list[Entry]:
    return [Entry(number, 1_000 + number, "OrderSent", body) for number in range(first, first + count)]


def stored(url: str) -> int:
    """How many entries another process would find in the database."""
    return int(rows(url, "SELECT count(*) FROM event")[0][0])


class Gate:
    """Keeps the writer busy until it is told."""

    def __init__(self, journal: Journal) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self.passed = journal.write(0, self._wait)
        assert self._reached.wait(10)

    def _wait(self, _connection: Connection) -> None:
        self._reached.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.head == 0
    assert journal.read(0, 10) == []
    assert journal.read_one(1) is None


def test_what_was_appended_is_read_back(journal: Journal) -> None:
    journal.append_threadsafe(entries(1, 3, b"\x00\xff bytes")).result()
    assert journal.head == 3
    assert journal.read(0, 10) == entries(1, 3, b"\x00\xff bytes")
    assert journal.read(1, 1) == entries(2, 1, b"\x00\xff bytes")
    assert journal.read(3, 10) == []
    assert journal.read_one(3) == entries(3, 1, b"\x00\xff bytes")[0]


def test_reopening_finds_everything_and_the_same_id(url: str) -> None:
    journal = Journal.open(url, "main")
    identity = journal.journal_id
    journal.append_threadsafe(entries(1, 5)).result()
    journal.close()
    journal = Journal.open(url, "main")
    assert (journal.journal_id, journal.head) == (identity, 5)
    journal.append_threadsafe(entries(6)).result()
    assert [entry.sequence for entry in journal.iterate(0)] == [1, 2, 3, 4, 5, 6]
    journal.close()


def test_two_journals_are_not_the_same(journal: Journal, url: str) -> None:
    other = Journal.open(url.replace("journal.db", "other.db").replace("schema=", "schema=other_"), "main")
    assert other.journal_id != journal.journal_id
    other.close()


def test_close_writes_what_was_appended(url: str, tmp_path: Path) -> None:
    journal = Journal.open(url, "main")
    written = [journal.append_threadsafe(entries(number)) for number in range(1, 51)]
    journal.close()
    assert all(one.done() and one.exception() is None for one in written)
    assert stored(url) == 50
    assert not (tmp_path / "journal.db-wal").exists(), "the log was not moved into the database"


@pytest.mark.parametrize("first", [0, 1, 3, -1])
def test_entries_that_do_not_continue_the_journal_are_refused(journal: Journal, first: int) -> None:
    journal.append_threadsafe(entries(1)).result()
    with pytest.raises(ValueError, match=f"entry {first} does not continue the journal: 2 comes next"):
        journal.append_threadsafe(entries(first))
    journal.append_threadsafe(entries(2)).result()
    assert journal.head == 2


def test_a_gap_inside_of_a_batch_is_refused_as_a_whole(journal: Journal) -> None:
    with pytest.raises(ValueError, match="entry 4 does not continue"):
        journal.append_threadsafe([*entries(1, 2), *entries(4)])
    journal.append_threadsafe(entries(1)).result()
    assert journal.head == 1


def test_no_entries_are_no_commit(journal: Journal) -> None:
    journal.append_threadsafe([]).result()
    assert journal.head == 0


def test_a_closed_journal_refuses_entries(url: str) -> None:
    journal = Journal.open(url, "main")
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.append_threadsafe(entries(1))
    with pytest.raises(ValueError, match="closed"):
        journal.write(0, lambda _: None)


def test_a_missing_entry_is_damage(journal: Journal) -> None:
    journal.append_threadsafe(entries(1, 5)).result()
    journal.write(5, lambda connection: connection.exec_driver_sql("DELETE FROM event WHERE sequence = 3")).result()
    with pytest.raises(JournalDamaged, match="event 3: is missing: 4 follows"):
        list(journal.iterate(0))


async def test_an_append_is_done_only_when_it_is_on_the_disk(journal: Journal, url: str) -> None:
    gate = Gate(journal)
    written = journal.append(entries(1))
    await asyncio.sleep(0.01)
    assert not written.done()
    assert (journal.head, stored(url)) == (0, 0)
    assert journal.read(0, 10) == []
    gate.open()
    await written
    assert (journal.head, stored(url)) == (1, 1)


async def test_what_queued_during_a_commit_goes_into_one_commit_and_one_call(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    loop = asyncio.get_running_loop()
    original = loop.call_soon_threadsafe

    def counted(*args: object, **kwargs: object) -> object:
        calls.append(args)
        return original(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    gate = Gate(journal)
    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    written = [journal.append(entries(1 + 3 * number, 3)) for number in range(100)]
    gate.open()
    await asyncio.gather(*written)
    assert journal.head == 300
    assert len(calls) == 1


async def test_entries_overtake_tasks(journal: Journal) -> None:
    order: list[str] = []
    gate = Gate(journal)
    first = journal.write(0, lambda _: order.append("task"))
    second = journal.write(0, lambda _: order.append(f"task after {journal.head}"))
    appended = journal.append_threadsafe(entries(1))
    appended.add_done_callback(lambda _: order.append("entry"))
    gate.open()
    for each in (first, second, appended):
        await asyncio.wrap_future(each)
    assert order == ["entry", "task", "task after 1"]


async def test_canceling_the_wait_does_not_take_the_entry_back(journal: Journal) -> None:
    gate = Gate(journal)
    canceled = journal.append(entries(1))
    canceled.cancel()
    following = journal.append(entries(2))
    gate.open()
    await following
    assert [entry.sequence for entry in journal.read(0, 10)] == [1, 2]


def test_a_loop_that_has_gone_does_not_stop_the_writer(journal: Journal) -> None:
    async def abandon() -> None:
        abandoned.append(journal.append(entries(1)))

    abandoned: list[asyncio.Future[None]] = []
    gate = Gate(journal)
    asyncio.run(abandon())
    gate.open()
    journal.append_threadsafe(entries(2)).result()
    assert journal.head == 2
    assert not abandoned[0].done()


def test_what_follows_from_an_entry_waits_for_the_entry(journal: Journal) -> None:
    with pytest.raises(ValueError, match="entry 1 was not appended yet"):
        journal.write(1, lambda _: None)
    seen: list[int] = []
    gate = Gate(journal)
    appended: Future[None] = journal.append_threadsafe(entries(1))
    done = journal.write(1, lambda _: seen.append(journal.head))
    gate.open()
    done.result()
    assert seen == [1]
    assert appended.done()


def test_iterating_over_many_pages(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quarterdeck.daemon.journal.verification.PAGE", 7)
    journal.append_threadsafe(entries(1, 50)).result()
    assert list(journal.iterate(0)) == entries(1, 50)
    assert list(journal.iterate(48)) == entries(49, 2)
    assert list(journal.iterate(50)) == []
