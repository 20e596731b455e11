"""Signed heads: when one is signed, where it is told, and what a lost key or a lost volume does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from core.tests.daemon.journal.test_journal import entries
from quarterdeck.daemon.config import JournalSection
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.journal.chain import Head
from quarterdeck.daemon.journal.heads import SignedHead, anchors_in
from quarterdeck.daemon.journal.schema import signed_head, signing_key
from quarterdeck.daemon.journal.signing import PublicKey, SigningKey
from quarterdeck.daemon.notary import EVERY, Notary, key_path
from quarterdeck.domain.errors import ConfigError


class Wall:
    """A clock the test turns."""

    def __init__(self) -> None:
        self.time = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", "main")
    yield journal
    journal.close()


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.open(tmp_path / "key")


def heads(journal: Journal) -> list[SignedHead]:
    journal.write(0, lambda _: None).result()
    with journal.reading() as connection:
        return [SignedHead(*row) for row in connection.execute(select(signed_head).order_by(signed_head.c.sequence))]


def keys(journal: Journal) -> list[Any]:
    journal.write(0, lambda _: None).result()
    with journal.reading() as connection:
        return list(connection.execute(select(signing_key).order_by(signing_key.c.sequence)))


def test_a_head_is_signed_every_minute_if_it_has_moved(journal: Journal, key: SigningKey, wall: Wall) -> None:
    notary = Notary(journal, key, None, wall)
    notary.keep()
    assert heads(journal) == []
    wall.time += EVERY
    journal.append_threadsafe(entries(1, 3)).result()
    notary.keep()
    wall.time += EVERY
    notary.keep()
    (signed,) = heads(journal)
    assert signed.head == journal.chain_head
    assert signed.time == wall.time - EVERY
    assert signed.is_signed_by(key.public, journal.journal_id)
    journal.append_threadsafe(entries(4)).result()
    notary.keep()
    wall.time += EVERY - 1
    notary.keep()
    assert len(heads(journal)) == 1
    wall.time += 1
    notary.keep()
    assert [each.sequence for each in heads(journal)] == [3, 4]


def test_a_clock_that_was_set_back_delays_nothing(journal: Journal, key: SigningKey, wall: Wall) -> None:
    notary = Notary(journal, key, None, wall)
    for number in (1, 2):
        journal.append_threadsafe(entries(number)).result()
        notary.keep()
        wall.time -= 1
    assert [each.sequence for each in heads(journal)] == [1, 2]


def test_a_start_is_signed_at_once(journal: Journal, key: SigningKey, wall: Wall) -> None:
    notary = Notary(journal, key, None, wall)
    journal.append_threadsafe(entries(1)).result()
    notary.keep()
    assert [each.sequence for each in heads(journal)] == [1]


def test_the_same_head_is_signed_once_whoever_starts(journal: Journal, key: SigningKey, wall: Wall) -> None:
    journal.append_threadsafe(entries(1)).result()
    Notary(journal, key, None, wall).sign()
    heads(journal)
    Notary(journal, key, None, wall).sign()
    assert len(heads(journal)) == 1


@pytest.mark.parametrize("change", ["sequence", "hash", "time", "signature", "journal", "key"])
def test_a_signature_is_for_one_head_of_one_journal_by_one_key(
    journal: Journal, key: SigningKey, tmp_path: Path, change: str
) -> None:
    signed = SignedHead.make(journal.journal_id, Head(3, b"h" * 32), 99, key)
    assert signed.is_signed_by(key.public, journal.journal_id)
    journal_id, public = journal.journal_id, key.public
    match change:
        case "journal":
            journal_id = type(journal_id)(int=journal_id.int ^ 1)
        case "key":
            public = SigningKey.open(tmp_path / "other").public
        case "sequence" | "time":
            signed = signed._replace(**{change: getattr(signed, change) + 1})
        case _:
            changed: Any = getattr(signed, change)
            flipped: Any = {change: bytes([changed[0] ^ 1]) + changed[1:]}
            signed = signed._replace(**flipped)
    assert not signed.is_signed_by(public, journal_id)


def test_every_signature_is_told_in_the_log_and_in_the_anchor_file(
    journal: Journal, key: SigningKey, wall: Wall, tmp_path: Path
) -> None:
    path = tmp_path / "anchor.jsonl"
    path.write_bytes(b'{"half of a li')
    notary = Notary(journal, key, path, wall)
    with capture_logs() as told:
        for number in (1, 2):
            journal.append_threadsafe(entries(number)).result()
            notary.sign()
            notary.close()
    (log, more) = [
        {name: value for name, value in line.items() if name not in ("event", "log_level")}
        for line in told
        if line["event"] == "head_signed"
    ]
    first, *lines = path.read_bytes().splitlines()
    assert first == b'{"half of a li'
    assert [json.loads(line) for line in lines] == [log, more]
    anchors = list(anchors_in(path))
    assert [each.signed for each in anchors] == heads(journal)
    assert all(each.signed.is_signed_by(each.key, each.journal_id) for each in anchors)
    assert {(each.journal_id, each.key) for each in anchors} == {(journal.journal_id, key.public)}


def test_an_anchor_file_that_can_not_be_written_is_told_and_stops_nothing(
    journal: Journal, key: SigningKey, wall: Wall, tmp_path: Path
) -> None:
    notary = Notary(journal, key, tmp_path / "gone" / "anchor", wall)
    journal.append_threadsafe(entries(1)).result()
    with capture_logs() as told:
        notary.sign()
        notary.close()
    assert [line["event"] for line in told if line["log_level"] == "error"] == ["anchor_file_failed"]
    assert len(heads(journal)) == 1


def test_a_key_is_announced_once_and_a_new_one_is_a_warning(journal: Journal, tmp_path: Path, wall: Wall) -> None:
    first = SigningKey.open(tmp_path / "first")
    with capture_logs() as told:
        Notary(journal, first, None, wall)
        assert len(keys(journal)) == 1
        Notary(journal, SigningKey.open(tmp_path / "first"), None, wall)
    assert [(line["log_level"], line["replaces_another"]) for line in told] == [("info", False)]
    journal.append_threadsafe(entries(1, 7)).result()
    second = SigningKey.open(tmp_path / "second")
    with capture_logs() as told:
        Notary(journal, second, None, wall)
    assert [(line["log_level"], line["replaces_another"]) for line in told] == [("warning", True)]
    assert [(row.key_id, row.public_key, row.sequence) for row in keys(journal)] == [
        (first.public.key_id, first.public.raw, 0),
        (second.public.key_id, second.public.raw, 7),
    ]


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = SigningKey.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    read = SigningKey.open(path)
    assert (made.is_new, read.is_new) == (True, False)
    assert read.public == made.public
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    SigningKey.open(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=r"key can be read or written by others \(mode 06\d\d\): make it 0600"):
        SigningKey.open(path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"a letter")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no key in PEM"):
        SigningKey.open(path)
    path.unlink()
    with pytest.raises(ConfigError, match="can't be used: No such file"):
        SigningKey.open(tmp_path / "gone" / "key")


def test_nothing_but_a_signature_is_one() -> None:
    nothing: list[Any] = [b"", b"x" * 64, "x" * 64, None, 7]
    assert not any(PublicKey(b"k" * 32).has_signed(b"message", each) for each in nothing)
    assert not PublicKey(b"short").has_signed(b"message", b"x" * 64)


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"url": "sqlite:///a/journal.db"}, "a/journal.db.key"),
        ({"url": "sqlite:////a/journal.db"}, "/a/journal.db.key"),
        ({"url": "postgresql://host/name"}, ".quarterdeck/signing.key"),
        ({"url": "postgresql://host/name", "signing_key": "/k"}, "/k"),
    ],
)
def test_where_the_key_is(section: dict[str, str], path: str) -> None:
    assert key_path(JournalSection(**section)) == Path(path)  # type: ignore[arg-type]  # texts, all of them
