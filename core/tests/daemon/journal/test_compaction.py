"""Compaction: what was removed is in the base, whatever happens on the way, and a base can be read for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from core.tests.daemon.journal.outside import execute, rows
from core.tests.daemon.journal.trading import Chance, entries_of, write
from quarterdeck.daemon.journal import Journal, JournalBroken, JournalDamaged, compaction
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.journal.compaction import cut
from quarterdeck.daemon.journal.signing import SigningKey
from quarterdeck.daemon.journal.snapshots import STATE_VERSION, discard_derived
from quarterdeck.daemon.journal.transfer import back_up, restore
from quarterdeck.daemon.journal.verification import Verifier
from quarterdeck.daemon.keeper import Keeper, fold_all
from quarterdeck.daemon.notary import Notary
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State

EVENTS = Chance(4).trade(600)

#: Of `STATE_VERSION`. If it is another now: raise that number, and write the way from the version before. As long as no
#: version has been released, setting this anew is enough.
STATE_DIGEST = "55e287ef1d57a596"


def folded(events: Sequence[Recorded]) -> State:
    state = State()
    for recorded in events:
        fold(state, recorded)
    return state


def opened(url: str) -> tuple[Journal, State, Keeper]:
    journal = Journal.open(url, "main")
    keeper = Keeper(journal)
    return journal, keeper.load(), keeper


def verified(journal: Journal) -> list[str]:
    return [str(each) for each in Verifier(journal.reading, journal.journal_id).run().damaged]


def test_what_a_base_holds_is_pinned() -> None:
    schema = json.dumps(TypeAdapter(State).json_schema(), sort_keys=True)
    assert (STATE_VERSION, hashlib.sha256(schema.encode()).hexdigest()[:16]) == (1, STATE_DIGEST)


def test_a_compacted_journal_goes_on_as_if_nothing_had_been_removed(url: str, tmp_path: Path) -> None:
    journal, _, keeper = opened(url)
    write(journal, EVENTS[:500])
    notary = Notary(journal, SigningKey.open(tmp_path / "key"), None)
    notary.sign()
    notary.close()
    keeper.load()
    (listed,) = rows(url, "SELECT count(*) FROM orders")
    assert keeper.compact(200, 0) == 300
    assert journal.oldest == 301
    assert [entry.sequence for entry in journal.iterate(0)] == list(range(301, 501))
    assert journal.read(0, 1)[0].sequence == 301
    assert verified(journal) == []
    write(journal, EVENTS[500:])
    journal.close()
    journal, state, keeper = opened(url)
    assert (journal.oldest, journal.head) == (301, 600)
    assert state == folded(EVENTS)
    assert rows(url, "SELECT count(*) FROM orders")[0] >= listed
    assert rows(url, "SELECT count(*) FROM event") == [(300,)]
    assert keeper.compact(50, 0) == 250
    assert rows(url, "SELECT sequence FROM base") == [(550,)]
    discard_derived(journal)
    journal.close()
    journal, state, _ = opened(url)
    assert state == folded(EVENTS), "from the base and the entries alone"
    assert len(rows(url, "SELECT * FROM positions")) == len(state.positions)
    journal.close()
    archive = Archive.open(url)
    assert fold_all(archive) == state
    back_up(archive, tmp_path / "backup.db", fold_all)
    archive.close()
    backup = Archive.open(str(tmp_path / "backup.db"))
    restore(backup, f"sqlite:///{tmp_path / 'again.db'}")
    backup.close()
    journal, found, _ = opened(f"sqlite:///{tmp_path / 'again.db'}")
    assert (found, journal.oldest) == (state, 551)
    journal.close()


@pytest.mark.parametrize("at", range(4))
def test_an_interruption_at_any_transaction_does_no_harm(at: int, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _, keeper = opened(url)
    write(journal, EVENTS)
    keeper.load()
    monkeypatch.setattr(compaction, "PIECE", 100)
    original, left = journal.write, [at]

    def failing(sequence: int, action: object) -> object:
        if not left[0]:
            raise JournalBroken("killed")
        left[0] -= 1
        return original(sequence, action)  # type: ignore[arg-type]  # passed on as it came

    with monkeypatch.context() as patched:
        patched.setattr(journal, "write", failing)
        with pytest.raises(JournalBroken):
            keeper.compact(200, 0)
    journal.close()
    journal, state, keeper = opened(url)
    assert state == folded(EVENTS)
    assert verified(journal) == []
    assert journal.oldest == (1 if not at else 401)
    keeper.compact(200, 0)
    assert rows(url, "SELECT min(sequence), count(*) FROM event") == [(401, 200)]
    assert verified(journal) == []
    assert list(journal.iterate(0)) == entries_of(EVENTS[400:])
    journal.close()


def test_a_damaged_journal_is_not_compacted(url: str) -> None:
    journal, _, keeper = opened(url)
    write(journal, EVENTS)
    execute(url, "UPDATE event SET body = hash WHERE sequence = 77")
    with pytest.raises(JournalDamaged, match="77"):
        keeper.compact(100, 0)
    assert rows(url, "SELECT count(*) FROM event") == [(600,)]
    journal.close()


def test_a_base_that_was_changed_is_damage(url: str) -> None:
    journal, _, keeper = opened(url)
    write(journal, EVENTS)
    keeper.load()
    keeper.compact(100, 0)
    execute(url, "UPDATE base SET body = hash")
    assert verified(journal) == ["base 500: is not what was written: its digest is another"]
    discard_derived(journal)
    journal.close()
    with pytest.raises(JournalDamaged, match="base 500"):
        opened(url)


def test_what_is_kept_is_what_either_wish_wants_and_always_the_last(journal: Journal) -> None:
    write(journal, EVENTS[:100])
    day = 86_400 * 10**9
    now = EVENTS[99].time
    assert cut(journal, now) == 0
    assert cut(journal, now, keep_events=30) == 70
    assert cut(journal, now, keep_events=1) == 99
    assert cut(journal, now, keep_events=200) < 0
    assert cut(journal, now + 1000 * day, keep_days=1) == 99
    assert cut(journal, now, keep_events=30, keep_days=1000) == 0
    at = EVENTS[59].time
    assert cut(journal, at + day, keep_days=1) == min(one.sequence for one in EVENTS if one.time >= at) - 1
