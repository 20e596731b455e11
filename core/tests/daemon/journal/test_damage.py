"""Damage: whatever is changed in a journal behind its back is found, and an untouched one is never called damaged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, delete, update

from core.tests.daemon.journal.trading import Chance, fold_entry, write
from quarterdeck.daemon.journal import Journal, JournalDamaged, Projections, load_state, save_state
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.journal.chain import link
from quarterdeck.daemon.journal.heads import Anchor, SignedHead
from quarterdeck.daemon.journal.schema import event, projection_cursor, signed_head, snapshot
from quarterdeck.daemon.journal.signing import SigningKey
from quarterdeck.daemon.journal.verification import Report, Verifier
from quarterdeck.daemon.notary import Notary
from quarterdeck.domain.amounts import use_money_context

SIGNED = (10, 25, 40)
LAST = 45


class Kept(NamedTuple):
    """A journal with signed heads and a snapshot, closed, and the heads as somebody else keeps them."""

    path: Path
    anchors: list[Anchor]

    def copy(self, folder: Path) -> Path:
        target = folder / "journal.db"
        shutil.copyfile(self.path, target)
        return target


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    use_money_context()
    folder = tmp_path_factory.mktemp("kept")
    key = SigningKey.open(folder / "key")
    events = Chance(3).trade(LAST)
    journal = Journal.open(f"sqlite:///{folder / 'journal.db'}", "main")
    notary = Notary(journal, key, None)
    anchors = []
    for begin, end in zip((0, *SIGNED), (*SIGNED, LAST), strict=True):
        write(journal, events[begin:end])
        if end in SIGNED:
            notary.sign()
            anchors.append(
                Anchor(journal.journal_id, key.public, SignedHead.make(journal.journal_id, journal.chain_head, 1, key))
            )
    projections = Projections(journal)
    save_state(journal, load_state(journal, fold_entry, projections), projections).result()
    journal.close()
    return Kept(folder / "journal.db", anchors)


@pytest.fixture
def copy(kept: Kept, tmp_path: Path) -> Path:
    return kept.copy(tmp_path)


def verified(path: Path, anchors: list[Anchor] | None = None) -> Report:
    journal = Journal.open(f"sqlite:///{path}", "main")
    try:
        return Verifier(journal.reading, journal.journal_id).run(anchors=anchors)
    finally:
        journal.close()


def edit(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for each in statements:
            connection.execute(each, values)
        connection.commit()


def found(report: Report) -> list[str]:
    return [f"{each.table} {each.sequence}" for each in report.damaged]


def test_an_untouched_journal_is_whole(copy: Path, kept: Kept) -> None:
    report = verified(copy, kept.anchors)
    assert report.damaged == []
    assert (report.entries, report.first, report.head.sequence) == (LAST, 1, LAST)
    assert (report.intact, report.signed) == (LAST, SIGNED[-1])
    assert (report.heads_checked, report.anchors_checked) == (len(SIGNED), len(SIGNED))


@pytest.mark.parametrize(
    ("change", "expected", "intact"),
    [
        ("UPDATE event SET body = zeroblob(3) WHERE sequence = 7", ["event 7"], 6),
        ("UPDATE event SET body = 'text' WHERE sequence = 7", ["event 7"], 6),
        ("UPDATE event SET body = 9223372036854775807 WHERE sequence = 7", ["event 7"], 6),
        ("UPDATE event SET time = time + 1 WHERE sequence = 7", ["event 7"], 6),
        ("UPDATE event SET time = 'noon' WHERE sequence = 7", ["event 7"], 6),
        ("UPDATE event SET account = 'mine' WHERE sequence = 7", ["event 7"], 6),
        ("UPDATE event SET account = CAST(x'ff' AS TEXT) WHERE sequence = 7", ["event 7"], 6),
        ("UPDATE event SET type = 'OrderFilled2' WHERE sequence = 1", ["event 1"], 0),
        ("UPDATE event SET account = 'mine' WHERE sequence = 1", ["event 1"], 0),
        ("UPDATE event SET hash = zeroblob(32) WHERE sequence = 7", ["event 7", "event 8"], 6),
        ("UPDATE event SET hash = x'' WHERE sequence = 7", ["event 7", "event 8"], 6),
        ("UPDATE event SET sequence = 1000 WHERE sequence = 7", ["event 7", "event 46"], 6),
        ("DELETE FROM event WHERE sequence = 7", ["event 7"], 6),
        ("DELETE FROM event WHERE sequence = 1", ["event 1"], 0),
        ("DELETE FROM event WHERE sequence BETWEEN 7 AND 9", ["event 7"], 6),
        ("DELETE FROM event WHERE sequence > 30", ["signed_head 40", "projection_cursor 45", "snapshot 45"], 30),
        ("UPDATE signed_head SET hash = zeroblob(32) WHERE sequence = 25", ["signed_head 25"], LAST),
        ("UPDATE signed_head SET time = time + 1 WHERE sequence = 25", ["signed_head 25"], LAST),
        ("UPDATE signed_head SET time = 'noon' WHERE sequence = 25", ["signed_head 25"], LAST),
        ("UPDATE signed_head SET signature = zeroblob(64) WHERE sequence = 25", ["signed_head 25"], LAST),
        ("UPDATE signed_head SET key_id = 'other' WHERE sequence = 25", ["signed_head 25"], LAST),
        ("UPDATE signed_head SET sequence = 26 WHERE sequence = 25", ["signed_head 26"], LAST),
        (
            "UPDATE signing_key SET public_key = zeroblob(32)",
            ["signing_key 0", *(f"signed_head {n}" for n in SIGNED)],
            LAST,
        ),
        ("UPDATE signing_key SET key_id = 'other'", ["signing_key 0", *(f"signed_head {n}" for n in SIGNED)], LAST),
        ("DELETE FROM signing_key", [f"signed_head {n}" for n in SIGNED], LAST),
        ("UPDATE snapshot SET body = replace(body, '1', '2')", ["snapshot 45"], LAST),
        ("UPDATE snapshot SET format = 'other'", ["snapshot 45"], LAST),
        ("UPDATE snapshot SET digest = zeroblob(32)", ["snapshot 45"], LAST),
        ("UPDATE snapshot SET sequence = 44", ["snapshot 44"], LAST),
        ("UPDATE projection_cursor SET sequence = 46", ["projection_cursor 46"], LAST),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_of_anything_that_matters_is_found(copy: Path, change: str, expected: list[str], intact: int) -> None:
    edit(copy, change)
    report = verified(copy)
    assert found(report) == expected
    assert report.intact == intact


def test_two_entries_that_changed_places_are_found(copy: Path) -> None:
    edit(
        copy,
        "UPDATE event SET sequence = -1 WHERE sequence = 7",
        "UPDATE event SET sequence = 7 WHERE sequence = 8",
        "UPDATE event SET sequence = 8 WHERE sequence = -1",
    )
    report = verified(copy)
    assert found(report)[:2] == ["event 7", "event 8"]
    assert report.intact == 6


def rehash(path: Path, first: int, last: int) -> None:
    """What somebody does who knows the formula: recompute hashes, so that they follow from each other again."""
    journal = Journal.open(f"sqlite:///{path}", "main")
    journal.close()
    with closing(sqlite3.connect(path)) as connection:
        (previous,) = connection.execute("SELECT hash FROM event WHERE sequence = ?", (first - 1,)).fetchone()
        for row in connection.execute(
            "SELECT sequence, time, account, type, body FROM event WHERE sequence BETWEEN ? AND ? ORDER BY sequence",
            (first, last),
        ).fetchall():
            previous = link(previous, *row)
            connection.execute("UPDATE event SET hash = ? WHERE sequence = ?", (previous, row[0]))
        connection.commit()


def test_an_edit_with_its_own_hash_recomputed_breaks_the_next(copy: Path) -> None:
    edit(copy, "UPDATE event SET body = zeroblob(3) WHERE sequence = 7")
    rehash(copy, 7, 7)
    assert found(verified(copy)) == ["event 8"]


def test_an_edit_with_every_hash_after_it_recomputed_is_not_what_was_signed(copy: Path) -> None:
    edit(copy, "UPDATE event SET body = zeroblob(3) WHERE sequence = 27")
    rehash(copy, 27, LAST)
    report = verified(copy)
    assert found(report) == ["event 40", "snapshot 45"]
    assert (report.intact, report.signed) == (25, 25)


def cut(path: Path, last: int) -> None:
    """Cut the tail off so that nothing inside of the journal tells of it."""
    edit(
        path,
        f"DELETE FROM event WHERE sequence > {last}",
        f"DELETE FROM signed_head WHERE sequence > {last}",
        "DELETE FROM snapshot",
        f"UPDATE projection_cursor SET sequence = {last}",
    )


def test_a_tail_cut_off_without_a_trace_is_known_to_anchors_only(copy: Path, kept: Kept) -> None:
    cut(copy, LAST - 5)
    assert verified(copy, kept.anchors).damaged == [], "nothing that was signed is missing"
    cut(copy, SIGNED[-1] - 1)
    assert verified(copy).damaged == [], "without an anchor nobody can know"
    report = verified(copy, kept.anchors)
    assert found(report) == ["anchor 40"]
    assert "entries up to 40 were there, 39 is the last now" in report.damaged[0].problem


def test_another_history_after_an_older_copy_is_known_to_anchors(copy: Path, kept: Kept) -> None:
    cut(copy, 30)
    journal = Journal.open(f"sqlite:///{copy}", "main")
    write(journal, Chance(4).trade(LAST)[30:])
    journal.close()
    assert verified(copy).damaged == []
    report = verified(copy, kept.anchors)
    assert found(report) == ["anchor 40"]
    assert report.intact == 25


def test_anchors_that_were_tampered_with_or_are_of_another_journal_vouch_for_nothing(copy: Path, kept: Kept) -> None:
    one = kept.anchors[0]
    forged = one._replace(signed=one.signed._replace(hash=bytes(32)))
    assert "its signature is not that of its key" in str(verified(copy, [forged]).damaged[0])
    other = one._replace(journal_id=type(one.journal_id)(int=1))
    assert "says nothing of this journal" in str(verified(copy, [other]).damaged[0])
    assert verified(copy, [other, one]).damaged == []


def test_a_key_the_journal_does_not_know_vouches_for_nothing(copy: Path, kept: Kept, tmp_path: Path) -> None:
    one, mine = kept.anchors[0], SigningKey.open(tmp_path / "mine")
    signed = SignedHead.make(one.journal_id, one.signed.head, 1, mine)
    report = verified(copy, [Anchor(one.journal_id, mine.public, signed)])
    assert "a key" in str(report.damaged[0])
    assert "does not know" in str(report.damaged[0])


def test_a_fold_never_runs_over_damage(copy: Path) -> None:
    edit(copy, "UPDATE event SET body = (SELECT body FROM event WHERE sequence = 8) WHERE sequence = 7")
    journal = Journal.open(f"sqlite:///{copy}", "main")
    with pytest.raises(JournalDamaged, match="event 7: is not what was written"):
        list(journal.iterate(0))
    assert [entry.sequence for entry in journal.iterate(7)] == list(range(8, LAST + 1))
    journal.close()


def test_a_snapshot_that_was_changed_is_not_used(copy: Path) -> None:
    edit(copy, "UPDATE snapshot SET body = replace(body, '1', '2')")
    journal = Journal.open(f"sqlite:///{copy}", "main")
    with pytest.raises(JournalDamaged, match="snapshot 45: is not what was written"):
        load_state(journal, fold_entry, Projections(journal))
    journal.close()


def test_a_file_with_pages_overwritten_is_found(copy: Path) -> None:
    pages = copy.stat().st_size // 4096
    body = copy.read_bytes()
    place = body.index(b"OrderPrepared") // 4096
    assert 1 < place < pages
    copy.write_bytes(body[: place * 4096] + b"\xff" * 4096 + body[(place + 1) * 4096 :])
    report = None
    with suppress(JournalDamaged):
        report = verified(copy)
    assert report is None or any("can't be read" in each.problem for each in report.damaged)


@pytest.fixture(scope="module")
def cells(kept: Kept) -> list[tuple[str, int, str]]:
    """Every value of the log and of what vouches for it, by table, row and column."""
    found = []
    with closing(sqlite3.connect(kept.path)) as connection:
        for table in ("event", "signed_head", "snapshot"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = [row[0] for row in connection.execute(f"SELECT sequence FROM {table}")]
            found += [(table, row, column) for row in rows for column in columns]
    return found


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_single_edit_is_found(
    kept: Kept, cells: list[tuple[str, int, str]], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    table, row, column = data.draw(st.sampled_from(cells))
    path = kept.copy(tmp_path_factory.mktemp("edit"))
    with closing(sqlite3.connect(path)) as connection:
        (was,) = connection.execute(f"SELECT {column} FROM {table} WHERE sequence = ?", (row,)).fetchone()
    if isinstance(was, bytes):
        bit = data.draw(st.integers(0, 8 * len(was) - 1))
        changed: Any = bytearray(was)
        changed[bit // 8] ^= 1 << bit % 8
        changed = bytes(changed)
    elif isinstance(was, int):
        changed = was ^ 1 << data.draw(st.integers(0, 40))
    else:
        changed = data.draw(st.text(max_size=20).filter(lambda text: text != was and text.isprintable()))
    with suppress(sqlite3.IntegrityError):  # the number of another row: as good as two edits
        edit(path, f"UPDATE {table} SET {column} = ? WHERE sequence = {row}", values=(changed,))
        assert verified(path).damaged, f"{table} {row} {column}: {was!r} became {changed!r}"


# ---------------------------------------------------------------- on every database


def edits() -> list[tuple[str, Callable[[Connection], object], str]]:
    """Edits by name, and the first thing that has to be found."""

    def one(table: Table, place: int, **values: Any) -> Callable[[Connection], object]:
        return lambda connection: connection.execute(update(table).where(table.c.sequence == place).values(**values))

    def swap(connection: Connection) -> None:
        for was, becomes in ((7, -1), (8, 7), (-1, 8)):
            one(event, was, sequence=becomes)(connection)

    def end(connection: Connection) -> None:
        connection.execute(delete(event).where(event.c.sequence > LAST - 5))

    return [
        ("body", one(event, 7, body=b"other"), "event 7"),
        ("time", one(event, 7, time=1), "event 7"),
        ("account", one(event, 7, account="other"), "event 7"),
        ("type", one(event, 7, type="Other"), "event 7"),
        ("hash", one(event, 7, hash=bytes(32)), "event 7"),
        ("gone", lambda connection: connection.execute(delete(event).where(event.c.sequence == 7)), "event 7"),
        ("swapped", swap, "event 7"),
        ("head-hash", one(signed_head, 25, hash=bytes(32)), "signed_head 25"),
        ("head-signature", one(signed_head, 25, signature=bytes(64)), "signed_head 25"),
        ("end", end, "projection_cursor 45"),
        ("snapshot", one(snapshot, LAST, body=b"{}"), "snapshot 45"),
        ("cursor", lambda connection: connection.execute(update(projection_cursor).values(sequence=99)), "projection"),
    ]


@pytest.mark.parametrize(("change", "expected"), [each[1:] for each in edits()], ids=[each[0] for each in edits()])
def test_the_same_edits_are_found_on_every_database(
    url: str, tmp_path: Path, change: Callable[[Connection], object], expected: str
) -> None:
    events = Chance(3).trade(LAST)
    journal = Journal.open(url, "main")
    notary = Notary(journal, SigningKey.open(tmp_path / "key"), None)
    for begin, until in zip((0, *SIGNED), (*SIGNED, LAST), strict=True):
        write(journal, events[begin:until])
        if until in SIGNED:
            notary.sign()
    projections = Projections(journal)
    save_state(journal, load_state(journal, fold_entry, projections), projections).result()
    assert Verifier(journal.reading, journal.journal_id).run().damaged == []
    journal.write(0, change).result()
    report = Verifier(journal.reading, journal.journal_id).run()
    assert found(report)[0].startswith(expected)
    journal.close()
    archive = Archive.open(url)
    assert found(archive.verifier().run()) == found(report)
    archive.close()
