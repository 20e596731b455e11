"""Space for bad days: kept while there is plenty, given up to a write that finds the disk full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.daemon.journal.test_journal import entries
from quarterdeck.daemon.journal import Journal, JournalBroken
from quarterdeck.daemon.journal.reserve import Reserve

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Leave so many bytes of a disk."""
    found = os.statvfs(folder)
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - leave)
    return filler


def test_is_kept_and_given_up(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", MIB)
    assert not reserve.is_held
    assert reserve.hold()
    assert reserve.hold()
    assert reserve.path.stat().st_size == MIB
    assert reserve.release()
    assert not reserve.release()
    assert not reserve.path.exists()


def test_none_is_always_kept(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 0)
    assert reserve.is_held
    assert reserve.hold()
    assert not reserve.release()
    assert not reserve.path.exists()


def test_is_not_taken_where_there_is_little(small_disk: Path) -> None:
    reserve = Reserve(small_disk / "reserve", 2 * MIB)
    filler = fill(small_disk, 4 * MIB)
    assert not reserve.hold()
    assert not reserve.path.exists()
    filler.unlink()
    assert reserve.hold()


def test_is_given_up_at_once_where_nothing_is_left(small_disk: Path) -> None:
    path = small_disk / "reserve"
    assert Reserve(path, MIB).hold()
    fill(small_disk, 4096)
    assert not Reserve(path, MIB).is_held


async def test_a_full_disk_uses_it_up_and_loses_nothing(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk / 'journal.db'}"
    journal = Journal.open(url, "main", reserve=MIB)
    told: list[int] = []
    journal.on_short(lambda: told.append(journal.head))
    assert journal.has_room()
    await journal.append(entries(1, 10))
    fill(small_disk, 64 << 10)
    await journal.append(entries(11, 1990))
    assert told == [10]
    assert journal.head == 2000
    assert not journal.has_room()
    with pytest.raises(JournalBroken, match="full"):
        await journal.append(entries(2001, 60_000))
    journal.close()
    (small_disk / "filler").unlink()
    journal = Journal.open(url, "main", reserve=MIB)
    assert journal.head == 2000
    assert journal.has_room()
    journal.close()
