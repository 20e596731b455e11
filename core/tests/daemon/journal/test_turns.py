from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quarterdeck.daemon.journal.journal import Entry, Journal
from quarterdeck.daemon.journal.opening import open_database

ENTRIES = [Entry(number, number, "Made", b"%d" % number) for number in range(1, 6)]


async def test_without_a_thread_entries_are_written_when_it_is_called(tmp_path: Path) -> None:
    turns: list[Callable[[], None]] = []
    journal = Journal(open_database(f"sqlite:///{tmp_path}/journal.db"), "main", turns=turns.append)
    written = journal.append(ENTRIES[:2])
    assert (journal.head, written.done(), len(turns)) == (0, False, 1)
    turns.pop()()
    await written
    assert journal.head == 2
    _ = journal.append(ENTRIES[2:3])
    journal.close()
    assert journal.head == 3


async def test_without_a_thread_a_task_is_done_at_once_after_what_is_queued(tmp_path: Path) -> None:
    journal = Journal(open_database(f"sqlite:///{tmp_path}/journal.db"), "main", turns=lambda _: None)
    _ = journal.append(ENTRIES)
    heads: list[int] = []
    done = journal.write(5, lambda _: heads.append(journal.head))
    assert (done.done(), heads) == (True, [5])
    with pytest.raises(ValueError, match="was not appended yet"):
        journal.write(6, lambda _: None)
    journal.close()
