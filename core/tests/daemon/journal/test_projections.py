"""The tables beside the log: always what the state says, however often and whenever they were written."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from core.tests.daemon.journal.test_journal import Gate
from core.tests.daemon.journal.test_snapshots import folded, history
from core.tests.daemon.journal.trading import entries_of, fold_entry, write
from quarterdeck.daemon.journal import Journal, JournalBroken, Projections, load_state, projections, save_state, schema
from quarterdeck.engine.events import (
    AccountOpened,
    BalanceAdjusted,
    Event,
    FundingPaid,
    OrderAdopted,
    OrderAmended,
    OrderCanceled,
    OrderCancelRequested,
    OrderFilled,
    OrderPrepared,
    OrderSent,
    PortfolioSnapshotTaken,
    Recorded,
)
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State


def tables(journal: Journal) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with journal.reading() as connection:
        return {
            table.name: sorted(tuple(row) for row in connection.execute(select(table))) for table in schema.PROJECTIONS
        }


def touched(journal: Journal, events: Sequence[Recorded]) -> tuple[Projections, State]:
    """Everything folded and noted, nothing flushed."""
    noted, state = Projections(journal), State()
    for recorded in events:
        fold(state, recorded)
        noted.touch(state, recorded)
    return noted, state


def live(journal: Journal, events: Sequence[Recorded], seed: int) -> Projections:
    """Write events as a daemon does, flushing now and then."""
    chance = Random(seed)
    noted = Projections(journal)
    state = State()
    written = 0
    while written < len(events):
        batch = events[written : written + chance.randint(1, 20)]
        written += len(batch)
        write(journal, batch)
        for recorded in batch:
            fold(state, recorded)
            noted.touch(state, recorded)
        if chance.random() < 0.5:
            noted.flush(state)
    noted.flush(state).result()
    assert noted.cursor == state.sequence
    return noted


@pytest.mark.parametrize(
    "last",
    [
        AccountOpened,
        BalanceAdjusted,
        FundingPaid,
        OrderAdopted,
        OrderAmended,
        OrderCanceled,
        OrderCancelRequested,
        OrderFilled,
        OrderPrepared,
        OrderSent,
        PortfolioSnapshotTaken,
    ],
)
def test_the_tables_say_what_the_state_says(journal: Journal, last: type[Event]) -> None:
    everything = history(5)
    place = max(recorded.sequence for recorded in everything if isinstance(recorded.event, last))
    events = everything[:place]
    live(journal, events[:-1], seed=0)
    write(journal, events[-1:])
    noted, state = touched(journal, events)  # the last alone: what the tables have is left out
    noted.flush(state).result()
    found = tables(journal)
    with journal.reading() as connection:
        orders = {row.order_id: row for row in connection.execute(select(schema.orders))}
        positions = {row.symbol: row for row in connection.execute(select(schema.positions))}
        balances = {(row.currency, row.book): row.amount for row in connection.execute(select(schema.balances))}
    known = state.open_orders | state.closed_orders
    assert orders.keys() == known.keys()
    for order_id, row in orders.items():
        order = known[order_id]
        for name in projections.RECORD:
            assert getattr(row, name) == getattr(order, name), (order_id, name)
        for name in projections.TERMS:
            assert getattr(row, name) == getattr(order.terms, name), (order_id, name)
    assert positions.keys() == state.positions.keys()
    for symbol, row in positions.items():
        for name in projections.POSITION:
            assert getattr(row, name) == getattr(state.positions[symbol], name), (symbol, name)
    assert balances == {
        (currency, book): amount for currency, books in state.ledger.totals.items() for book, amount in books.items()
    }
    assert len(found["fills"]) == sum(isinstance(recorded.event, OrderFilled) for recorded in events)
    taken = sum(isinstance(recorded.event, PortfolioSnapshotTaken) for recorded in events)
    assert len(found["portfolio_snapshots"]) == taken


@pytest.mark.parametrize("seed", range(5))
def test_building_the_tables_from_nothing_gives_the_same_rows(
    url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "ENOUGH", 50)
    monkeypatch.setattr(projections, "PIECE", 11)
    journal = Journal.open(url, "main")
    noted = live(journal, history(seed), seed)
    before = tables(journal)
    assert all(before.values())
    noted.reset().result()
    assert not any(tables(journal).values())
    journal.close()
    journal = Journal.open(url, "main")
    load_state(journal, fold_entry, Projections(journal))
    assert tables(journal) == before
    journal.close()


@pytest.mark.parametrize("flushed", [0, 1, 200, 399, 400])
@pytest.mark.parametrize("kept", [None, 100])
def test_a_crash_before_the_flush_is_made_up_for_at_the_next_start(url: str, flushed: int, kept: int | None) -> None:
    events = history(6)
    journal = Journal.open(url, "main")
    noted = Projections(journal)
    state = State()
    write(journal, events)
    for recorded in events:
        if recorded.sequence == kept:
            save_state(journal, state, noted).result()
        fold(state, recorded)
        noted.touch(state, recorded)
        if recorded.sequence == flushed:
            noted.flush(state).result()
    journal.close()  # the rest was noted, and is lost

    journal = Journal.open(url, "main")
    noted = Projections(journal)
    assert noted.cursor == max(flushed, 0 if kept is None else kept - 1)
    load_state(journal, fold_entry, noted)
    after = tables(journal)
    assert noted.cursor == 400
    noted.reset().result()
    load_state(journal, fold_entry, noted)
    assert tables(journal) == after
    journal.close()


def test_a_snapshot_ahead_of_the_tables_is_not_used(journal: Journal) -> None:
    events = history(6)
    write(journal, events)
    noted = Projections(journal)
    save_state(journal, load_state(journal, fold_entry, noted), noted).result()
    complete = tables(journal)
    noted.reset().result()
    load_state(journal, fold_entry, noted)
    assert tables(journal) == complete


def test_touching_again_what_the_tables_have_adds_nothing(journal: Journal) -> None:
    events = history(7)
    noted = live(journal, events, seed=7)
    before = tables(journal)
    state = State()
    for recorded in events:
        fold(state, recorded)
        noted.touch(state, recorded)
    assert not noted.is_due
    noted.flush(state).result()
    assert tables(journal) == before


def test_a_large_flush_lets_entries_through(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "PIECE", 7)
    events = history(6)
    write(journal, events[:-1])
    noted, state = touched(journal, events[:-1])
    gate = Gate(journal)
    written = noted.flush(state)
    waiting: list[bool] = []
    appended = journal.append_threadsafe(entries_of(events[-1:]))
    appended.add_done_callback(lambda _: waiting.append(not written.done()))
    gate.open()
    written.result()
    assert waiting == [True], "the entry waited for the whole flush"


@pytest.mark.parametrize("survives", [0, 1, 5])
def test_a_flush_that_is_cut_short_is_made_up_for_at_the_next_start(
    url: str, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    original, done = projections._write, 0

    def crashing(piece: Any, connection: Any) -> None:
        nonlocal done
        original(piece, connection)
        done += 1
        if done > survives:
            raise OSError("power")

    events = history(6)
    journal = Journal.open(url, "main")
    write(journal, events)
    noted, state = touched(journal, events)
    with monkeypatch.context() as patched:
        patched.setattr(projections, "PIECE", 7)
        patched.setattr(projections, "_write", crashing)
        with pytest.raises(JournalBroken, match="power"):
            noted.flush(state).result()
    journal.close()

    journal = Journal.open(url, "main")
    noted = Projections(journal)
    assert noted.cursor == 0
    load_state(journal, fold_entry, noted)
    made_up = tables(journal)
    noted.reset().result()
    load_state(journal, fold_entry, noted)
    assert tables(journal) == made_up
    assert len(made_up["orders"]) == len(state.open_orders | state.closed_orders) > 7
    journal.close()


def test_tables_of_another_version_are_built_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(url, "main")
    live(journal, history(8), seed=8)
    before = tables(journal)
    monkeypatch.setattr(schema, "PROJECTION_VERSION", 2)
    noted = Projections(journal)
    assert noted.cursor == 0
    load_state(journal, fold_entry, noted)
    assert tables(journal) == before
    assert Projections(journal).cursor == 400
    journal.close()


def test_an_order_forgotten_by_the_state_is_still_written(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quarterdeck.engine.fold.CLOSED_ORDERS_KEPT", 3)
    events = history(9)
    write(journal, events)
    state = load_state(journal, fold_entry, Projections(journal))
    assert len(state.closed_orders) == 3
    prepared = {
        getattr(one.event, "order_id", "")
        for one in events
        if type(one.event).__name__ in ("OrderPrepared", "OrderAdopted")
    }
    with journal.reading() as connection:
        assert set(connection.scalars(select(schema.orders.c.order_id))) == prepared


def test_a_state_ahead_of_the_journal_is_not_written(journal: Journal) -> None:
    events = history(5)
    write(journal, events[:-1])
    with pytest.raises(ValueError, match="entry 400 was not appended yet"):
        Projections(journal).flush(folded(events))


def test_a_flush_is_due_after_enough_rows(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "ENOUGH", 100)
    events = history(5)
    write(journal, events)
    noted = Projections(journal)
    state = State()
    assert not noted.is_due
    for recorded in events:
        fold(state, recorded)
        noted.touch(state, recorded)
        if noted.is_due:
            break
    assert 100 <= state.sequence < 400
    noted.flush(state)
    assert not noted.is_due
