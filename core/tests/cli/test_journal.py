"""The commands about a journal: on a file nobody has open, on one a daemon uses, and on one that is damaged."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from base64 import b64decode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.tests.cli.conftest import Run
from core.tests.daemon.journal.trading import Chance, fold_entry, write
from quarterdeck.daemon.journal import Frames, Journal, Projections, load_state, save_state
from quarterdeck.daemon.journal.chain import genesis, link
from quarterdeck.daemon.journal.signing import SigningKey
from quarterdeck.daemon.journal.verification import Verifier
from quarterdeck.daemon.notary import Notary
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.engine.fold import fold

COUNT = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with one signed head in the middle, closed, and an anchor file beside it."""
    use_money_context()
    events = Chance(5).trade(COUNT)
    journal = Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", "main")
    write(journal, events[:40])
    notary = Notary(journal, SigningKey.open(tmp_path / "key"), tmp_path / "anchor.jsonl")
    notary.sign()
    notary.close()
    write(journal, events[40:])
    journal.close()
    return tmp_path / "journal.db"


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def state(path: Path) -> list[tuple[str, str]]:
    """The files beside a journal, and what is in them; but for SQLite's memory and its log while it is empty."""
    files = [each for each in path.parent.iterdir() if not each.name.endswith("-shm") and each.stat().st_size]
    return sorted((each.name, hashlib.sha256(each.read_bytes()).hexdigest()) for each in files)


def test_a_good_journal_is_told_to_be_good(run: Run, path: Path) -> None:
    before = state(path)
    done = run("journal", "verify", "--url", str(path))
    assert done.code == 0
    assert "60, 1 to 60" in done.out
    assert "1 signed head" in done.out
    assert "an end that was cut off shows only with --anchor" in done.out
    found = run("journal", "verify", "--url", f"sqlite:///{path}", "--json").json
    assert (found["entries"], found["head"], found["first"], found["intact"], found["signed"]) == (60, 60, 1, 60, 40)
    assert (found["heads_checked"], found["anchors_checked"], found["damaged"]) == (1, 0, [])
    assert len(bytes.fromhex(found["hash"])) == 32
    assert state(path) == before, "looking changed something"


def test_anchors_are_held_against_it(run: Run, path: Path) -> None:
    anchor = str(path.with_name("anchor.jsonl"))
    found = run("--json", "journal", "verify", "--url", str(path), "--anchor", anchor)
    assert (found.code, found.json["anchors_checked"]) == (0, 1)
    edit(path, "DELETE FROM event WHERE sequence >= 40")
    edit(path, "DELETE FROM signed_head")
    assert run("journal", "verify", "--url", str(path)).code == 0
    done = run("journal", "verify", "--url", str(path), "--anchor", anchor)
    assert done.code == 1
    assert "anchor 40: entries up to 40 were there, 39 is the last now" in done.out


def test_an_anchor_file_that_is_not_there_or_says_nothing_is_a_failure(run: Run, path: Path) -> None:
    done = run("journal", "verify", "--url", str(path), "--anchor", str(path.with_name("gone")))
    assert done.code == 1
    assert "can't be read: No such file" in done.err
    other = path.with_name("other.log")
    other.write_text('{"event": "ready"}\n')
    done = run("journal", "verify", "--url", str(path), "--anchor", str(other))
    assert done.code == 1
    assert "the anchor file says nothing of this journal" in done.out


def test_damage_is_told_with_its_place(run: Run, path: Path) -> None:
    edit(path, "UPDATE event SET body = zeroblob(3) WHERE sequence = 7")
    done = run("journal", "verify", "--url", str(path))
    assert done.code == 1
    assert "DAMAGED, intact up to 6:" in done.out
    assert "event 7: is not what was written" in done.out
    done = run("journal", "verify", "--url", str(path), "--json")
    assert done.code == 1
    (found,) = done.json["damaged"]
    assert (found["table"], found["sequence"], found["problem"][:25]) == ("event", 7, "is not what was written: ")


def test_a_journal_in_use_can_be_looked_at(run: Run, path: Path) -> None:
    journal = Journal.open(f"sqlite:///{path}", "main")
    write(journal, Chance(5).trade(70)[60:])
    assert run("journal", "verify", "--url", str(path), "--json").json["entries"] == 70
    write(journal, Chance(5).trade(71)[70:])
    assert run("journal", "verify", "--url", str(path), "--json").json["entries"] == 71
    journal.close()


def test_a_daemon_that_writes_meanwhile_is_not_taken_for_damage(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks everything moves on: events, signed heads, tables, the anchor file."""
    journal = Journal.open(f"sqlite:///{path}", "main")
    notary = Notary(journal, SigningKey.open(path.with_name("key")), path.with_name("anchor.jsonl"))
    projections = Projections(journal)
    state = load_state(journal, fold_entry, projections)
    events = iter(Chance(5).trade(80)[60:])

    def grow() -> None:
        recorded = next(events)
        write(journal, [recorded])
        fold(state, recorded)
        save_state(journal, state, projections).result()
        notary.sign()
        notary.close()

    def growing(step: str) -> None:
        original = getattr(Verifier, step)

        def grown(verifier: Verifier, *given: Any) -> None:
            grow()
            original(verifier, *given)
            grow()

        monkeypatch.setattr(Verifier, step, grown)

    for step in ("_follow", "_check_beside", "_check_anchors"):
        growing(step)
    done = run("journal", "verify", "--url", str(path), "--anchor", str(path.with_name("anchor.jsonl")), "--json")
    assert (done.code, done.json["damaged"]) == (0, [])
    assert done.json["entries"] == 61
    journal.close()


def test_what_a_crash_left_in_the_log_is_looked_at_and_left_there(run: Run, path: Path, tmp_path: Path) -> None:
    journal = Journal.open(f"sqlite:///{path}", "main")
    write(journal, Chance(5).trade(70)[60:])
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        (crashed / name).write_bytes((tmp_path / name).read_bytes())
    journal.close()
    before = dict(state(crashed / "journal.db"))
    assert run("journal", "verify", "--url", str(crashed / "journal.db"), "--json").json["entries"] == 70
    after = dict(state(crashed / "journal.db"))
    assert {name: after[name] for name in before} == before


def test_a_journal_on_a_disk_that_can_not_be_written_can_be_looked_at(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # the tests may run as root, whom no mode keeps out
    before = state(path)
    assert run("journal", "verify", "--url", str(path)).code == 0
    assert state(path) == before


@pytest.mark.parametrize("command", [["verify"], ["show"], ["export", "--format", "csv", "out"]])
def test_where_there_is_no_journal_none_is_made(run: Run, tmp_path: Path, command: list[str]) -> None:
    done = run("journal", *command, "--url", str(tmp_path / "none.db"))
    assert done.code == 1
    assert f"there is no journal at {tmp_path / 'none.db'}" in done.err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_journal_is_said_to_be_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letter").write_bytes(b"a letter to my bank" * 999)
    done = run("journal", "verify", "--url", str(tmp_path / "letter"))
    assert done.code == 1
    assert "not a database" in done.err


def test_the_configuration_says_which_journal(run: Run, path: Path, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text(f'[journal]\nurl = "sqlite:///{path}"\n')
    assert run("journal", "verify", "--config", str(config), "--json").json["entries"] == 60


def test_events_are_shown_one_by_one(run: Run, path: Path) -> None:
    done = run("journal", "show", "--url", str(path), "--after", "10", "--limit", "3")
    assert [line.split()[0] for line in done.out.splitlines()] == ["11", "12", "13"]
    shown = run("journal", "show", "--url", str(path), "--after", "58", "--json").json
    assert [each["sequence"] for each in shown["events"]] == [59, 60]
    assert shown["head"] == 60
    assert all(len(each["hash"]) == 64 for each in shown["events"])


def test_a_damaged_event_is_shown_to_be_one(run: Run, path: Path) -> None:
    edit(path, "UPDATE event SET body = zeroblob(3) WHERE sequence = 2")
    lines = run("journal", "show", "--url", str(path), "-n", "3").out.splitlines()
    assert "DAMAGED: is not what was written" in lines[1]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]


def test_frames_are_shown_as_they_came(run: Run, path: Path) -> None:
    assert run("journal", "frames", "--url", str(path)).out == ""
    assert run("journal", "frames", "--url", str(path), "--json").json == {"frames": []}
    journal = Journal.open(f"sqlite:///{path}", "main")
    frames = Frames(journal, lambda: 1_700_000_000_123_456_789, days=30, most=10)
    frames.load()
    for source, body in (("private", b'{"topic": "order"}'), ("public", b"\x1b[2J\xff"), ("private", "€\n".encode())):
        frames.note(source, body)
    frames.finish()
    journal.close()
    lines = run("journal", "frames", "--url", str(path)).out.splitlines()
    assert lines[0] == '      1  2023-11-14 22:13:20  private  {"topic": "order"}'
    assert lines[1].split(maxsplit=4)[3:] == ["public", r"\x1b[2J\xff"]
    assert lines[2].endswith(r"€\n")
    found = run("journal", "frames", "--url", str(path), "--after", "1", "--limit", "1", "--json").json["frames"]
    assert found == [{"id": 2, "time": "2023-11-14T22:13:20.123456Z", "source": "public", "base64": "G1sySv8="}]
    found = run("journal", "frames", "--url", str(path), "--source", "private", "--json").json["frames"]
    assert [(each["id"], each["text"]) for each in found] == [(1, '{"topic": "order"}'), (3, "€\n")]
    assert run("journal", "verify", "--url", str(path)).code == 0


def test_an_export_holds_all_it_takes_to_check_the_chain(run: Run, path: Path, tmp_path: Path) -> None:
    rows, lines = tmp_path / "all.csv", tmp_path / "all.jsonl"
    done = run("journal", "export", str(rows), "--format", "csv", "--url", str(path), "--json")
    assert done.json == {"path": str(rows), "format": "csv", "entries": 60, "first": 1, "last": 60}
    assert run("journal", "export", str(lines), "--format", "jsonl", "--url", str(path)).code == 0
    journal = Journal.open(f"sqlite:///{path}", "main")
    previous, head = genesis(journal.journal_id).hash, journal.chain_head
    journal.close()
    with rows.open(newline="") as file:
        table = list(csv.DictReader(file))
    objects = [json.loads(line) for line in lines.read_text().splitlines()]
    for row, each in zip(table, objects, strict=True):
        previous = link(
            previous, int(row["sequence"]), int(row["time"]), row["account"], row["type"], b64decode(row["body"])
        )
        assert previous.hex() == row["hash"] == each["hash"]
        assert (each["sequence"], each["body"]) == (int(row["sequence"]), row["body"])
        assert each["event"]["sequence"] == row["sequence"]
    assert previous == head.hash


def test_a_part_is_exported_and_nothing_is_overwritten(run: Run, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.jsonl"
    words = ("journal", "export", str(out), "--format", "jsonl", "--url", str(path), "--after", "10", "--until", "12")
    assert "Wrote 2 events, 11 to 12" in run(*words).out
    again = run(*words)
    assert (again.code, "exists already" in again.err) == (1, True)


def test_a_damaged_journal_is_exported_as_far_as_it_is_intact(run: Run, path: Path, tmp_path: Path) -> None:
    edit(path, "DELETE FROM event WHERE sequence = 31")
    out = tmp_path / "part.csv"
    done = run("journal", "export", str(out), "--format", "csv", "--url", str(path))
    assert done.code == 1
    assert "The journal is damaged: event 31: is missing: 32 follows. 30 entries before that" in done.err
    assert len(out.read_text().splitlines()) == 31


def test_what_follows_from_the_events_can_be_made_again(run: Run, path: Path) -> None:
    journal = Journal.open(f"sqlite:///{path}", "main")
    projections = Projections(journal)
    save_state(journal, load_state(journal, fold_entry, projections), projections).result()
    journal.close()
    edit(path, "UPDATE snapshot SET body = x'00'")
    edit(path, "UPDATE projection_cursor SET sequence = 99")
    assert run("journal", "verify", "--url", str(path)).code == 1
    done = run("journal", "rebuild", "--url", str(path))
    assert (done.code, "The next start makes them again" in done.out) == (0, True)
    assert run("journal", "verify", "--url", str(path)).code == 0
    journal = Journal.open(f"sqlite:///{path}", "main")
    assert load_state(journal, fold_entry, Projections(journal)).sequence == 60
    journal.close()


def test_events_that_are_damaged_are_never_mended(run: Run, path: Path) -> None:
    edit(path, "UPDATE event SET body = zeroblob(3) WHERE sequence = 7")
    before = state(path)
    done = run("journal", "rebuild", "--url", str(path))
    assert done.code == 1
    assert "The events themselves are damaged; nothing was changed." in done.err
    assert "event 7: is not what was written" in done.err
    assert state(path) == before


def test_a_backup_is_a_journal_and_can_be_put_back(run: Run, path: Path, tmp_path: Path) -> None:
    file, there = tmp_path / "backup.db", tmp_path / "there.db"
    done = run("journal", "backup", str(file), "--url", str(path))
    assert (done.code, done.err) == (0, "")
    assert "Backed up 60 events" in done.out
    assert run("journal", "verify", "--url", str(file), "--json").json["entries"] == 60
    assert run("journal", "backup", str(file), "--url", str(path)).code == 1
    found = run("journal", "restore", str(file), "--url", str(there), "--json").json
    assert (found["entries"], found["head"], found["where"]) == (60, 60, f"sqlite:///{there}")
    refused = run("journal", "restore", str(file), "--url", str(there))
    assert refused.code == 1
    assert "is not empty" in refused.err


def test_a_compacted_journal_begins_later(run: Run, path: Path) -> None:
    url = f"sqlite:///{path}"
    assert run("journal", "compact", "--url", url).code == 1
    done = run("journal", "compact", "--keep-events", "20", "--url", url)
    assert (done.code, done.out) == (0, "Removed 40 events. The journal begins with 41 now.\n")
    found = run("journal", "verify", "--url", url, "--json").json
    assert (found["first"], found["entries"], found["damaged"]) == (41, 20, [])
    again = run("journal", "compact", "--keep-events", "20", "--url", url, "--json").json
    assert again == {"removed": 0, "oldest": 41}


def test_a_damaged_journal_is_not_backed_up(run: Run, path: Path, tmp_path: Path) -> None:
    edit(path, "UPDATE event SET body = x'00' WHERE sequence = 30")
    done = run("journal", "backup", str(tmp_path / "backup.db"), "--url", str(path))
    assert done.code == 1
    assert "event 30" in done.err
    assert not (tmp_path / "backup.db").exists()
