"""Frames: as they came and in order, no more than may be kept, and never in anybody's way."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.tests.daemon.journal.outside import rows
from core.tests.daemon.journal.trading import Chance, write
from quarterdeck.daemon.journal import Frame, Frames, Journal, frames, read_frames
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.journal.transfer import back_up
from quarterdeck.daemon.keeper import fold_all
from quarterdeck.domain.market import DAY, MINUTE


@dataclass
class Watch:
    """A clock that is set."""

    time: int = 1_000 * DAY

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


def begun(journal: Journal, watch: Watch, *, days: int = 30, most: int = 100) -> Frames:
    found = Frames(journal, watch, days=days, most=most)
    found.load()
    return found


def said(found: Frames, first: int, last: int) -> None:
    for number in range(first, last + 1):
        found.note("private", str(number).encode())


def settle(journal: Journal, found: Frames) -> None:
    """Have all that was noted written."""
    found.finish()
    journal.write(0, lambda _: None).result()


def kept(journal: Journal, source: str | None = None) -> list[Frame]:
    with journal.reading() as connection:
        return read_frames(connection, 0, 100_000, source)


def numbers(journal: Journal) -> list[int]:
    return [int(each.body) for each in kept(journal)]


def test_they_are_kept_in_order_as_they_came(journal: Journal, watch: Watch) -> None:
    found = begun(journal, watch)
    found.note("private", b'{"a": "\xc3\xa4"}')
    watch.time += 1
    found.note("zero \0", b"\x00\xff")
    settle(journal, found)
    first, second = kept(journal)
    assert first == (1, 1_000 * DAY, "private", b'{"a": "\xc3\xa4"}')
    assert (second.id, second.time, second.body) == (2, 1_000 * DAY + 1, b"\x00\xff")
    assert kept(journal, "private") == [first]
    with journal.reading() as connection:
        assert read_frames(connection, 1, 5) == [second]
        assert read_frames(connection, 0, 1) == [first]


def test_a_later_daemon_goes_on(url: str, watch: Watch) -> None:
    for first, last in ((1, 3), (4, 5)):
        journal = Journal.open(url, "main")
        found = begun(journal, watch)
        said(found, first, last)
        found.finish()
        journal.close()
    assert rows(url, "SELECT id FROM frame ORDER BY id") == [(1,), (2,), (3,), (4,), (5,)]


def test_only_the_newest_are_kept(journal: Journal, watch: Watch) -> None:
    found = begun(journal, watch, most=10)
    said(found, 1, 25)
    settle(journal, found)
    assert numbers(journal) == list(range(16, 26))
    said(found, 26, 27)
    settle(journal, found)
    assert numbers(journal) == list(range(18, 28))


def test_what_is_too_old_goes_even_if_nothing_comes(journal: Journal, watch: Watch) -> None:
    found = begun(journal, watch, days=2)
    said(found, 1, 3)
    watch.time += DAY
    said(found, 4, 5)
    settle(journal, found)
    watch.time += DAY + MINUTE
    settle(journal, found)
    assert numbers(journal) == [4, 5]
    watch.time += DAY
    settle(journal, found)
    assert numbers(journal) == []


@pytest.mark.parametrize("kept_by", [{"days": 0}, {"most": 0}], ids=str)
def test_none_are_kept_if_none_are_wanted(journal: Journal, watch: Watch, kept_by: dict[str, int]) -> None:
    found = begun(journal, watch)
    said(found, 1, 3)
    settle(journal, found)
    found = begun(journal, watch, **kept_by)
    said(found, 4, 5)
    settle(journal, found)
    assert kept(journal) == []


def test_a_lower_bound_is_reached_piece_by_piece(
    journal: Journal, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "PIECE", 10)
    found = begun(journal, watch)
    said(found, 1, 60)
    settle(journal, found)
    found = begun(journal, watch, most=5)
    for left in (40, 20, 5, 5):
        watch.time += MINUTE
        settle(journal, found)
        assert numbers(journal) == list(range(61 - left, 61))


def test_what_waits_is_bounded_in_number_and_in_bytes(
    journal: Journal, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MOST_WAITING", 20)
    monkeypatch.setattr(frames, "MOST_BYTES", 100)
    found = begun(journal, watch)
    said(found, 1, 25)
    assert found.dropped == 5
    settle(journal, found)
    assert numbers(journal) == list(range(6, 26))
    found.note("private", b"1" * 60)
    found.note("private", b"2" * 50)
    found.note("private", b"3" * 50)
    found.note("private", b"4" * 101)
    assert found.dropped == 9
    settle(journal, found)
    assert len(kept(journal)) == 20


def test_a_busy_writer_is_not_handed_more(journal: Journal, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Future[None]] = []

    def hold(*_: object) -> Future[None]:
        handed.append(Future())
        return handed[-1]

    monkeypatch.setattr(journal, "write", hold)
    monkeypatch.setattr(frames, "PIECE", 10)
    found = begun(journal, watch)
    said(found, 1, 25)
    found.flush()
    found.flush()
    assert len(handed) == 1
    handed[0].set_result(None)
    found.flush()
    assert len(handed) == 2
    found.finish()
    assert len(handed) == 3


def test_nothing_is_written_if_there_is_nothing_to_do(
    journal: Journal, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = begun(journal, watch)
    monkeypatch.setattr(journal, "write", None)
    found.flush()
    found.finish()


def test_a_full_disk_is_left_to_the_orders(journal: Journal, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(journal, watch)
    said(found, 1, 3)
    with monkeypatch.context() as full:
        full.setattr(journal, "has_room", lambda: False)
        settle(journal, found)
    assert kept(journal) == []
    settle(journal, found)
    assert numbers(journal) == [1, 2, 3]


def test_a_write_that_is_done_again_does_no_harm(
    journal: Journal, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a commit was lost with the connection, so the writer does it once more."""
    once = journal.write

    def twice(sequence: int, action: Any) -> Future[None]:
        once(sequence, action)
        return once(sequence, action)

    monkeypatch.setattr(journal, "write", twice)
    found = begun(journal, watch)
    said(found, 1, 3)
    settle(journal, found)
    said(found, 4, 4)
    settle(journal, found)
    assert numbers(journal) == [1, 2, 3, 4]


def test_they_are_no_part_of_the_chain_nor_of_a_backup(
    journal: Journal, url: str, watch: Watch, tmp_path: Path
) -> None:
    write(journal, Chance(3).trade(20))
    found = begun(journal, watch)
    said(found, 1, 3)
    head = journal.chain_head
    settle(journal, found)
    assert journal.chain_head == head
    archive = Archive.open(url)
    back_up(archive, tmp_path / "backup.db", fold_all)
    archive.close()
    assert rows(f"sqlite:///{tmp_path / 'backup.db'}", "SELECT count(*) FROM frame") == [(0,)]
