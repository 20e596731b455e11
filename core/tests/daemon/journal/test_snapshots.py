"""Snapshots: the state comes back as it was, and folding from any of them is folding the whole journal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.daemon.journal.trading import Chance, entries_of, fold_entry, write
from quarterdeck.daemon.journal import (
    Entry,
    Journal,
    JournalDamaged,
    Projections,
    Snapshot,
    load_state,
    save_state,
    snapshots,
)
from quarterdeck.daemon.journal.snapshots import dump_state, parse_state, state_format
from quarterdeck.domain.ledger import Book
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State

EVENTS = 400


@cache
def history(seed: int, events: int = EVENTS) -> Sequence[Recorded]:
    return Chance(seed).trade(events)


def folded(events: Sequence[Recorded]) -> State:
    state = State()
    for recorded in events:
        fold(state, recorded)
    return state


def alike(one: Any, other: Any) -> bool:
    """Equal, in the same order where order is kept, of the same types, and with the same digits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if is_dataclass(one):
        return all(alike(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, Decimal):
        return str(one) == str(other)
    return bool(one == other)


def test_alike_sees_what_equality_does_not() -> None:
    assert {"a": 1, "b": 2} == {"b": 2, "a": 1}
    assert not alike({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not alike(Decimal("1.0"), Decimal("1.00"))
    assert not alike(Book.FEES, "FEES")
    state = folded(history(1))
    assert alike(state, folded(history(1)))
    assert not alike(state, folded(history(1)[:-1]))


def test_chance_has_made_something_of_everything() -> None:
    state = folded(history(1))
    for name in ("positions", "shares", "bots", "open_orders", "closed_orders", "links", "trades", "requests"):
        assert getattr(state, name), name
    assert any(state.trades.values())
    assert state.funding_ids
    assert state.exposures


@given(st.integers(0, 50), st.integers(0, EVENTS))
def test_a_state_comes_back_as_it_was(seed: int, length: int) -> None:
    state = folded(history(seed)[:length])
    assert alike(parse_state(dump_state(state)), state)


@given(st.integers(0, 50), st.integers(0, EVENTS))
def test_folding_on_from_a_snapshot_is_folding_the_whole(seed: int, length: int) -> None:
    events = history(seed)
    state = parse_state(dump_state(folded(events[:length])))
    for recorded in events[length:]:
        fold(state, recorded)
    assert alike(state, folded(events))


@pytest.mark.parametrize(
    "text", ["0", "-0", "1E+3", "0E-8", "1E-18", "-12.500", "1234567890123456789.123456789012345678"]
)
def test_amounts_keep_their_digits(text: str) -> None:
    state = State(realized_pnl=Decimal(text))
    assert parse_state(dump_state(state)).realized_pnl.as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize("places", [[], [0], [200], [100, 200, 300], [EVENTS]])
def test_a_restart_finds_the_state_wherever_snapshots_were_taken(url: str, places: list[int]) -> None:
    events = history(2)
    journal = Journal.open(url, "main")
    tables = Projections(journal)
    state = State()
    write(journal, events)
    for place in range(EVENTS + 1):
        if place:
            fold(state, events[place - 1])
            tables.touch(state, events[place - 1])
        if place in places:
            save_state(journal, state, tables).result()
    journal.close()

    journal = Journal.open(url, "main")
    seen: list[int] = []

    def counting(state: State, entry: Entry) -> Recorded:
        seen.append(entry.sequence)
        return fold_entry(state, entry)

    found = load_state(journal, counting, Projections(journal))
    assert alike(found, folded(events))
    assert seen == list(range(max(places, default=0) + 1, EVENTS + 1))
    journal.close()


def test_two_snapshots_are_kept_and_the_one_within_reach_is_used(journal: Journal) -> None:
    write(journal, history(3))
    for sequence in (10, 20, 30):
        journal.save_snapshot(Snapshot(sequence, "f", f"{sequence}".encode())).result()
    journal.save_snapshot(Snapshot(30, "f", b"again")).result()
    assert journal.latest_snapshot("f", at_most=1000) == Snapshot(30, "f", b"again")
    assert journal.latest_snapshot("f", at_most=29) == Snapshot(20, "f", b"20")
    assert journal.latest_snapshot("f", at_most=19) is None
    assert journal.latest_snapshot("g", at_most=1000) is None


def test_a_snapshot_of_what_is_not_in_the_journal_is_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="was not appended yet"):
        journal.save_snapshot(Snapshot(1, "f", b""))


def test_a_snapshot_of_other_code_is_ignored(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    events = history(4)
    write(journal, events)
    tables = Projections(journal)
    save_state(journal, load_state(journal, fold_entry, tables), tables).result()
    monkeypatch.setattr(snapshots, "state_format", lambda: "other code")
    seen: list[int] = []

    def counting(state: State, entry: Entry) -> Recorded:
        seen.append(entry.sequence)
        return fold_entry(state, entry)

    assert alike(load_state(journal, counting, Projections(journal)), folded(events))
    assert len(seen) == EVENTS


@pytest.mark.parametrize("body", [b"", b"{", b'{"sequence": "many"}', b'{"realized_pnl": "NaN"}'])
def test_a_snapshot_that_nobody_wrote_is_damage(body: bytes) -> None:
    with pytest.raises(JournalDamaged, match="snapshot"):
        parse_state(body)


def test_the_format_follows_every_byte_of_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapshots, "files", lambda package: tmp_path / package)
    formats: list[str] = []

    def note() -> None:
        state_format.cache_clear()
        formats.append(state_format())

    packages = ("quarterdeck.domain", "quarterdeck.engine")
    for package in packages:
        (tmp_path / package).mkdir()
    for package in packages:
        for text in ("x = 1", "x = 2"):
            (tmp_path / package / "a.py").write_text(text)
            note()
    (tmp_path / packages[0] / "a.py").rename(tmp_path / packages[0] / "b.py")
    note()
    assert len(set(formats)) == len(formats)
    note()
    assert formats[-1] == formats[-2]
    monkeypatch.undo()
    state_format.cache_clear()
    assert state_format() not in formats


@pytest.mark.slow
def test_a_restart_with_a_hundred_thousand_events_takes_less_than_three_seconds(url: str) -> None:
    events = Chance(9).trade(100_000)
    journal = Journal.open(url, "main", sync=False)
    journal.append_threadsafe(entries_of(events)).result()
    journal.close()
    journal = Journal.open(url, "main")
    tables = Projections(journal)
    state = load_state(journal, fold_entry, tables)
    save_state(journal, state, tables).result()
    journal.close()

    began = time.process_time()
    journal = Journal.open(url, "main")
    found = load_state(journal, fold_entry, Projections(journal))
    assert time.process_time() - began < 3
    assert found == state
    journal.close()
