"""Owns the state as bytes, and how it is found again: the newest usable snapshot, and the fold of what follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, insert, select

from quarterdeck.daemon.journal.chain import seal
from quarterdeck.daemon.journal.journal import Entry, Journal, JournalDamaged, Snapshot
from quarterdeck.daemon.journal.projections import Projections
from quarterdeck.daemon.journal.schema import base, snapshot
from quarterdeck.daemon.journal.verification import Reading, stored
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.state import State

#: Decodes an entry, folds it into the state, and returns what it was.
FoldEntry = Callable[[State, Entry], Recorded]

#: What a state looks like in a base. Raised when that changes, with a way from the version before in `_UPGRADES`: the
#: entries a base stands for are gone, so it has to be read for ever. A test notices the change.
STATE_VERSION = 1

#: From a version, as what JSON gives, to the next.
_UPGRADES: Mapping[int, Callable[[Any], Any]] = {}

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


def save_base(journal: Journal, state: State) -> Future[None]:
    """Keep the state as what the journal begins with: what is up to its sequence may be removed when this is done."""

    def save(connection: Connection) -> None:
        head = stored(connection, journal.journal_id, state.sequence)
        body = dump_state(state)
        row = {"sequence": head.sequence, "version": STATE_VERSION, "hash": head.hash, "body": body}
        connection.execute(insert(base), row | {"digest": seal(head.hash, _base_name(STATE_VERSION), body)})
        connection.execute(delete(base).where(base.c.sequence < head.sequence))
        connection.execute(delete(snapshot).where(snapshot.c.sequence < head.sequence))

    return journal.write(state.sequence, save)


def base_state(read: Reading) -> State:
    """The state a journal begins with: an empty one, unless it was compacted.

    Raises:
        JournalDamaged: it is not what was written, or a newer Quarterdeck's.
    """
    with read() as connection:
        row = connection.execute(select(base).order_by(base.c.sequence.desc()).limit(1)).first()
    if row is None:
        return State()
    if seal(row.hash, _base_name(row.version), row.body) != row.digest:
        raise JournalDamaged(f"base {row.sequence}: is not what was written")
    if row.version > STATE_VERSION:
        raise JournalDamaged(
            f"base {row.sequence}: is of version {row.version}, this Quarterdeck knows {STATE_VERSION}"
        )
    if row.version == STATE_VERSION:
        return parse_state(row.body)
    found = json.loads(row.body)
    for version in range(row.version, STATE_VERSION):
        found = _UPGRADES[version](found)
    return parse_state(json.dumps(found).encode())


def _base_name(version: int) -> str:
    return f"base {version}"


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
    state = base_state(journal.reading) if newest is None else parse_state(newest.body)
    if state.sequence > projections.cursor:  # the tables have to be made again, and the entries for them are gone
        projections.adopt(state)
    written: Future[None] | None = None
    for entry in journal.iterate(state.sequence):
        projections.touch(state, fold_entry(state, entry))
        if projections.is_due:
            if written is not None:
                written.result()  # so that what waits to be written does not pile up
            written = projections.flush(state)
    projections.flush(state).result()
    return state
