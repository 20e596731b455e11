"""Owns the frames: what an exchange said, as it came, so that after a mistake in reading it, it can be read again.

They are evidence to look at and nothing follows from them: they are not events, and not part of the chain. So losing
some does no harm, and nothing ever waits for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, delete, func, insert, or_, select

from quarterdeck.daemon.journal.bulk import Bulk
from quarterdeck.daemon.journal.journal import Journal
from quarterdeck.daemon.journal.schema import frame
from quarterdeck.domain.market import DAY, MINUTE

log = structlog.get_logger(__name__)

#: Frames of one transaction: it delays the entries behind it by a few milliseconds at most.
PIECE = 1_000

#: Frames, and bytes of them, that wait for the writer at most.
MOST_WAITING, MOST_BYTES = 10_000, 16 << 20


class Frame(NamedTuple):
    """A message of an exchange: its number, when it was heard (nanoseconds), on which of its streams, and its bytes."""

    id: int
    time: int
    source: str
    body: bytes


class Frames:
    """Keeps the newest frames: at most `most` of them, none older than `days`; with 0 of either, none at all."""

    def __init__(self, journal: Journal, now: Callable[[], int], *, days: int, most: int) -> None:
        self._journal = journal
        self._now = now
        self._age = days * DAY
        self._most = most if days else 0
        self._last = 0
        self._waiting: deque[tuple[int, str, bytes]] = deque()
        self._bytes = 0
        self._written: Future[None] | None = None
        self._trimmed = 0
        self.dropped = 0
        """Frames that were not kept because the writer did not keep up."""

    def load(self) -> None:
        """Go on where the daemon before ended. Blocks."""
        if not self._last:
            with self._journal.reading() as connection:
                self._last = connection.scalar(select(func.max(frame.c.id))) or 0

    def note(self, source: str, body: bytes) -> None:
        """Take a frame. If too much waits for the writer, the oldest goes."""
        if not self._most:
            return
        self._waiting.append((self._now(), source, body))
        self._bytes += len(body)
        while len(self._waiting) > MOST_WAITING or self._bytes > MOST_BYTES:
            self._bytes -= len(self._waiting.popleft()[2])
            self.dropped += 1
            if self.dropped == 1:
                log.warning("frames_dropped")

    def flush(self) -> None:
        """Hand some of what was noted to the writer, unless it is still busy with what it was handed before."""
        if self._written is None or self._written.done():
            self._hand_over()

    def finish(self) -> None:
        """Hand all that was noted to the writer; closing the journal waits for it."""
        while self._hand_over() and self._waiting:
            pass

    def _hand_over(self) -> bool:
        """Have a piece written, and what is too old removed; returns whether there was something to do.

        On a full disk frames wait: what is left of it is for orders.
        """
        now = self._now()
        is_due = self._last and now - self._trimmed >= MINUTE
        if not (self._waiting or is_due) or not self._journal.has_room():
            return False
        rows: list[Frame] = []
        while self._waiting and len(rows) < PIECE:
            self._last += 1
            rows.append(Frame(self._last, *self._waiting.popleft()))
            self._bytes -= len(rows[-1].body)
        self._trimmed = now
        self._written = self._journal.write(0, partial(_write, rows, self._last - self._most, now - self._age))
        return True


def _write(rows: Sequence[Frame], until: int, since: int, connection: Connection) -> None:
    """Add frames, and remove a part of those up to a number or before a time, if there are any."""
    if rows:
        # A commit whose answer was lost is done again, and may have been done the first time.
        connection.execute(delete(frame).where(frame.c.id >= rows[0].id))
        Bulk(insert(frame), connection.dialect)(connection, rows)
    oldest = connection.execute(select(frame.c.id, frame.c.time).order_by(frame.c.id).limit(1)).first()
    if oldest is not None and (oldest.id <= until or oldest.time < since):
        too_old = or_(frame.c.id <= until, frame.c.time < since)
        connection.execute(delete(frame).where(frame.c.id < oldest.id + 2 * PIECE, too_old))


def read_frames(connection: Connection, after: int, limit: int, source: str | None = None) -> list[Frame]:
    """At most `limit` frames after a number, oldest first, of one source or all. Blocks."""
    query = select(frame).where(frame.c.id > after).order_by(frame.c.id).limit(limit)
    if source is not None:
        query = query.where(frame.c.source == source)
    return [Frame._make(row) for row in connection.execute(query)]
