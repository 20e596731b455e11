"""Owns reading the journal as a stream: new events from memory, older ones from the disk, and word of new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from quarterdeck.daemon.journal import Entry, Journal

#: Events kept in memory; a reader further behind reads the journal at its own pace.
RECENT = 8_192


class EventLog:
    """What is durable, for readers on the event loop. Appending wakes all who wait, once per commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._recent: list[Entry] = []
        self._waiters: list[asyncio.Future[None]] = []
        self.head = journal.head
        """The last durable sequence."""

    @property
    def oldest(self) -> int:
        """The first sequence that is still kept; the one after the head if none is."""
        return self._journal.oldest

    def hash_at(self, sequence: int) -> bytes:
        """The hash that stands for all up to a sequence, if that is the journal's last; else empty."""
        head = self._journal.chain_head
        return head.hash if head.sequence == sequence else b""

    def extend(self, entries: Sequence[Entry]) -> None:
        """Take note of entries that have just become durable."""
        recent = self._recent
        recent.extend(entries)
        if len(recent) > 2 * RECENT:  # trimmed by halves, so that slices from the end stay cheap
            del recent[:-RECENT]
        self.head = entries[-1].sequence
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def recent(self, after: int) -> Sequence[Entry] | None:
        """Everything after a sequence, if all of it is still in memory; None if it has to be read from the journal."""
        behind = self.head - after
        if behind <= 0:
            return ()
        return None if behind > len(self._recent) else self._recent[-behind:]

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        """At most `limit` events after a sequence, from memory or from the journal."""
        recent = self.recent(after)
        if recent is not None:
            return recent[:limit]
        return await asyncio.to_thread(self._journal.read, after, limit)

    async def wait_beyond(self, sequence: int) -> None:
        """Wait until there is an event after `sequence`."""
        while self.head <= sequence:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
