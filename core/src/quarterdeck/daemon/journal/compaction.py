"""Owns forgetting: the oldest entries are replaced by the state they lead to, from which every later start goes on.

The tables beside the log keep what they have, so orders and fills of long ago are still listed. Whoever reads events is
told where they begin now.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, delete, func, select

from quarterdeck.daemon.journal.journal import Journal
from quarterdeck.daemon.journal.schema import event
from quarterdeck.daemon.journal.snapshots import FoldEntry, base_state, save_base

#: Entries removed in one transaction: it delays the entries behind it by a few milliseconds at most.
PIECE = 1_000

_DAY = 86_400_000_000_000


def cut(journal: Journal, now: int, keep_events: int = 0, keep_days: int = 0) -> int:
    """Up to where a journal may be compacted: so many events are kept, and those of so many days; 0 keeps all. Blocks.

    With both, an event is kept if either says so. The last one always is.
    """
    if not keep_events and not keep_days:
        return 0
    until = journal.head - max(keep_events, 1)
    if keep_days:
        recent = select(func.min(event.c.sequence)).where(event.c.time >= now - keep_days * _DAY)
        with journal.reading() as connection:
            first = connection.scalar(recent)
        if first is not None:
            until = min(until, first - 1)
    return until


def compact(journal: Journal, until: int, fold_entry: FoldEntry) -> int:
    """Replace the entries up to a sequence by their state; returns how many that were. Blocks.

    What is removed is folded once more, and only if all of it is what was written. An interruption does no harm: the
    state is there before the first entry goes, and the next time the rest is removed.

    Raises:
        JournalDamaged: an entry is not what was written; nothing was removed.
        JournalBroken: a write failed.
    """
    state = base_state(journal.reading)
    began = state.sequence
    if until > began:
        for entry in journal.iterate(state.sequence):
            if entry.sequence > until:
                break
            fold_entry(state, entry)
        journal.forget(until)
        save_base(journal, state).result()
    _remove(journal, max(until, began))
    return max(until - began, 0)


def _remove(journal: Journal, until: int) -> None:
    with journal.reading() as connection:
        first = connection.scalar(select(func.min(event.c.sequence))) or until + 1
    while first <= until:
        first = min(first + PIECE, until + 1)
        journal.write(0, partial(_remove_before, first)).result()


def _remove_before(first: int, connection: Connection) -> None:
    connection.execute(delete(event).where(event.c.sequence < first))
