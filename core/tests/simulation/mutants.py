"""Owns faults planted in the core, each of which the simulation has to find: what a careless change could do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from quarterdeck.daemon import disk as daemon_disk
from quarterdeck.daemon import intake, keeper, lease, order_link, records, resolver
from quarterdeck.daemon import reconcile as daemon_reconcile
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.journal import Entry, Journal, compaction, snapshots, writer
from quarterdeck.daemon.journal.database import Database
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain import report as r
from quarterdeck.domain.order import OrderState
from quarterdeck.domain.risk import Approved, Refused
from quarterdeck.engine import fold, ids, orders, pipeline, reports
from quarterdeck.engine import reconcile as engine_reconcile
from quarterdeck.engine.effects import CancelAtVenue
from quarterdeck.plugin.exchange import PlaceOrder
from quarterdeck.rpc import stall
from quarterdeck.rpc.convert.envelope import encode, event_type
from quarterdeck.rpc.tape import Tape
from quarterdeck.simulation import disk


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
def _partial_snapshot() -> Iterator[None]:
    """What a state remembers of booked trades is left out of its snapshot."""
    real = snapshots.dump_state

    def dump(state: Any) -> bytes:
        trades, state.trades = state.trades, {}
        try:
            return real(state)
        finally:
            state.trades = trades

    with patch.object(snapshots, "dump_state", dump):
        yield


@contextmanager
def _repeats_link_ids() -> Iterator[None]:
    """Ids carry neither epoch nor content: a daemon that begins from an old copy mints the same ones again."""

    def mint(self: Any, number: int, role: Any, _: Any) -> str:
        return f"a1-{self.deployment}-000001-{ids.base32(number, 10)}-{role[0]}-00000"

    with patch.object(ids.LinkIds, "mint", mint), patch.object(ids, "_check", lambda *_: "00000"):
        yield


@contextmanager
def _failed_query_is_absence() -> Iterator[None]:
    real = resolver.Resolver._ask

    async def ask(self: Any, order: Any, absence: Any, now: Any) -> bool:
        try:
            return await real(self, order, absence, now)
        except (ConnectionError, TimeoutError):
            self._loop.post(self._absent(order))
            return True

    with patch.object(resolver.Resolver, "_ask", ask):
        yield


@contextmanager
def _absent_at_once() -> Iterator[None]:
    with patch.object(resolver._Absence, "is_proved", lambda *_: True):
        yield


@contextmanager
def _believes_the_first_look() -> Iterator[None]:
    """What the venue's history does not explain is booked at once, though it may only be old."""
    real = daemon_reconcile.Reconciler._show

    async def show(self: Any, snapshot: Any, *, adjust: bool = False) -> Any:
        return await real(self, snapshot, adjust=True)

    with patch.object(daemon_reconcile.Reconciler, "_show", show):
        yield


@contextmanager
def _ignores_others() -> Iterator[None]:
    """Trades that somebody else made on the account are not booked."""
    real = reports._APPLY[r.Filled]

    def filled(turn: Any, report: Any) -> None:
        if report.link_id:
            real(turn, report)

    with patch.dict(reports._APPLY, {r.Filled: filled}):
        yield


@contextmanager
def _missing_is_cancelled() -> Iterator[None]:
    """An order that the venue does not list is taken for cancelled, without asking."""
    real = engine_reconcile._missing

    def missing(turn: Any, item: Any) -> Any:
        for link in list(real(turn, item)):
            reports.apply_report(turn, r.Canceled(link.link_id, "not listed", item.snapshot.time))
        return ()

    with patch.object(engine_reconcile, "_missing", missing):
        yield


@contextmanager
def _never_reconciles_again() -> Iterator[None]:
    """The venue is looked at when the daemon starts, and never afterwards."""

    async def keep(self: Any, every: float) -> None:
        return

    with patch.object(daemon_reconcile.Reconciler, "keep", keep):
        yield


@contextmanager
def _sync_skipped() -> Iterator[None]:
    """The journal's entries are written without waiting for the disk."""
    real = disk.SimulatedDatabase.transaction

    def transaction(self: Any, *, synced: bool) -> Any:
        return real(self, synced=False)

    with patch.object(disk.SimulatedDatabase, "transaction", transaction):
        yield


@contextmanager
def _fence_unchecked() -> Iterator[None]:
    """A daemon does not look whether the journal is still its own: neither when it sends nor when it writes."""
    with (
        patch.object(lease.Lease, "may_send", lambda *_: True),
        patch.object(Database, "_check_fence", lambda *_: None),
    ):
        yield


@contextmanager
def _stream_skips() -> Iterator[None]:
    """A stream that catches up from the journal begins one event too late."""
    real = Tape.read

    async def read(self: Any, after: int, limit: int) -> Any:
        frames = await real(self, after, limit)
        return frames[1:] if len(frames) > 3 else frames

    with patch.object(Tape, "read", read):
        yield


@contextmanager
def _loses_an_append() -> Iterator[None]:
    """What is committed together with other entries is acknowledged, and its last one is not written."""
    real = writer.Writer._commit

    def commit(self: Any, appends: Any) -> None:
        last = appends[-1]
        if len(last.entries) > 2:
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


@contextmanager
def _broken_off_with_it() -> Iterator[None]:
    """What an exchange breaks off ends whoever asked."""

    async def plainly(asked: Any) -> Any:
        return await asked

    with (
        patch.object(order_link, "answer_of", plainly),
        patch.object(resolver, "answer_of", plainly),
        patch.object(daemon_reconcile, "answer_of", plainly),
    ):
        yield


@contextmanager
def _takes_errors_for_rejections() -> Iterator[None]:
    with patch.object(order_link, "Unknown", r.Rejected):
        yield


@contextmanager
def _unheard_protection() -> Iterator[None]:
    """Orders that the venue opens itself are only found when it is looked at."""
    with patch.dict(reports._APPLY, {r.ChildOpened: lambda *_: None}):
        yield


@contextmanager
def _damage_unseen() -> Iterator[None]:
    """A journal is taken for what it holds, whatever that is."""

    def iterate(self: Any, after: int) -> Any:
        yield from self.read(after, 1_000_000)

    with patch.object(intake, "check", lambda *_: []), patch.object(Journal, "iterate", iterate):
        yield


@contextmanager
def _trades_without_space() -> Iterator[None]:
    with patch.object(daemon_disk.Disk, "_short", lambda *_: None):
        yield


@contextmanager
def _compaction_forgets() -> Iterator[None]:
    """The state that takes the place of forgotten entries knows nothing of the requests among them."""
    real = snapshots.save_base

    def save(journal: Any, state: Any) -> Any:
        state.requests.clear()
        return real(journal, state)

    with patch.object(compaction, "save_base", save):
        yield


@contextmanager
def _cut_astray() -> Iterator[None]:
    real = stall.slow_reader
    with patch.object(stall, "slow_reader", lambda text, position: real(text, max(position - 1, 0))):
        yield


@contextmanager
def _silence_is_consent() -> Iterator[None]:
    """A rule that fails has not said no."""
    real = pipeline.check

    def check(draft: Any, view: Any, rules: Any) -> Any:
        verdict = real(draft, view, rules)
        failed = isinstance(verdict, Refused) and verdict.reason.startswith("RULE_FAILED")
        return Approved(draft, ()) if failed else verdict

    with patch.object(pipeline, "check", check):
        yield


MUTANTS = {
    "resend": Mutant("an order whose outcome is unknown is sent again without asking", _resends, "I03"),
    "fill-twice": Mutant("a fill that is reported twice is booked twice", _fill_twice, "I04 I05"),
    "publish-early": Mutant("events are shown to readers before they are on the disk", _publishes_before_commit, "I10"),
    "act-early": Mutant("requests leave before the events that say so are on the disk", _acts_before_commit, "I01"),
    "no-sync": Mutant("the journal does not wait for the disk", _sync_skipped, "I10 I11", "power-loss"),
    "leak": Mutant("a cancelled order goes on counting against risk", _leaks_reservations, "I25"),
    "kill-ignored": Mutant(
        "an order that was announced leaves though trading was halted meanwhile",
        _ignores_kill_when_sending,
        "I07",
        "kill-at-the-last-moment",
    ),
    "failed-query": Mutant(
        "a question that fails makes an unknown order absent", _failed_query_is_absence, "I23", "queries-fail"
    ),
    "absent-early": Mutant("an order is absent the first time it is not found", _absent_at_once, "I23", "appears-late"),
    "stale-believed": Mutant(
        "a difference is believed at the first look", _believes_the_first_look, "I24", "stale-read"
    ),
    "missing-cancelled": Mutant(
        "an order that is not listed is taken for cancelled",
        _missing_is_cancelled,
        "I05 I06 I08 I23",
        "missing-from-the-list",
    ),
    "fence-unchecked": Mutant(
        "a daemon that was replaced goes on", _fence_unchecked, "I01 I03 I10 I12 I22", "two-daemons"
    ),
    "others-ignored": Mutant("trades of others on the account are not booked", _ignores_others, "I04 I05"),
    "never-again": Mutant("the venue is looked at only at the start", _never_reconciles_again, "I04 I05 I08 I21"),
    "cancel-dropped": Mutant("the venue's word that an order has ended is dropped", _drops_cancel_answers, "I08"),
    "cancel-unrecorded": Mutant("a cancel leaves without a record of it", _cancels_without_a_record, "I01"),
    "request-forgotten": Mutant("request ids are forgotten when the daemon starts again", _forgets_requests, "I11 I25"),
    "snapshot-partial": Mutant("a snapshot forgets which trades are booked", _partial_snapshot, "I05 I25"),
    "ids-repeated": Mutant(
        "a daemon that begins from an old copy mints link ids again", _repeats_link_ids, "I02 I03", "backup-restore"
    ),
    "append-lost": Mutant("the last entry of a larger commit is not written", _loses_an_append, "I10 I22"),
    "lot-forgotten": Mutant("sizes are not rounded down to the lot", _rounds_off_the_lot, "I16"),
    "stream-skips": Mutant("a stream that catches up skips an event", _stream_skips, "I09 I22", "resume"),
    "resend-reused": Mutant(
        "an order is sent again to a venue that takes a link id again", _resends, "I03", "link-ids-again"
    ),
    "broken-off": Mutant(
        "a request that the exchange breaks off is forgotten", _broken_off_with_it, "I21 I22", "ambiguous-answers"
    ),
    "error-rejected": Mutant(
        "an answer that proves nothing is taken for a rejection",
        _takes_errors_for_rejections,
        "I23",
        "ambiguous-answers",
    ),
    "protection-unheard": Mutant(
        "stops that the venue opens are only known when it is looked at again", _unheard_protection, "I08"
    ),
    "damage-unseen": Mutant("a damaged journal is gone on with", _damage_unseen, "I19 I22", "damaged-journal"),
    "space-unwatched": Mutant("entries go on though the disk is full", _trades_without_space, "I22", "disk-full"),
    "compaction-forgets": Mutant(
        "requests are forgotten with the entries that are compacted", _compaction_forgets, "I11 I25", "log-growth"
    ),
    "cut-astray": Mutant("a slow reader is told of another position than its last", _cut_astray, "I22", "slow-readers"),
    "silence-consents": Mutant("a risk rule that fails has agreed", _silence_is_consent, "I15", "plugins-fail"),
}
