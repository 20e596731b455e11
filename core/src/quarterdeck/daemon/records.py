"""Owns making the engine's events durable: encoded, journaled, and then shown to readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.journal import Entry, Journal
from quarterdeck.engine.events import Recorded
from quarterdeck.rpc.convert.envelope import encode, event_type


class Records:
    """The engine's way to the disk. Implements the loop's `Committer`."""

    def __init__(self, journal: Journal, log: EventLog, account_id: str) -> None:
        self._journal = journal
        self._log = log
        self._account_id = account_id

    def commit(self, events: Sequence[Recorded], done: Callable[[BaseException | None], None]) -> None:
        """Write events; once they are durable readers see them and `done` is called, with what went wrong if it did."""
        account = self._account_id
        try:
            entries = [Entry(one.sequence, one.time, event_type(one.event), encode(one, account)) for one in events]
            written = self._journal.append(entries)
        except Exception as error:  # noqa: BLE001 - what can't be written, for whatever reason, ends the daemon
            done(error)
            return

        def finished(written: asyncio.Future[None]) -> None:
            failure = written.exception()
            if failure is None:
                self._log.extend(entries)
            done(failure)

        written.add_done_callback(finished)
