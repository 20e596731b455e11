"""Owns looking a running daemon over: each promise it can check by itself, without holding it up.

What the state alone tells is in `engine.checks`. Here is the rest: the journal folded again, the venue asked, and the
process, its clock, its disk and its files.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from quarterdeck.daemon.clock import Clock, ReplayClock
from quarterdeck.daemon.journal import Journal, JournalDamaged
from quarterdeck.daemon.journal.snapshots import dump_state, parse_state, state_format
from quarterdeck.daemon.keeper import Keeper
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.pulse import Pulse
from quarterdeck.daemon.stop_waits import StopWaits
from quarterdeck.domain.amounts import ZERO, use_money_context
from quarterdeck.domain.bot import BotState
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import SECOND
from quarterdeck.engine.checks import Finding, Verdict, check_state
from quarterdeck.engine.events import OrderFilled
from quarterdeck.engine.fold import fold
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.state import State
from quarterdeck.plugin.exchange import Exchange
from quarterdeck.rpc.convert.envelope import decode

#: Seconds the venue may take to say what it holds.
VENUE_PATIENCE = 5.0

#: Events folded before other threads get a turn.
AT_ONCE = 200

#: Above these a daemon is not as it should be; see docs/lifecycle.md.
LAG_LIMIT = 0.5
QUEUE_LIMIT = 10_000
WAL_LIMIT = 256 * 2**20
THREAD_LIMIT = 100
FILES_SHARE = 0.8
DISK_WANTED, DISK_NEEDED = 2**30, 128 * 2**20
CLOCK_LIMIT = SECOND // 2

_OK, _WARNING, _FAILED, _NOT = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.NOT_APPLICABLE

#: Promises nobody can check from inside a running daemon, and who does.
ELSEWHERE = {
    "I01": "recorded before it is sent: shown by the simulation and the crash sweep",
    "I09": "the streams' promises: every client checks its own stream",
    "I11": "a request is carried out once: shown by the simulation and the tests of retries",
    "I13": "request budgets: kept by the exchange plugin, and by its tests",
    "I17": "no secret leaves: only the exchange plugin holds any; the tests search what a daemon writes",
    "I18": "denied by default: only this machine can connect, and nobody is told apart yet",
    "I24": "what the venue does by itself is booked: shown by the simulation",
}


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks one account's daemon over. Every look is read-only."""

    machine: Machine
    loop: Loop
    journal: Journal
    keeper: Keeper
    pulse: Pulse
    exchange: Exchange
    clock: Clock
    waits: StopWaits
    drift: Callable[[], int]
    """How far the wall clock has moved against a steady one since the start, in nanoseconds."""

    async def examine(self, *, full: bool, is_connected: bool, damage: Sequence[str] = ()) -> list[Finding]:
        """Every check. The heavy ones run in a thread, on what is durable at this moment.

        Of a journal with `damage` what is intact is looked at, and nothing is written.
        """
        await self.loop.settled()
        state = self.machine.state
        found = check_state(state, self.machine.instruments)
        found += [
            bots_run(state),
            self._durable(state),
            self.waits.finding(state.time),
            *self._process(),
            self._clock(state),
            *self._disk(),
        ]
        memory, sequence = dump_state(state), state.sequence
        if damage:
            found.append(Finding("journal", ("I19",), _FAILED, "; ".join(damage)[:500]))
        elif (written := self.keeper.flush(state)) is not None:
            await asyncio.wrap_future(written)
        found += await asyncio.to_thread(_refold, self.journal, memory, sequence, full=full)
        found.append(await self._venue() if is_connected else Finding("venue", ("I04",), _NOT, "it is not reached yet"))
        told = {each for finding in found for each in finding.invariants}
        found += [Finding("elsewhere", (name,), _NOT, why) for name, why in ELSEWHERE.items() if name not in told]
        return found

    # ------------------------------------------------------------ memory and journal

    def _durable(self, state: State) -> Finding:
        head = self.journal.head
        verdict = _OK if state.sequence <= head else _FAILED
        return Finding("durable", ("I10",), verdict, f"memory is at {state.sequence}, the journal at {head}")

    # ------------------------------------------------------------ the venue

    async def _venue(self) -> Finding:
        """What the venue holds is what the journal says; looked at while nothing happened."""
        for _ in range(3):
            await self.loop.settled()
            state, before = self.machine.state, self.machine.state.sequence
            try:
                reported = await asyncio.wait_for(self.exchange.positions(), VENUE_PATIENCE)
            except Exception as error:  # noqa: BLE001 - whatever a venue's plugin raises, it did not answer
                return Finding("venue", ("I04",), _WARNING, f"it does not say: {type(error).__name__}: {error}"[:200])
            if state.sequence == before:
                return _compared({each.symbol: each.quantity for each in reported}, state, self.machine.instruments)
        return Finding("venue", ("I04",), _WARNING, "too busy to compare: something happened during every look")

    # ------------------------------------------------------------ the process

    def _process(self) -> Iterator[Finding]:
        lag, worst = self.pulse.lag, self.pulse.worst_lag
        yield _limited(
            "event-loop", "I14", f"late by {worst * 1e3:.0f} ms at worst", worst, LAG_LIMIT, last=f"{lag:.4f}"
        )
        if not self.pulse.is_alive:
            yield Finding("commits", ("I14",), _FAILED, "a commit does not end")
        yield _limited("queue", "I20", f"{self.loop.waiting} inputs wait", self.loop.waiting, QUEUE_LIMIT)
        threads = threading.active_count()
        yield _limited("threads", "I20", f"{threads} threads", threads, THREAD_LIMIT)
        files, allowed = len(list(Path("/proc/self/fd").iterdir())), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        yield _limited("open-files", "I20", f"{files} open files of {allowed}", files, FILES_SHARE * allowed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        yield Finding("memory", ("I20",), _OK, f"{peak / 2**20:.0f} MiB at most", {"bytes": str(peak)})
        if len(paths := self.journal.files) > 1:
            size = paths[1].stat().st_size if paths[1].exists() else 0
            yield _limited("write-ahead-log", "I20", f"{size / 2**20:.1f} MiB", size, WAL_LIMIT)

    def _clock(self, state: State) -> Finding:
        if isinstance(self.clock, ReplayClock):
            return Finding("clock", ("I26",), _NOT, "a replay lives on the time of its feed")
        ahead, drift = state.time - self.clock.now(), self.drift()
        data = {"drift_ms": f"{drift / 1e6:.0f}"}
        if ahead > CLOCK_LIMIT:
            return Finding("clock", ("I26",), _FAILED, f"the journal is {ahead / SECOND:.1f} s ahead of it", data)
        if abs(drift) > CLOCK_LIMIT:
            return Finding("clock", ("I26",), _WARNING, f"it was set by {drift / SECOND:+.1f} s since the start", data)
        return Finding("clock", ("I26",), _OK, "it has run steadily since the start", data)

    def _disk(self) -> Iterator[Finding]:
        paths = [path for path in self.journal.files if path.exists()]
        if not paths:
            yield Finding("disk", ("I20",), _NOT, "the journal is not in a file of this machine")
            return
        free = shutil.disk_usage(paths[0].parent).free
        verdict = _OK if free >= DISK_WANTED else _WARNING if free >= DISK_NEEDED else _FAILED
        yield Finding("disk", ("I20",), verdict, f"{free / 2**30:.1f} GiB free", {"free_bytes": str(free)})
        open_to_others = [name for path in paths if (name := _is_open_to_others(path))]
        if open_to_others:
            yield Finding("files", ("I17",), _WARNING, f"others may read or write {', '.join(open_to_others)}")
        else:
            yield Finding("files", ("I17",), _OK, "only this user can read the journal")


def steady_drift() -> Callable[[], int]:
    """Begins to watch the wall clock; what it gives says how far it was moved since, in nanoseconds."""
    began = time.time_ns() - time.monotonic_ns()
    return lambda: time.time_ns() - time.monotonic_ns() - began


def bots_run(state: State) -> Finding:
    """No bot has failed. One that did is fed nothing; the others go on."""
    failed = [f"{bot.spec.bot_id}: {bot.failure}" for bot in state.bots.values() if bot.state is BotState.FAILED]
    if failed:
        return Finding("bots", ("I15",), _WARNING, "; ".join(failed)[:500])
    return Finding("bots", ("I15",), _OK, "no bot has failed")


def _compared(reported: dict[str, Decimal], state: State, instruments: Mapping[str, Instrument]) -> Finding:
    """What is held of a pair is money; a venue need not list it as a position."""
    pairs = {symbol for symbol, each in instruments.items() if each.kind is InstrumentKind.SPOT}
    held = {symbol: each.quantity for symbol, each in state.positions.items() if each.quantity}
    held = {symbol: quantity for symbol, quantity in held.items() if symbol in reported or symbol not in pairs}
    wrong = [
        f"{symbol}: {held.get(symbol, ZERO)} here, {reported.get(symbol, ZERO)} there"
        for symbol in sorted(held.keys() | reported.keys())
        if held.get(symbol, ZERO) != reported.get(symbol, ZERO)
    ]
    if wrong:
        return Finding("venue", ("I04",), _FAILED, "; ".join(wrong)[:500])
    return Finding("venue", ("I04",), _OK, f"it holds the same ({len(held)} positions)")


def _limited(check: str, invariant: str, detail: str, value: float, limit: float, **data: str) -> Finding:
    verdict = _OK if value <= limit else _WARNING
    return Finding(check, (invariant,), verdict, detail, {"value": f"{value:g}", "limit": f"{limit:g}", **data})


def _is_open_to_others(path: Path) -> str:
    """The file's name if anybody but its owner can read or write it, or the owner is somebody else."""
    found = path.stat()
    is_closed = not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and found.st_uid == os.geteuid()
    return "" if is_closed else path.name


# ---------------------------------------------------------------- the journal, folded again


def _refold(journal: Journal, memory: bytes, sequence: int, *, full: bool) -> Sequence[Finding]:
    """Fold the journal anew up to a sequence, and hold the state in memory against it. Blocks."""
    use_money_context()
    try:
        state, filled = _start(journal, sequence, full=full), dict[str, Decimal]()
        began = state.sequence
        for entry in journal.iterate(began):
            if entry.sequence > sequence:
                break
            recorded = decode(entry.body)
            fold(state, recorded)
            event = recorded.event
            if isinstance(event, OrderFilled):
                filled[event.symbol] = filled.get(event.symbol, ZERO) + event.side.sign * event.quantity
            if entry.sequence % AT_ONCE == 0:
                time.sleep(0.001)  # the event loop shares the interpreter
        live = parse_state(memory)
    except JournalDamaged as error:
        return [Finding("chain", ("I19",), _FAILED, str(error))]
    except Exception as error:  # noqa: BLE001 - whatever the fold raises, the journal can't be folded
        return [Finding("replay", ("I06", "I25"), _FAILED, f"{type(error).__name__}: {error}"[:500])]
    span = f"{began + 1:,} to {sequence:,}"
    chain = Finding("chain", ("I19",), _OK, f"every hash from {span} follows from the one before")
    if state == live:
        replay = Finding("replay", ("I06", "I21", "I25"), _OK, f"folding {span} again gives the state in memory")
    else:
        names = [name for name in State.__slots__ if getattr(state, name) != getattr(live, name)]
        replay = Finding("replay", ("I06", "I21", "I25"), _FAILED, f"another state than in memory: {', '.join(names)}")
    return [chain, replay, _tables(journal, sequence), *([] if began else [_fills(filled, live)])]


def _start(journal: Journal, sequence: int, *, full: bool) -> State:
    """The newest kept state, or the beginning; a journal that was compacted has only the first."""
    if full and journal.oldest <= 1:
        return State()
    kept = journal.latest_snapshot(state_format(), at_most=sequence)
    return State() if kept is None else parse_state(kept.body)


def _tables(journal: Journal, sequence: int) -> Finding:
    with journal.reading() as connection:
        cursor = connection.exec_driver_sql("SELECT min(sequence) FROM projection_cursor").scalar() or 0
    verdict = _OK if cursor >= sequence else _WARNING
    return Finding("tables", ("I25",), verdict, f"the tables reflect {cursor:,} of {sequence:,}")


def _fills(filled: dict[str, Decimal], state: State) -> Finding:
    """All fills ever, added up, are what is held. What was adjusted or brought in otherwise shows as a difference."""
    wrong = [
        f"{symbol}: fills add up to {total}, {state.positions[symbol].quantity} is held"
        for symbol, total in filled.items()
        if total != state.positions[symbol].quantity
    ]
    if wrong:
        return Finding("fills", ("I04", "I05"), _WARNING, "; ".join(wrong)[:500])
    return Finding("fills", ("I04", "I05"), _OK, f"the fills of {len(filled)} instruments add up to what is held")
