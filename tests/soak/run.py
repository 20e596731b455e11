"""Owns a whole soak: everything goes wrong for a while, then nothing does, then both sides have to be the same."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from quarterdeck.client import Options, QuarterdeckError, SyncClient
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.engine import events as e
from tests.faults import invariants
from tests.faults.invariants import Told
from tests.faults.reader import Reader
from tests.soak import protection
from tests.soak.client import Client
from tests.soak.gauge import Gauge, slope_of
from tests.soak.judge import case_of, judge
from tests.soak.nemesis import Nemesis
from tests.soak.plan import plan_of
from tests.soak.stage import Stage, say

#: Seconds within which everything has to be settled once nothing goes wrong any more.
PATIENCE = 240.0

#: Enough for everything that is held.
_DEEP = (10_000.0,)

_IMPATIENT = Options(timeout=30.0, attempt_timeout=15.0)

Say = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What came of a soak."""

    seed: int
    seconds: float
    orders: int = 0
    fills: int = 0
    events: int = 0
    wishes: int = 0
    faults: int = 0
    acts: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    reducing: list[str] = field(default_factory=list)
    """Why the daemon took no more risk by itself, each with how often."""
    errors: dict[str, int] = field(default_factory=dict)
    """What the daemon logged as errors."""
    adjusted: int = 0
    """Times the wallet was adjusted because trades were heard of out of order."""
    protection: dict[str, dict[str, Any]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


def soak(seed: int, seconds: float, folder: Path, say: Say = say) -> Outcome:
    """Soak the daemon of a seed for so long, in a folder that keeps its journal and its log."""
    use_money_context()
    plan = plan_of(seed, seconds)
    outcome = Outcome(seed, seconds)
    say(f"seed {seed}: {seconds:g} s, {len(plan)} things go wrong; in {folder}")
    with Stage(folder, seed) as stage:
        _play(stage, seed, seconds, Nemesis(stage, plan), outcome, say)
    return outcome


def _play(stage: Stage, seed: int, seconds: float, nemesis: Nemesis, outcome: Outcome, say: Say) -> None:
    lives, found = stage.lives, outcome.violations
    lives.launch()
    lives.daemon.wait_ready()
    client, reader, gauge = Client(stage, seed), Reader(lives.daemon.address), Gauge(lives)
    for each in (reader, gauge):
        each.start()
    client.begin()
    nemesis.run(seconds, lambda: bool(client.failure))
    say("nothing goes wrong any more")
    client.stop()
    stage.market.stop()
    if client.failure:
        found.append(f"lost: {client.failure}")
    outcome.acts, outcome.faults = dict(nemesis.acts), stage.simulator.faults.used + nemesis.others
    try:
        lives.watch()
        _settle(stage)
        gauge.stop()
        gauge.write(stage.folder / "process.csv")
        found += [f"grows: {each}" for each in gauge.problems()]
        told = _stop(stage)
        _judge(stage, told, found, "while orders work and positions are held")
        say("all is asked again, and everything is closed")
        lives.launch()
        lives.daemon.wait_ready()
        stage.market.step(_DEEP)
        client.tidy()
        _settle(stage, lambda: stage.running.call(lambda: _is_flat(stage)), lambda: _close(stage, client))
        told = _stop(stage)
        _judge(stage, told, found, "once nothing is held")
        for word, check in (
            ("stream", lambda: invariants.check_stream(reader.transcript, told)),
            ("answers", lambda: invariants.check_answers(client.wishes, told)),
            ("promises", lambda: invariants.check_promises(client.wishes, told)),
        ):
            _asserted(found, word, check)
        _describe(outcome, stage, told)
    except (AssertionError, TimeoutError) as error:
        found.append(f"not settled: {str(error)[-2_000:]}")
    finally:
        reader.close()
        client.hang_up()
    found += lives.problems
    outcome.ends, outcome.answers, outcome.wishes = dict(lives.ends), dict(client.answers), len(client.wishes)
    outcome.errors = dict(_errors(lives.daemon.log))
    waits = stage.running.call(lambda: protection.waits_at_venue(stage.simulator.truth, stage.account))
    histogram = protection.histogram(waits)
    outcome.protection["at Bybit"] = histogram.as_json()
    removed = stage.running.call(lambda: protection.gaps_at_venue(stage.simulator.truth))
    outcome.protection["stops removed by hand"] = protection.histogram(removed).as_json()
    if histogram.longest > protection.LIMIT:
        found.append(f"protection: a position was without its stop for {histogram.longest:.1f} s at Bybit")
    samples = gauge.longest
    if samples:
        outcome.memory = {
            "seconds": round(samples[-1].at - samples[0].at),
            "first_mib": round(samples[0].memory, 1),
            "last_mib": round(samples[-1].memory, 1),
            "slope_mib_a_minute": round(slope_of(samples[len(samples) // 3 :]), 2),
            "threads": samples[-1].threads,
            "sockets": samples[-1].sockets,
        }


# ---------------------------------------------------------------- settling


def _settle(
    stage: Stage, condition: Callable[[], bool] = lambda: True, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Wait until the daemon says that it agrees with Bybit, that nothing is unknown, and nothing changes any more.

    Raises:
        TimeoutError: it did not come to that.
    """
    deadline = time.monotonic() + PATIENCE
    last, why = -1, "it did not answer"
    while time.monotonic() < deadline:
        stage.lives.watch()
        try:
            with SyncClient.connect(stage.lives.daemon.address, options=_IMPATIENT) as client:
                found = client.system.reconcile()
                status = client.system.status()
        except QuarterdeckError as error:
            why = str(error)
            time.sleep(0.5)
            continue
        is_quiet = not found.differences and not found.booked_count and not status.unknown_order_count
        if is_quiet and status.state in ("READY", "KILLED", "SAFE") and status.head_sequence == last and condition():
            return
        why = f"{status.state} {status.reasons}, {found.differences}, unknown: {status.unknown_orders}"
        if is_quiet and not condition():
            meanwhile()
            why += ", something is still held or works"
        last = status.head_sequence
        time.sleep(1.0)
    raise TimeoutError(f"not settled within {PATIENCE:g} s: {why}")


def _is_flat(stage: Stage) -> bool:
    """Whether nothing works and no contract is held; of pairs several owners' crumbs may be left."""
    held = [each for each in stage.account.venue.positions() if not each.symbol.endswith("-spot")]
    return not held and not stage.account.open_orders()


def _close(stage: Stage, client: Client) -> None:
    stage.market.step(_DEEP)
    client.close()


def _stop(stage: Stage) -> Told:
    code = stage.lives.stop()
    assert code == 0, f"it ended with {code}"
    return invariants.read(f"sqlite:///{stage.folder / 'journal.db'}")


# ---------------------------------------------------------------- judging


def _judge(stage: Stage, told: Told, found: list[str], when: str) -> None:
    _asserted(found, f"journal, {when}", lambda: invariants.check(told))
    case = stage.running.call(lambda: case_of(told, stage.simulator, stage.account))
    found += [f"{each} ({when})" for each in judge(case)]


def _asserted(found: list[str], word: str, check: Callable[[], None]) -> None:
    try:
        check()
    except AssertionError as error:
        found.append(f"{word}: {str(error)[:1_000]}")


def _describe(outcome: Outcome, stage: Stage, told: Told) -> None:
    outcome.orders = sum(isinstance(one.event, e.OrderPrepared) for one in told.events)
    outcome.fills = sum(isinstance(one.event, e.OrderFilled) for one in told.events)
    outcome.events = len(told.events)
    outcome.protection["as the daemon heard of it"] = protection.waits_in_journal(told.events)
    outcome.adjusted = sum(isinstance(one.event, e.BalanceAdjusted) and one.event.unexplained for one in told.events)
    why = Counter(
        re.sub(r"[0-9a-f-]{8,}|\d+", "…", one.event.reason)
        for one in told.events
        if isinstance(one.event, e.TradingStateChanged) and one.event.automatic
    )
    outcome.reducing = [f"{count} x {reason}" for reason, count in why.most_common()]


def _errors(log: Path) -> Counter[str]:
    """What was logged as an error or raised, by its first words."""
    found: Counter[str] = Counter()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if "[error" in line or '"level": "error"' in line or "Traceback" in line:
            found[re.sub(r"\x1b\[[0-9;]*m|[0-9a-f-]{8,}|\d+", "", line)[:120].strip()] += 1
    return found
