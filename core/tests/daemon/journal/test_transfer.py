"""Backups: a journal on either database becomes a file, and a file becomes a journal on either, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.tests.daemon.journal.outside import execute, rows
from core.tests.daemon.journal.trading import Chance, entries_of, write
from quarterdeck.daemon.journal import Journal, JournalDamaged
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.journal.signing import SigningKey
from quarterdeck.daemon.journal.transfer import Damaged, back_up, restore
from quarterdeck.daemon.keeper import Keeper, fold_all
from quarterdeck.daemon.notary import Notary
from quarterdeck.domain.errors import ConfigError
from quarterdeck.engine.state import State

EVENTS = Chance(11).trade(2_300)


@pytest.fixture
def traded(journal: Journal, tmp_path: Path) -> Journal:
    """More events than are copied at once, with a signed head, in use."""
    write(journal, EVENTS[:2_200])
    notary = Notary(journal, SigningKey.open(tmp_path / "key"), None)
    notary.sign()
    notary.close()
    return journal


def opened(url: str) -> tuple[Journal, State]:
    journal = Journal.open(url, "main")
    return journal, Keeper(journal).load()


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where there is no journal yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'elsewhere.db'}"
    url: str = request.getfixturevalue("postgresql")
    return f"{url}&schema=elsewhere_{abs(hash(tmp_path))}"


def test_a_journal_in_use_is_backed_up_and_goes_on_elsewhere(
    traded: Journal, url: str, elsewhere: str, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    archive = Archive.open(url)
    copied = back_up(archive, file, fold_all)
    archive.close()
    assert (copied.head, copied.entries, copied.hash) == (2_200, 2_200, traded.chain_head.hash)
    write(traded, EVENTS[2_200:])  # the daemon goes on
    assert [each.name for each in tmp_path.glob("backup.db*") if not each.name.endswith("-shm")] == ["backup.db"]

    backup = Archive.open(str(file))
    assert restore(backup, elsewhere) == copied
    assert backup.journal_id == traded.journal_id
    state = fold_all(backup)
    backup.close()
    again, found = opened(elsewhere)
    assert found == state
    assert (again.journal_id, again.head) == (traded.journal_id, 2_200)
    assert again.epoch == traded.epoch + 1
    assert not again.predecessor_may_live
    assert rows(elsewhere, "SELECT count(*) FROM orders") != [(0,)]
    write(again, EVENTS[2_200:])
    assert list(again.iterate(0)) == entries_of(EVENTS)
    again.close()


def test_nothing_is_restored_over_anything(traded: Journal, url: str, elsewhere: str, tmp_path: Path) -> None:
    archive = Archive.open(url)
    back_up(archive, tmp_path / "backup.db", fold_all)
    with pytest.raises(FileExistsError):
        back_up(archive, tmp_path / "backup.db", fold_all)
    Journal.open(elsewhere, "main").close()
    with pytest.raises(ConfigError, match="is not empty"):
        restore(archive, elsewhere)
    with pytest.raises(ConfigError, match="is using th"):
        restore(archive, url)
    archive.close()


@pytest.mark.parametrize("damage", ["body = type", "hash = body"])
def test_a_damaged_journal_leaves_no_copy(
    damage: str, traded: Journal, url: str, elsewhere: str, tmp_path: Path
) -> None:
    change = damage.replace("= type", "= hash")
    execute(url, f"UPDATE event SET {change} WHERE sequence = 1500")
    archive = Archive.open(url)
    with pytest.raises(Damaged, match="event 1500"):
        back_up(archive, tmp_path / "backup.db", fold_all)
    with pytest.raises(JournalDamaged, match="1500"):
        fold_all(archive)
    assert list(tmp_path.glob("backup.db*")) == []
    with pytest.raises(Damaged):
        restore(archive, elsewhere)
    archive.close()
    journal = Journal.open(elsewhere, "main")
    assert journal.head == 0
    journal.close()
