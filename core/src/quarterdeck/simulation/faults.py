"""Owns the faults: what can go wrong in a run, how often, and how often it did.

Each run draws which faults it has and how likely each is, so that some are met alone and some together. Every fault has
dice of its own: taking one away leaves the draws of the others as they were, which is what makes shrinking work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from random import Random
from typing import NamedTuple

from quarterdeck.simulation.dice import dice as dice_for


class Fault(NamedTuple):
    """One kind of fault. `most` is the highest likelihood a run draws, per occasion, or per hour if it is `timed`."""

    summary: str
    most: float
    timed: bool = False


FAULTS: Mapping[str, Fault] = {
    # the way to the venue
    "lose-request": Fault("a request about an order never arrives", 0.15),
    "lose-response": Fault("a request about an order is carried out and the answer never arrives", 0.15),
    "slow-request": Fault(
        "a request about an order is under way for seconds, and may be taken in after its sender gave up", 0.1
    ),
    "ambiguous-answer": Fault(
        "a request about an order is answered with what proves nothing, whether it is carried out or not", 0.1
    ),
    "repeat-request": Fault("a request about an order arrives twice", 0.1),
    "fail-leg": Fault("one of many cancels in a request fails, or is said to have failed", 0.2),
    "refuse": Fault("the venue refuses an order it could take", 0.05),
    "ack-then-reject": Fault("the venue acknowledges an order and rejects it afterwards", 0.1),
    "split-order": Fault("the venue makes several orders of one that only reduces", 0.3),
    "outage": Fault("nothing arrives in either direction for a while", 0.7, timed=True),
    # what the venue reports
    "cut-stream": Fault(
        "the stream of reports breaks and is made anew; what happened meanwhile is not sent", 1.5, timed=True
    ),
    "lose-report": Fault("a report is lost though the stream is up", 0.03),
    "late-report": Fault("a report comes seconds late, and after later ones", 0.1),
    "repeat-report": Fault("a report comes more than once", 0.15),
    # what the venue answers
    "lose-query": Fault("a question is never answered", 0.1),
    "fail-query": Fault("a question fails", 0.15),
    "stale-query": Fault("an answer is some seconds old", 0.1),
    "hide-order": Fault("an order that was taken in can't be found for a while", 0.2),
    # the account
    "manual-order": Fault("somebody trades on the account by hand", 0.7, timed=True),
    "manual-cancel": Fault("somebody cancels one of our orders by hand", 0.7, timed=True),
    "transfer": Fault("money is put in or taken out", 0.4, timed=True),
    "funding": Fault("funding is paid", 1.0, timed=True),
    "jump": Fault("the price jumps", 0.5, timed=True),
    # the plugins
    "plugin-fails": Fault("a risk rule or a strategy raises, or answers nonsense", 0.2),
    # the market data
    "lose-candle": Fault("a candle never comes", 0.03),
    "late-candle": Fault("a candle comes seconds late", 0.05),
    # the disk
    "fail-commit": Fault("a commit fails and nothing of it is on the disk", 0.004),
    "fail-after-commit": Fault("a commit fails, but it is on the disk", 0.004),
    "slow-commit": Fault("a commit takes up to seconds", 0.03),
    "disk-full": Fault("the disk is full for a while, and a reserve is all there is", 0.3, timed=True),
    # the process
    "restart": Fault("the process is asked to stop, does, and is started again", 0.3, timed=True),
    "crash": Fault("the process is killed at some moment", 0.6, timed=True),
    "pause": Fault("the process stands still for a while, and time does not", 0.5, timed=True),
    "crash-at-failpoint": Fault("the process is killed at a failpoint", 1.0, timed=True),
    "power-loss": Fault("the machine loses power: what was not synced is gone", 0.3, timed=True),
}


def drawn(dice: Random, allowed: Collection[str] = FAULTS.keys()) -> dict[str, float]:
    """Likelihoods for one run: half of the faults, each somewhere up to its highest."""
    rates: dict[str, float] = {}
    for name, fault in FAULTS.items():
        is_on, rate = dice.random() < 0.5, fault.most * dice.random()
        if is_on and name in allowed:
            rates[name] = rate
    return rates


class Faults:
    """The faults of one run."""

    def __init__(self, seed: int, rates: Mapping[str, float]) -> None:
        unknown = rates.keys() - FAULTS.keys()
        if unknown:
            raise ValueError(f"there is no fault {', '.join(sorted(unknown))}; there are: {', '.join(FAULTS)}")
        self.rates = dict(rates)
        self.counts: Counter[str] = Counter()
        """How often each struck."""
        self.are_on = True
        self._dice = {name: dice_for(seed, f"fault {name}") for name in FAULTS}

    def strikes(self, name: str) -> bool:
        """Whether a fault happens on this occasion."""
        rate = self.rates.get(name, 0.0)
        if not rate or not self.are_on or self._dice[name].random() >= rate:
            return False
        self.counts[name] += 1
        return True

    def hits(self, name: str) -> None:
        """Count a fault that was due by the clock."""
        self.counts[name] += 1

    def dice(self, name: str) -> Random:
        """The dice of a fault, for how long and how much."""
        return self._dice[name]
