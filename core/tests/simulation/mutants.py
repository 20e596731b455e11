"""Owns faults planted in the core, each of which the simulation has to find: what a careless change could do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from quarterdeck.daemon import core, keeper, order_link, records
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.journal import Entry, Snapshot, writer
from quarterdeck.daemon.journal.snapshots import dump_state, state_format
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain import report as r
from quarterdeck.domain.order import OrderState
from quarterdeck.engine import fold, orders, pipeline, reports
from quarterdeck.engine.effects import CancelAtVenue
from quarterdeck.plugin.exchange import PlaceOrder
from quarterdeck.rpc.convert.envelope import encode, event_type


class Mutant(NamedTuple):
    """One planted fault. `breaks` are the invariants that may notice it."""

    summary: str
    plant: Callable[[], Any]
    breaks: str
    scenario: str = ""


@contextmanager
def _resends() -> Iterator[None]:
    real = order_link.OrderLink._place

    async def place(self: Any, effect: Any) -> None:
        await real(self, effect)
        order = self._loop._machine.state.order_by_link(effect.link_id)
        if order is not None and order.state in (OrderState.SENT, OrderState.UNKNOWN):
            await self._exchange.place(PlaceOrder(effect.link_id, effect.terms, self._clock.now()))

    with patch.object(order_link.OrderLink, "_place", place):
        yield


@contextmanager
def _fill_twice() -> Iterator[None]:
    real = reports._APPLY[r.Filled]

    def filled(turn: Any, report: Any) -> None:
        turn.state.trades.clear()
        real(turn, report)

    with patch.dict(reports._APPLY, {r.Filled: filled}):
        yield


@contextmanager
def _publishes_before_commit() -> Iterator[None]:
    real = records.Records.commit

    def commit(self: Any, events: Sequence[Any], done: Any) -> None:
        entries = [
            Entry(one.sequence, one.time, event_type(one.event), encode(one, self._account_id)) for one in events
        ]
        self._log.extend(entries)
        with patch.object(EventLog, "extend", lambda *_: None):
            real(self, events, done)

    with patch.object(records.Records, "commit", commit):
        yield


@contextmanager
def _acts_before_commit() -> Iterator[None]:
    real = Loop._committed

    def pump(self: Any) -> None:
        committer = self._committer

        class Hasty:
            def commit(self, events: Any, done: Any) -> None:
                committer.commit(events, lambda _: None)
                done(None)

        self._committer = Hasty()
        try:
            pumped(self)
        finally:
            self._committer = committer

    pumped = Loop.pump
    with patch.object(Loop, "pump", pump), patch.object(Loop, "_committed", real):
        yield


@contextmanager
def _leaks_reservations() -> Iterator[None]:
    real = fold._retire

    def retire(state: Any, order: Any) -> None:
        real(state, order)
        if order.state is OrderState.CANCELED:
            fold._reweigh(state, order, +1)

    with patch.object(fold, "_retire", retire):
        yield


@contextmanager
def _ignores_kill_when_sending() -> Iterator[None]:
    with patch.object(Loop, "hindrance", lambda *_: ""):
        yield


@contextmanager
def _drops_cancel_answers() -> Iterator[None]:
    with patch.dict(reports._APPLY, {r.Canceled: lambda *_: None}):
        yield


@contextmanager
def _forgets_requests() -> Iterator[None]:
    real = keeper.Keeper.load

    def load(self: Any) -> Any:
        state = real(self)
        state.requests.clear()
        return state

    with patch.object(keeper.Keeper, "load", load):
        yield


@contextmanager
def _snapshot_unsettled() -> Iterator[None]:
    def save(journal: Any, state: Any, projections: Any) -> Any:
        projections.flush(state)
        return journal.save_snapshot(Snapshot(max(1, state.sequence - 2), state_format(), dump_state(state)))

    with patch.object(keeper, "save_state", save):
        yield


@contextmanager
def _repeats_link_ids() -> Iterator[None]:
    """The epoch stands still, so a daemon that begins from an old copy mints the same ids again."""
    with patch.object(core, "_epoch", lambda *_: 1):
        yield


@contextmanager
def _loses_an_append() -> Iterator[None]:
    """What is committed together with other entries is acknowledged, and its last one is not written."""
    real = writer.Writer._commit

    def commit(self: Any, appends: Any) -> None:
        last = appends[-1]
        if len(last.entries) > 4:
            appends = [*appends[:-1], writer._Append(last.entries[:-1], last.done)]
        real(self, appends)

    with patch.object(writer.Writer, "_commit", commit):
        yield


@contextmanager
def _rounds_off_the_lot() -> Iterator[None]:
    with patch.object(pipeline, "floor_to", lambda value, _: value):
        yield


@contextmanager
def _cancels_without_a_record() -> Iterator[None]:
    def request_cancel(turn: Any, order: Any, *_: Any) -> None:
        turn.effects.append(CancelAtVenue(order.link_id, order.terms.symbol))

    with patch.object(orders, "request_cancel", request_cancel):
        yield


MUTANTS = {
    "resend": Mutant("an order whose outcome is unknown is sent again without asking", _resends, "I03"),
    "fill-twice": Mutant("a fill that is reported twice is booked twice", _fill_twice, "I04 I05"),
    "publish-early": Mutant(
        "events are shown to readers before they are on the disk", _publishes_before_commit, "I09 I10"
    ),
    "act-early": Mutant("requests leave before the events that say so are on the disk", _acts_before_commit, "I01"),
    "leak": Mutant("a cancelled order goes on counting against risk", _leaks_reservations, "I25"),
    "kill-ignored": Mutant(
        "an order that was announced leaves though trading was halted meanwhile",
        _ignores_kill_when_sending,
        "I07",
        "kill-at-the-last-moment",
    ),
    "cancel-dropped": Mutant("the venue's word that an order is cancelled is dropped", _drops_cancel_answers, "I08"),
    "request-forgotten": Mutant("request ids are forgotten when the daemon starts again", _forgets_requests, "I11 I25"),
    "snapshot-unsettled": Mutant("a snapshot holds more than its sequence says", _snapshot_unsettled, "I22 I25"),
    "ids-repeated": Mutant(
        "a daemon that begins from an old copy mints link ids again", _repeats_link_ids, "I02 I03", "backup-restore"
    ),
    "append-lost": Mutant("the last entry of a larger commit is not written", _loses_an_append, "I10 I22"),
    "lot-forgotten": Mutant("sizes are not rounded down to the lot", _rounds_off_the_lot, "I16"),
    "cancel-unrecorded": Mutant("a cancel leaves without a record of it", _cancels_without_a_record, "I01"),
}
