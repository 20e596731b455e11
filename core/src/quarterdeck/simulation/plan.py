"""Owns what a run is like: drawn from its seed, or written down as a scenario."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.daemon.failpoints import NAMES
from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.market import MINUTE, SECOND
from quarterdeck.plugin.validation import validated
from quarterdeck.simulation.dice import dice
from quarterdeck.simulation.faults import FAULTS, drawn


class Step(BaseModel):
    """Something a scenario does at a moment: `do` is a method of the world, the rest are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    at: float = Field(ge=0, description="seconds after the beginning")
    do: str

    @property
    def arguments(self) -> dict[str, Any]:
        """What the method is given."""
        return dict(self.model_extra or {})


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run is like."""

    seed: int
    rates: Mapping[str, float]
    hours: float
    callers: int = 2
    readers: int = 2
    wishes_per_hour: float = 8.0
    window: int = 5 * SECOND
    visibility: int = 15 * SECOND
    reuses_links: bool = False
    """Whether the venue takes the link id of an order that has ended for another one."""
    has_bulk: bool = False
    """Whether the exchange ends many orders with one request."""
    is_immediate: bool = False
    """Whether approved is as good as sent there: both are then one commit."""
    keep_events: int = 0
    """Events that a start keeps, and forgets the rest; 0 keeps all."""
    slow_readers: float = 0.0
    """How likely a reader is slow."""
    strangers_per_hour: float = 0.0
    """Requests of any content that come from strangers."""
    balance: Decimal = Decimal(50_000)
    lease: float = 3_600.0
    """Seconds for which a process may send without proving that the journal is its own."""
    quiet: int = 10 * MINUTE
    """How long nothing goes wrong at the end, before the books are compared."""
    steps: tuple[Step, ...] = ()
    scenario: str = ""


def plan_of(seed: int, only: Collection[str] | None = None) -> Plan:
    """The plan a seed stands for; with `only`, without the other faults."""
    draw = dice(seed, "plan")
    rates = drawn(draw, FAULTS.keys() if only is None else only)
    return Plan(
        seed,
        rates,
        hours=draw.choice((1.0, 2.0, 4.0)),
        callers=draw.randint(1, 3),
        readers=draw.choice((0, 1, 1, 2)),
        wishes_per_hour=draw.choice((2.0, 5.0, 10.0)),
        window=draw.choice((2, 5)) * SECOND,
        visibility=draw.choice((0, 5, 15)) * SECOND,
        reuses_links=draw.random() < 0.5,
        has_bulk=draw.random() < 0.5,
        keep_events=draw.choice((0, 0, 0, 30, 200)),
        slow_readers=draw.choice((0.0, 0.0, 0.5)),
        strangers_per_hour=draw.choice((0.0, 0.0, 0.0, 30.0)),
        is_immediate=draw.random() < 0.5,
    )


class Scenario(BaseModel):
    """One written-down run: a fault of the catalogue, and what has to be seen for it to have been met at all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: str = Field(pattern=r"^F\d\d[ab]?$", description="its number in the catalogue")
    summary: str
    expected: str
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    sweep: bool = Field(
        default=False, description="kill the process at every failpoint in turn, `seeds` says up to which hit of it"
    )
    hours: float = Field(default=0.5, gt=0)
    callers: int = 2
    readers: int = 1
    wishes_per_hour: float = 30.0
    window: float = 5.0
    visibility: float = 15.0
    reuses_links: bool = False
    has_bulk: bool = False
    is_immediate: bool = False
    keep_events: int = Field(default=0, ge=0)
    slow_readers: float = Field(default=0.0, ge=0, le=1)
    strangers_per_hour: float = Field(default=0.0, ge=0)
    balance: Decimal = Decimal(50_000)
    lease: float = 3_600.0
    faults: dict[str, float] = Field(default_factory=dict, description="faults and how likely they are")
    steps: tuple[Step, ...] = ()
    recorded: tuple[str, ...] = Field(default=(), description="events that at least one of the seeds must record")
    never: tuple[str, ...] = Field(default=(), description="events that no seed may record")

    @property
    def runs(self) -> range:
        """The seeds to run."""
        return range(1, self.seeds * (len(NAMES) if self.sweep else 1) + 1)

    def plan(self, name: str, seed: int) -> Plan:
        """The run of one seed."""
        return Plan(
            seed,
            self.faults,
            self.hours,
            self.callers,
            self.readers,
            self.wishes_per_hour,
            round(self.window * SECOND),
            round(self.visibility * SECOND),
            self.reuses_links,
            self.has_bulk,
            self.is_immediate,
            self.keep_events,
            self.slow_readers,
            self.strangers_per_hour,
            self.balance,
            self.lease,
            steps=(*self.steps, *self._killed(seed)),
            scenario=name,
        )

    def _killed(self, seed: int) -> tuple[Step, ...]:
        if not self.sweep:
            return ()
        hit, place = divmod(seed - 1, len(NAMES))
        step = {"at": 300, "do": "crash-at", "failpoint": NAMES[place], "hit": hit + 1}
        return (Step.model_validate(step),)


@cache
def scenarios() -> Mapping[str, Scenario]:
    """All that are written down, by name.

    Raises:
        ConfigError: a file says something it may not.
    """
    found: dict[str, Scenario] = {}
    folder = files("quarterdeck.simulation") / "scenarios"
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            found[name] = validated(Scenario, tomllib.loads(file.read_text(encoding="utf-8")), name)
            unknown = found[name].faults.keys() - FAULTS.keys()
            if unknown:
                raise ConfigError(f"{name}: there is no fault {', '.join(sorted(unknown))}")
    return found


def without(plan: Plan, fault: str) -> Plan:
    """The plan without one of its faults."""
    return replace(plan, rates={name: rate for name, rate in plan.rates.items() if name != fault})
