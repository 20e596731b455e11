"""Owns the state as bytes, and how it is found again: the newest usable snapshot, and the fold of what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import delete

from quarterdeck.daemon.journal.journal import Entry, Journal, JournalDamaged, Snapshot
from quarterdeck.daemon.journal.projections import Projections
from quarterdeck.daemon.journal.schema import snapshot
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.state import State

#: Decodes an entry, folds it into the state, and returns what it was.
FoldEntry = Callable[[State, Entry], Recorded]

#: The code a state is the result of.
_CODE = ("quarterdeck.domain", "quarterdeck.engine")


@cache
def _adapter() -> TypeAdapter[State]:
    return TypeAdapter(State)


def dump_state(state: State) -> bytes:
    """A state as JSON. Decimals are texts, so they come back digit for digit; orders of insertion are kept."""
    return _adapter().dump_json(state)


def parse_state(body: bytes) -> State:
    """The state that `dump_state` wrote, by the same code.

    Raises:
        JournalDamaged: these bytes were not written by it.
    """
    try:
        return _adapter().validate_json(body)
    except ValidationError as error:
        raise JournalDamaged(f"a snapshot of the state can't be read: {error}") from error


@cache
def state_format() -> str:
    """Names the code whose states can be read: a digest of the sources of the domain and the engine.

    A state is worth what the code was that made it. After any change it is made again from the events, which costs one
    slow start; a snapshot that would be misread, or that holds what a mended fold would not do, is never used.
    """
    digest = hashlib.sha256()
    for package in _CODE:
        sources = sorted(
            (each for each in files(package).iterdir() if each.name.endswith(".py")), key=lambda each: each.name
        )
        for source in sources:
            body = source.read_bytes()
            digest.update(f"{package}/{source.name} {len(body)}\n".encode())
            digest.update(body)
    return digest.hexdigest()


def save_state(journal: Journal, state: State, projections: Projections) -> Future[None]:
    """Keep the state as it is now, for the next start. The future is done when it is written.

    Takes some 40 ms of the calling thread when ten thousand orders and a hundred thousand requests are remembered.
    """
    projections.flush(state)  # first, so that no snapshot is ever ahead of the tables
    return journal.save_snapshot(Snapshot(state.sequence, state_format(), dump_state(state)))


def discard_derived(journal: Journal) -> None:
    """Throw away everything that the next start makes again from the entries: snapshots and tables. Blocks."""
    journal.write(0, lambda connection: connection.execute(delete(snapshot)))
    Projections(journal).reset().result()


def load_state(journal: Journal, fold_entry: FoldEntry, projections: Projections) -> State:
    """The state at the journal's head, and the tables brought up to it. Blocks.

    Starts from the newest snapshot of this code that is not ahead of the tables, so that all they lack is folded again.

    Raises:
        JournalDamaged: an entry is missing, or the snapshot can't be read.
        JournalBroken: the tables could not be written.
    """
    newest = journal.latest_snapshot(state_format(), at_most=projections.cursor)
    state = State() if newest is None else parse_state(newest.body)
    written: Future[None] | None = None
    for entry in journal.iterate(state.sequence):
        projections.touch(state, fold_entry(state, entry))
        if projections.is_due:
            if written is not None:
                written.result()  # so that what waits to be written does not pile up
            written = projections.flush(state)
    projections.flush(state).result()
    return state
