"""Runs soaks: `python -m tests.soak --minutes 10 --seed 7`. Ends with 1 if anything was violated."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.soak.plan import plan_of
from tests.soak.run import Outcome, soak
from tests.soak.stage import say


def main(arguments: list[str]) -> int:
    """Soak once; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long things go wrong (10)")
    parser.add_argument("--seed", type=int, help="what goes wrong, and when; one of its own if not given")
    parser.add_argument("--folder", type=Path, help="where journal and log are kept; one of its own if not given")
    parser.add_argument("--plan", action="store_true", help="print what would go wrong, and do nothing")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON, and no other on the output")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    if given.plan:
        print("\n".join(map(str, plan_of(seed, 60 * given.minutes))))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that no daemon is left behind
    folder = given.folder or Path(tempfile.mkdtemp(prefix=f"quarterdeck-soak-{seed}-"))
    outcome = soak(seed, 60 * given.minutes, folder)
    print(outcome.as_json() if given.json else described(outcome))
    if not outcome.is_clean:
        say(f"again: python -m tests.soak --seed {seed} --minutes {given.minutes:g}; journal and log: {folder}")
    return 0 if outcome.is_clean else 1


def described(outcome: Outcome) -> str:
    """An outcome for people."""
    counts = {
        "requests": outcome.wishes,
        "orders": outcome.orders,
        "fills": outcome.fills,
        "events": outcome.events,
        "faults": outcome.faults,
    }
    lines = [
        _table(f"seed {outcome.seed}, {outcome.seconds / 60:g} minutes", counts),
        _table("went wrong", outcome.acts),
        _table("processes", outcome.ends),
        _table("answers", outcome.answers),
        _table("logged as errors", outcome.errors),
        f"took no more risk by itself: {'; '.join(outcome.reducing) or 'never'}",
        f"wallet adjusted for a while: {outcome.adjusted} times",
        "the longest life: " + ", ".join(f"{name} {value:g}" for name, value in outcome.memory.items()),
        *_histograms(outcome.protection),
        f"{len(outcome.violations)} violations",
        *(f"  {each}" for each in outcome.violations),
    ]
    return "\n".join(lines)


def _histograms(protection: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """How long positions were without their stop: a line for each who measured it, a column for each class."""
    yield "seconds without a stop, at most:"
    for who, counts in protection.items():
        yield f"  {who:24}" + "  ".join(f"{bound}: {count}" for bound, count in counts.items())


def _table(title: str, counts: dict[str, int]) -> str:
    return f"{title}: " + ", ".join(
        f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda one: -one[1])
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
