"""Owns writing: what was asked for while the writer was busy goes to the disk together, with one sync.

It has a thread of its own, so that nobody waits for the disk; or none, when `Turns` has it called, as in a simulation.

After a transaction that failed nobody knows what the disk holds, and asking it again may get a false yes. So a writer
that has failed stays broken, and the process has to begin again from what is really there. Only where the database is
another process can it be asked: what a lost connection leaves open is looked up on the next one, for a while.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, func, insert, select
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, stop_when_event_set, wait_exponential_jitter
from tenacity.nap import sleep_using_event

from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.journal.bulk import Bulk
from quarterdeck.daemon.journal.chain import Head, link
from quarterdeck.daemon.journal.database import ConnectionLost, Database
from quarterdeck.daemon.journal.schema import event


class Entry(NamedTuple):
    """One line of the journal: its dense number from 1, when it was decided, the event's name, and its bytes."""

    sequence: int
    time: int
    type: str
    body: bytes


Done = Future[None] | asyncio.Future[None]


class JournalBroken(Exception):
    """A write failed. Whether it reached the disk is known only after the journal has been opened again."""


class JournalLost(Exception):
    """The database came back without what it had confirmed, or with what we did not write."""


#: Hears, on the writer's thread, that the database is away and why, and with None that it is back.
Trouble = Callable[[str | None], None]


def _nobody(_trouble: str | None) -> None:
    """Hears nothing."""


@dataclass(frozen=True, slots=True)
class _Append:
    entries: Sequence[Entry]
    done: Done


@dataclass(frozen=True, slots=True)
class _Task:
    action: Callable[[Connection], object]
    done: Future[None]


Job = TypeVar("Job", _Append, _Task)

#: Has a writer without a thread called, now or later, once for each time it is asked.
Turns = Callable[[Callable[[], None]], None]


class Writer:
    """Writes in the order of the calls, except that entries overtake tasks.

    So a task delays entries by no more than itself. Both methods may be called from any thread and never wait. With
    `turns` it has no thread: entries are written when it is called, tasks at once.
    """

    def __init__(
        self,
        database: Database,
        account: str,
        head: Head,
        *,
        synced: bool,
        patience: float = 60.0,
        turns: Turns | None = None,
    ) -> None:
        self.head = head
        """The last entry that is durable, and the hash that stands for all up to it."""
        self._database = database
        self._account = account
        self._synced = synced
        self._patience = patience
        self.on_trouble: Trouble = _nobody
        self._next = head.sequence + 1
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Append | _Task | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._is_closed = False
        self._closing = threading.Event()
        self._is_ending = False
        self._insert = Bulk(insert(event), database.dialect)
        self._tasks: deque[_Task] = deque()
        self._turns = turns
        self._thread: threading.Thread | None = None
        if turns is None:
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        """Queue entries that continue the journal; `done` is completed when they are durable.

        Raises:
            ValueError: they do not continue what was appended before, or the journal is closed.
            JournalBroken: an earlier write failed.
        """
        with self._lock:
            self._check_usable()
            expected = self._next
            for entry in entries:
                if entry.sequence != expected:
                    raise ValueError(f"entry {entry.sequence} does not continue the journal: {expected} comes next")
                expected += 1
            self._next = expected
            self._queue.put(_Append(entries, done))
        if self._turns is not None:
            self._turns(self._catch_up)

    def run(self, sequence: int, action: Callable[[Connection], object]) -> Future[None]:
        """Queue a transaction over what follows from the entries up to `sequence`, which must have been appended.

        It is not synced: what it writes can be derived again.

        Raises:
            ValueError: that entry was not appended yet, or the journal is closed.
            JournalBroken: an earlier write failed.
        """
        done: Future[None] = Future()
        with self._lock:
            self._check_usable()
            if sequence >= self._next:
                raise ValueError(f"entry {sequence} was not appended yet: {self._next} comes next")
            self._queue.put(_Task(action, done))
        if self._turns is not None:
            self._catch_up()
        return done

    def close(self) -> None:
        """Write what is queued and end. A second call does nothing."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._closing.set()
                self._queue.put(None)
        if self._thread is None:
            self._catch_up()
        else:
            self._thread.join()

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise _broken(self._failure)
        if self._is_closed:
            raise ValueError("the journal is closed")

    def _run(self) -> None:
        while self._round(self._take(wait=not self._tasks)):
            pass

    def _catch_up(self) -> None:
        """Write all that is queued, on the caller's thread."""
        while self._tasks or not self._queue.empty():
            self._round(self._take(wait=False))

    def _round(self, jobs: Sequence[_Append | _Task | None]) -> bool:
        """Write the entries that came, then one task; returns whether there may be more to do."""
        appends: list[_Append] = []
        for job in jobs:
            if job is None:
                self._is_ending = True
            elif isinstance(job, _Append):
                appends.append(job)
            else:
                self._tasks.append(job)
        if appends:
            self._do(self._commit, appends)
        if self._tasks:
            self._do(self._perform, [self._tasks.popleft()])
        return bool(self._tasks) or not self._is_ending

    def _take(self, *, wait: bool) -> list[_Append | _Task | None]:
        """Everything that is queued; if there is nothing and we may wait, whatever comes next."""
        jobs = [self._queue.get()] if wait else []
        while not self._queue.empty():
            jobs.append(self._queue.get())
        return jobs

    def _do(self, write: Callable[[list[Job]], None], jobs: list[Job]) -> None:
        """Write, unless an earlier write failed, and tell whoever waits how it went."""
        if self._failure is None:
            try:
                self._write(write, jobs)
            except Exception as error:  # noqa: BLE001 - whatever it was, the disk may differ from what we believe
                self._failure = error
        _settle([job.done for job in jobs], self._failure)

    def _write(self, write: Callable[[list[Job]], None], jobs: list[Job]) -> None:
        try:
            write(jobs)
        except Exception as error:
            if not self._database.make_room(error):
                raise
            write(jobs)

    def _commit(self, appends: list[_Append]) -> None:
        account, last = self._account, self.head.hash
        rows = []
        for append in appends:
            for sequence, time, name, body in append.entries:
                last = link(last, sequence, time, account, name, body)
                rows.append((sequence, time, account, name, body, last))
        if rows:
            failpoint("journal.commit")
            write = partial(self._database.insert, self._insert, rows, synced=self._synced)
            self._insist(write, partial(self._write_unless_written, rows))
            self.head = Head(rows[-1][0], last)
            failpoint("journal.committed")

    def _perform(self, tasks: list[_Task]) -> None:
        for task in tasks:
            run = partial(self._run_task, task)
            self._insist(run, run)

    def _run_task(self, task: _Task) -> None:
        with self._database.transaction(synced=False) as connection:
            task.action(connection)

    def _insist(self, write: Callable[[], None], write_again: Callable[[], None]) -> None:
        """Write; if the database is lost on the way, wait for it and write what it has not got.

        Raises:
            ConnectionLost: it did not come back in time.
        """
        try:
            write()
        except ConnectionLost as lost:
            self.on_trouble(str(lost))
        else:
            return
        trying = Retrying(
            retry=retry_if_exception_type(ConnectionLost),
            stop=stop_after_delay(self._patience) | stop_when_event_set(self._closing),
            wait=wait_exponential_jitter(multiplier=0.05, max=1.0, jitter=0.05),
            sleep=sleep_using_event(self._closing),
            reraise=True,
        )
        for attempt in trying:
            with attempt:
                self._database.reconnect()
                write_again()
        self.on_trouble(None)

    def _write_unless_written(self, rows: list[tuple[Any, ...]]) -> None:
        """Write what a lost connection was given, unless it is there.

        Look and write are one transaction: what is still on its way comes before both or after both, and then fails.
        """
        with self._database.transaction(synced=self._synced) as connection:
            if not self._is_written(connection, rows[-1]):
                self._insert(connection, rows)

    def _is_written(self, connection: Connection, last: tuple[Any, ...]) -> bool:
        """Whether the commit whose answer was lost is in the database: its last row tells, since it is all or nothing.

        Raises:
            JournalLost: the database has less than it had confirmed, or something else.
        """
        head = connection.scalar(select(func.max(event.c.sequence))) or 0
        if head == self.head.sequence:
            return False
        stored = connection.execute(select(event).where(event.c.sequence == last[0])).first()
        if head != last[0] or stored is None or tuple(stored) != last:
            name, confirmed = self._database.name, self.head.sequence
            raise JournalLost(f"{name} came back with {head} as its last entry, after {confirmed} was confirmed")
        return True


def _settle(futures: Sequence[Done], failure: Exception | None) -> None:
    """Complete futures; those of an event loop with one call to it for all."""
    waiting: dict[asyncio.AbstractEventLoop, list[Done]] = {}
    for future in futures:
        if isinstance(future, asyncio.Future):
            waiting.setdefault(future.get_loop(), []).append(future)
        else:
            _complete([future], failure)
    for loop, group in waiting.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_complete, group, failure)


def _complete(futures: Sequence[Done], failure: Exception | None) -> None:
    for future in futures:
        if future.done():  # canceled by whoever waited; what was written stays written
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(_broken(failure))


def _broken(failure: Exception) -> JournalBroken:
    broken = JournalBroken(f"a write to the journal failed: {failure}")
    broken.__cause__ = failure
    return broken
