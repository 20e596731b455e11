"""Owns a copy of an account that keeps itself current: read from lists, led on by the event stream, without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from operator import is_not
from types import TracebackType
from typing import Self

from quarterdeck.client.aio import AsyncStream
from quarterdeck.client.calls import Unary
from quarterdeck.client.client import Client
from quarterdeck.client.convert import decode
from quarterdeck.client.errors import JournalMismatch, PageTokenMismatch, PositionAhead, PositionCompacted, Unavailable
from quarterdeck.client.events import Event
from quarterdeck.client.names import account_name
from quarterdeck.client.resources import AccountOverview
from quarterdeck.client.state import AccountState, Funds, Part, funds_from, orders_from, positions_from
from quarterdeck.v1.account_service_pb2 import GetAccountOverviewRequest, GetAccountOverviewResponse

OnEvent = Callable[[Event, AccountState], None]


class Replica:
    """A copy of what an account has, which follows the daemon as it trades.

        async with Client.connect() as client, Replica(client) as replica:
            state = await replica.wait_for(lambda state: "btcusdt" in state.positions, timeout=60)

    `state` is always whole and as of one sequence. While the daemon is away it stays as it was and `connected` is
    false; when the daemon is back, every event in between is applied. Where that is impossible (history compacted,
    another journal) the replica begins anew from lists, and counts that in `resyncs`. Anything else ends it: `state`,
    `wait_for` and `states` then raise what ended it.
    """

    def __init__(self, client: Client, *, keep_closed: int = 1000) -> None:
        self.resyncs = 0
        self._client = client
        self._keep_closed = keep_closed
        self._state: AccountState | None = None
        self._journal_id = ""
        self._failure: Exception | None = None
        self._changed = asyncio.Condition()
        self._callbacks: list[OnEvent] = []
        self._stream: AsyncStream[Event] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> AccountState:
        """The account as it is known now.

        Raises:
            QuarterdeckError: what ended the replica.
            RuntimeError: the replica was not entered.
        """
        if self._failure is not None:
            raise self._failure
        if self._state is None:
            raise RuntimeError("use the replica in `async with`")
        return self._state

    @property
    def connected(self) -> bool:
        """Whether the daemon is heard now."""
        return self._stream is not None and self._stream.connected

    def on_event(self, callback: OnEvent) -> Callable[[], None]:
        """Call back with every event and the state after it; give back what ends that.

        Called from the event loop, so it must not wait. What it raises ends the replica. Events in the hole of a resync
        are not told.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def wait_for(self, predicate: Callable[[AccountState], bool], timeout: float | None = None) -> AccountState:  # noqa: ASYNC109 - so one can write it in a line
        """The first state, beginning with the present one, that the predicate accepts.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            QuarterdeckError: what ended the replica.
        """
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: self._failure or (self._state and predicate(self._state)))
            return self.state

    async def states(self) -> AsyncIterator[AccountState]:
        """The present state, and then each newer one. A reader that is slow gets the newest only."""
        seen: AccountState | None = None
        while True:
            seen = await self.wait_for(partial(is_not, seen))
            yield seen

    async def __aenter__(self) -> Self:
        state = await self._load()
        self._task = asyncio.create_task(self._follow(state))
        try:
            await self.wait_for(lambda _: True)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _load(self) -> AccountState:
        """The state from lists. Each is as of its own sequence, until the stream has caught up with the newest.

        The journal is named first: if another takes its place meanwhile, the stream is refused and all is read anew.
        """
        self._journal_id = (await self._client.system.status()).journal_id
        orders = self._client.orders.list(open_only=True)
        positions = self._client.positions.list()
        overview = GetAccountOverviewRequest(parent=account_name(self._client.account))
        return AccountState(
            orders_from(await orders, orders.snapshot_sequence or 0, self._keep_closed),
            positions_from(await positions, positions.snapshot_sequence or 0),
            await self._client.link.unary(Unary(overview, _funds)),
        )

    async def _follow(self, state: AccountState) -> None:
        try:
            while True:
                try:
                    await self._apply_events(state)
                except (PositionCompacted, PositionAhead, JournalMismatch):
                    state = await self._reload()
                    self.resyncs += 1
        except Exception as failure:  # noqa: BLE001 - told to whoever looks at the state
            async with self._changed:
                self._failure = failure
                self._changed.notify_all()

    async def _apply_events(self, state: AccountState) -> None:
        await self._publish(state)
        self._stream = self._client.events.stream(after=state.sequence, journal_id=self._journal_id)
        async with self._stream as stream:
            async for event in stream:
                state = state.apply(event)
                await self._publish(state, event)

    async def _publish(self, state: AccountState, event: Event | None = None) -> None:
        """Show a state to everybody, if all of it is as of one sequence."""
        if not state.is_consistent:
            return
        async with self._changed:
            self._state = state
            self._changed.notify_all()
        if event is not None:
            for callback in tuple(self._callbacks):
                callback(event, state)

    async def _reload(self) -> AccountState:
        failures = 0
        while True:
            try:
                return await self._load()
            except (Unavailable, PageTokenMismatch) as error:
                failures += 1
                await asyncio.sleep(self._client.link.options.backoff.delay(failures, error))


def _funds(answer: GetAccountOverviewResponse) -> Part[Funds]:
    return funds_from(decode(AccountOverview, answer.overview), answer.snapshot_sequence)
