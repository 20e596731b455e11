"""Owns what is kept beside the journal: tables for SQL, snapshots that make the next start short, signed heads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from quarterdeck.daemon.journal import (
    Entry,
    Fill,
    Journal,
    JournalDamaged,
    Listings,
    OrderKey,
    Page,
    Projections,
    load_state,
    save_state,
)
from quarterdeck.daemon.journal.archive import Archive
from quarterdeck.daemon.journal.compaction import compact, cut
from quarterdeck.daemon.journal.snapshots import base_state, state_format
from quarterdeck.daemon.journal.verification import Finding
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.notary import Notary
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.order import Order
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State
from quarterdeck.rpc.convert.envelope import decode

#: Events between two snapshots of the state.
SNAPSHOT_AFTER = 50_000

T = TypeVar("T")


class Keeper:
    """Follows the journal with tables, snapshots and signatures, off the way of orders. No `notary`, no signatures."""

    def __init__(self, journal: Journal, notary: Notary | None = None) -> None:
        self._journal = journal
        self._notary = notary
        self._projections = Projections(journal)
        self._writing: Future[None] | None = None
        """The latest that was asked for; what was asked for before is written before it."""
        self._snapshot_sequence = 0
        self.kept_sequence = 0
        """Up to where the newest kept state reaches."""
        self.kept_at: float | None = None
        """When this daemon kept it, by the event loop's time."""

    def load(self) -> State:
        """The state at the journal's head. Blocks.

        Raises:
            JournalDamaged: an entry is missing.
        """
        state = load_state(self._journal, _fold_entry, self._projections)
        self._snapshot_sequence = state.sequence
        self.kept_sequence = self._journal.kept(state_format())
        return state

    def compact(self, keep_events: int, keep_days: int) -> int:
        """Forget what need not be kept, see `compaction.cut`; returns how many entries. Once loaded. Blocks.

        Raises:
            JournalDamaged: one of them is not what was written; nothing was removed.
        """
        return compact(self._journal, cut(self._journal, time.time_ns(), keep_events, keep_days), _fold_entry)

    def note(self, state: State, events: Sequence[Recorded]) -> None:
        """Note what durable events changed."""
        touch = self._projections.touch
        for recorded in events:
            touch(state, recorded)

    def keep(self, state: State) -> None:
        """Bring the tables up to date, sign, and take a snapshot now and then. Only while everything is settled."""
        if self._notary is not None:
            self._notary.keep()
        if state.sequence - self._snapshot_sequence >= SNAPSHOT_AFTER:
            self.snapshot(state)
        else:
            self.flush(state)

    def flush(self, state: State) -> Future[None] | None:
        """Bring the tables up to date; None if they are. Only while everything is settled."""
        if self._projections.cursor < state.sequence:
            self._writing = self._projections.flush(state)
        return None if self._writing is None or self._writing.done() else self._writing

    def snapshot(self, state: State) -> Future[None]:
        """Keep the state for the next start, and sign the head. Only while everything is settled."""
        self._snapshot_sequence = self.kept_sequence = state.sequence
        self.kept_at = asyncio.get_running_loop().time()
        self._writing = saved = save_state(self._journal, state, self._projections)
        if self._notary is not None:
            self._notary.sign()
        return saved


def _fold_entry(state: State, entry: Entry) -> Recorded:
    recorded = decode(entry.body)
    fold(state, recorded)
    return recorded


def fold_all(archive: Archive) -> State:
    """The state at the end of a journal that is only looked at, from its entries alone. Blocks.

    Raises:
        JournalDamaged: an entry is not what was written, or can't be read.
    """
    use_money_context()
    state = base_state(archive.reading)
    for entry in archive.entries(0):
        if isinstance(entry, Finding):
            raise JournalDamaged(str(entry))
        try:
            fold(state, decode(entry.body))
        except Exception as error:
            raise JournalDamaged(f"event {entry.sequence} can't be folded: {error!r}") from error
    return state


class History:
    """Listings as new as the journal. Implements `rpc.facade.History`."""

    def __init__(self, journal: Journal, keeper: Keeper, loop: Loop, state: State) -> None:
        self._listings = Listings(journal)
        self._keeper = keeper
        self._loop = loop
        self._state = state

    async def order(self, order_id: str) -> Order | None:
        """One order, however old."""
        return await self._read(lambda: self._listings.order(order_id))

    async def has_order(self, order_id: str) -> bool:
        """Whether the tables know an order: without bringing them up to date, so only for those gone from memory."""
        return await asyncio.to_thread(self._listings.has_order, order_id)

    async def orders(
        self,
        limit: int,
        before: tuple[int, str] | None,
        *,
        symbol: str | None,
        bot_id: str | None,
    ) -> Page[Order]:
        """Orders, newest first, before the one of that create time and id."""
        key = None if before is None else OrderKey(*before)
        return await self._read(lambda: self._listings.orders(limit, key, symbol=symbol, bot_id=bot_id))

    async def fills(
        self,
        limit: int,
        before: int | None,
        *,
        order_id: str | None,
        symbol: str | None,
        bot_id: str | None,
    ) -> Page[Fill]:
        """Fills, newest first, recorded before a sequence."""
        return await self._read(
            lambda: self._listings.fills(limit, before, order_id=order_id, symbol=symbol, bot_id=bot_id),
        )

    async def _read(self, query: Callable[[], T]) -> T:
        await self._loop.settled()
        written = self._keeper.flush(self._state)
        if written is not None:
            await asyncio.wrap_future(written)
        return await asyncio.to_thread(query)
