"""The chain: the formula is what the documentation says, and no edit of an entry escapes it."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from core.tests.daemon.journal.test_journal import entries
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.journal.chain import Head, follows, genesis, link
from quarterdeck.daemon.journal.schema import event

ROW = (7, 1_700_000_000_000_000_000, "main", "OrderSent", b"body")
PREVIOUS = b"p" * 32


def test_the_hash_of_an_entry_spelt_out() -> None:
    spelt = (
        PREVIOUS
        + (7).to_bytes(8, "big")
        + (1_700_000_000_000_000_000).to_bytes(8, "big")
        + b"\x00\x04main"
        + b"\x00\x09OrderSent"
        + b"body"
    )
    assert link(PREVIOUS, *ROW) == hashlib.sha256(spelt).digest()


def test_every_journal_begins_elsewhere() -> None:
    one, other = genesis(UUID(int=1)), genesis(UUID(int=2))
    assert one == Head(0, hashlib.sha256(b"quarterdeck journal 1\n" + b"\x00" * 15 + b"\x01").digest())
    assert one != other


text = st.text(max_size=20).filter(lambda given: given.isprintable())
integer = st.integers(-(2**63), 2**63 - 1)
values = st.tuples(integer, integer, text, text, st.binary(max_size=50))


@given(values, values, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_only_the_same_entry_after_the_same_hash_has_the_same_hash(
    one: Any, other: Any, before: bytes, after: bytes
) -> None:
    assert (link(before, *one) == link(after, *other)) == ((before, one) == (after, other))


@given(values, st.integers(0, 5), st.none() | st.integers() | st.floats() | st.text() | st.binary())
def test_a_row_with_any_value_replaced_does_not_follow(row: Any, place: int, value: Any) -> None:
    whole = [*row, link(PREVIOUS, *row)]
    assert follows(PREVIOUS, whole)
    was, whole[place] = whole[place], value
    assert follows(PREVIOUS, whole) is (was == value and type(was) is type(value))


@pytest.mark.parametrize("previous", [b"", b"p" * 31, b"p" * 33, None, "p" * 32])
def test_what_is_no_hash_has_no_follower(previous: Any) -> None:
    assert not follows(previous, [*ROW, link(PREVIOUS, *ROW)])


def test_the_writer_chains_entries_whatever_they_come_in(journal: Journal) -> None:
    journal.append_threadsafe(entries(1, 3)).result()
    journal.append_threadsafe(entries(4)).result()
    for written in [journal.append_threadsafe([each]) for each in entries(5, 300)]:
        written.result()
    expected = genesis(journal.journal_id).hash
    with journal.reading() as connection:
        rows = connection.execute(select(event).order_by(event.c.sequence)).all()
    for row in rows:
        expected = link(expected, row.sequence, row.time, row.account, row.type, row.body)
        assert row.hash == expected
    assert len(rows) == 304
    assert journal.chain_head == Head(304, expected)


def test_a_reopened_journal_goes_on_where_the_chain_was(url: str) -> None:
    journal = Journal.open(url, "main")
    assert journal.chain_head == genesis(journal.journal_id)
    journal.append_threadsafe(entries(1, 2)).result()
    head = journal.chain_head
    journal.close()
    journal = Journal.open(url, "main")
    assert journal.chain_head == head
    journal.append_threadsafe(entries(3)).result()
    assert [entry.sequence for entry in journal.iterate(0)] == [1, 2, 3]
    journal.close()
