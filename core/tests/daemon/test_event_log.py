"""Readers get what is durable, from memory while it is there, and are woken once per commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from quarterdeck.daemon import event_log
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.journal import Entry, Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", "main", sync=False)
    yield journal
    journal.close()


def entries(first: int, last: int) -> list[Entry]:
    return [Entry(number, number, "Tested", b"%d" % number) for number in range(first, last + 1)]


def numbers(found: Sequence[Entry] | None) -> list[int]:
    assert found is not None
    return [entry.sequence for entry in found]


async def test_new_events_come_from_memory_and_old_ones_from_the_journal(journal: Journal) -> None:
    await journal.append(entries(1, 5))
    log = EventLog(journal)
    assert (log.head, log.recent(5)) == (5, ())
    assert log.recent(4) is None, "written before this process began"
    await journal.append(entries(6, 8))
    log.extend(entries(6, 8))
    assert log.head == 8
    assert numbers(log.recent(6)) == [7, 8]
    assert numbers(log.recent(5)) == [6, 7, 8]
    assert log.recent(9) == ()
    assert numbers(await log.read(5, 2)) == [6, 7]
    assert numbers(await log.read(2, 4)) == [3, 4, 5, 6]
    assert numbers(await log.read(0, 100)) == list(range(1, 9))


async def test_memory_is_bounded(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "RECENT", 4)
    log = EventLog(journal)
    for number in range(1, 30):
        log.extend(entries(number, number))
        assert numbers(log.recent(max(number - 4, 0))) == list(range(max(number - 3, 1), number + 1))
    assert log.recent(29 - 9) is None


async def test_all_who_wait_are_woken_once_for_a_commit(journal: Journal) -> None:
    log = EventLog(journal)
    near = [asyncio.ensure_future(log.wait_beyond(0)) for _ in range(3)]
    far = asyncio.ensure_future(log.wait_beyond(4))
    gone = asyncio.ensure_future(log.wait_beyond(0))
    await asyncio.sleep(0)
    gone.cancel()
    log.extend(entries(1, 4))
    await asyncio.wait_for(asyncio.gather(*near), 1)
    assert not far.done()
    log.extend(entries(5, 5))
    await asyncio.wait_for(far, 1)
    await asyncio.wait_for(log.wait_beyond(4), 1)
