"""Owns running many seeds: in several processes, judged by the invariants, and what fails made small."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from multiprocessing import get_context

from quarterdeck.domain.market import HOUR
from quarterdeck.simulation.invariants import check
from quarterdeck.simulation.loop import Stuck
from quarterdeck.simulation.nemesis import Nemesis
from quarterdeck.simulation.plan import Plan, plan_of, scenarios, without
from quarterdeck.simulation.world import Evidence, World

#: Objects made before the youngest are looked through.
GARBAGE = 300_000

#: Runs spent on making one failure small.
SHRINKS = 40


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one seed. `trace` is the same whenever the same run is repeated by the same code."""

    seed: int
    hours: float
    violations: tuple[str, ...]
    faults: Counter[str]
    orders: int
    events: int
    processes: int
    trace: str
    cpu: float
    recorded: frozenset[str] = frozenset()
    """The kinds of events in the journal."""


@dataclass(slots=True)
class Totals:
    """What many seeds add up to."""

    seeds: int = 0
    hours: float = 0.0
    orders: int = 0
    events: int = 0
    processes: int = 0
    cpu: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one more."""
        self.seeds += 1
        self.hours += result.hours
        self.orders += result.orders
        self.events += result.events
        self.processes += result.processes
        self.cpu += result.cpu
        self.faults += result.faults
        if result.violations:
            self.failed.append(result)


def run(plan: Plan) -> Result:
    """Run one plan and judge it. Whatever it raises is a violation, too."""
    began = time.process_time()
    world = World(plan)
    evidence: Evidence | None = None
    try:
        evidence = world.run(Nemesis(world).troubles())
        violations = check(evidence)
    except Stuck as stuck:
        violations = [f"I22: {stuck}"]
    except Exception as error:  # noqa: BLE001 - a run that breaks the judge is a finding as well
        violations = [f"I22: {type(error).__name__}: {error}"]
    return Result(
        plan.seed,
        world.loop.now / HOUR,
        tuple(violations),
        world.faults.counts,
        world.venue.truth.orders,
        len(evidence.entries) if evidence else 0,
        world.processes,
        _trace(world, evidence),
        time.process_time() - began,
        frozenset(entry.type for entry in evidence.entries) if evidence else frozenset(),
    )


def _trace(world: World, evidence: Evidence | None) -> str:
    digest = blake2b(repr((world.venue.truth, world.loop.now, world.loop.turns)).encode(), digest_size=8)
    for entry in evidence.entries if evidence else ():
        digest.update(entry.body)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs are wanted: a scenario's, if one is named, and no other faults than `only`, if any are."""

    scenario: str = ""
    only: tuple[str, ...] | None = None

    def plan(self, seed: int) -> Plan:
        """The run of one seed."""
        if not self.scenario:
            return plan_of(seed, self.only)
        plan = scenarios()[self.scenario].plan(self.scenario, seed)
        for name in plan.rates.keys() - (plan.rates if self.only is None else self.only):
            plan = without(plan, name)
        return plan


ANY = Choice()


def run_seed(seed: int, choice: Choice = ANY) -> Result:
    """Run a seed."""
    return run(choice.plan(seed))


def tidy_less() -> None:
    """Look through memory for garbage hardly ever: a run makes many objects and few cycles, and is over soon."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


def run_seeds(seeds: Sequence[int], choice: Choice = ANY, jobs: int = 1) -> Iterator[Result]:
    """Run seeds, in their order."""
    work: Callable[[int], Result] = partial(run_seed, choice=choice)
    if jobs == 1:
        tidy_less()
        yield from map(work, seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=tidy_less) as pool:
        try:
            yield from pool.map(work, seeds, chunksize=4)
        finally:
            pool.shutdown(cancel_futures=True)


def shrunk(result: Result, choice: Choice = ANY) -> tuple[str, ...]:
    """Fewer faults with which a seed still breaks the same invariant: each is left out once, for good if it can be."""
    plan = choice.plan(result.seed)
    broken = _ids(result.violations)
    for name in sorted(plan.rates)[:SHRINKS]:
        smaller = without(plan, name)
        if _ids(run(smaller).violations) & broken:
            plan = smaller
    return tuple(sorted(plan.rates))


def _ids(violations: Iterable[str]) -> set[str]:
    return {one.partition(":")[0] for one in violations}
