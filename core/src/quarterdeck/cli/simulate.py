"""Owns `quarterdeck simulate`."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

import typer

from quarterdeck.cli.command import Cli, command, single
from quarterdeck.cli.problem import Problem, misused
from quarterdeck.simulation.faults import FAULTS
from quarterdeck.simulation.plan import scenarios
from quarterdeck.simulation.runner import Choice, Result, Totals, run_seeds, shrunk

app = single()

#: Seeds run when none are named.
FRESH = 400

#: Failed seeds that are made small; the rest are told as they are.
SHRUNK = 3


@command(app, asks_daemon=False)
def simulate(
    cli: Cli,
    *,
    seeds: Annotated[
        str | None, typer.Option(metavar="A..B", help=f"The seeds to run; {FRESH} that nobody has run if not given.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(metavar="NAME", help="A written-down run instead of drawn ones; `list` lists them.")
    ] = None,
    faults: Annotated[
        str | None, typer.Option(metavar="NAMES", help="No other faults than these, separated by commas.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the seeds.")] = 2,
    limit: Annotated[float | None, typer.Option(metavar="SECONDS", help="Begin no more seeds after this time.")] = None,
    shrink: Annotated[bool, typer.Option(help="Look for the fewest faults that show the same.")] = True,
) -> None:
    """Run the daemon's core in worlds where everything fails, and check that it holds.

    The same seed is the same run, so what fails can be looked at again with the command that is shown.
    """
    if scenario == "list":
        _list(cli)
        return
    choice = Choice(_scenario(scenario), _faults(faults))
    chosen = scenarios()[scenario].runs if scenario and seeds is None else _seeds(seeds)
    cli.out.note(f"Seeds {chosen[0]}..{chosen[-1]}.")
    totals, began = Totals(), time.monotonic()
    for result in run_seeds(chosen, choice, jobs):
        totals.add(result)
        if result.violations:
            _tell(cli, result, choice, shrink=shrink and len(totals.failed) <= SHRUNK)
        if limit is not None and time.monotonic() - began > limit:
            break
    cli.out.answer(_summary(totals), _sentence(totals))
    if totals.failed:
        many = f"{len(totals.failed)} of {totals.seeds} seeds broke an invariant."
        raise Problem(many, code="INTERNAL", hint="Each is shown above with the command that repeats it.")


def _list(cli: Cli) -> None:
    known = [{"name": name, "fault": one.fault, "summary": one.summary} for name, one in scenarios().items()]
    cli.out.answer(known, "\n".join(f"{one['fault']} {one['name']}: {one['summary']}" for one in known))


def _tell(cli: Cli, result: Result, choice: Choice, *, shrink: bool) -> None:
    for violation in result.violations:
        cli.out.note(f"seed {result.seed}: {violation}")
    fewest = shrunk(result, choice) if shrink else choice.only
    again = f"quarterdeck simulate --seeds {result.seed}..{result.seed}"
    if choice.scenario:
        again += f" --scenario {choice.scenario}"
    if fewest is not None:
        again += f" --faults {','.join(fewest) or 'none'}"
    cli.out.note(f"seed {result.seed}: again with `{again}`")


def _summary(totals: Totals) -> dict[str, Any]:
    return {
        "seeds": totals.seeds,
        "simulated_hours": round(totals.hours, 2),
        "faults": dict(sorted(totals.faults.items())),
        "orders": totals.orders,
        "events": totals.events,
        "processes": totals.processes,
        "cpu_seconds": round(totals.cpu, 2),
        "violations": [
            {"seed": result.seed, "violation": violation} for result in totals.failed for violation in result.violations
        ],
    }


def _sentence(totals: Totals) -> str:
    per_minute = totals.hours / totals.cpu * 60 if totals.cpu else 0.0
    return (
        f"{totals.seeds:,} seeds, {totals.hours:,.0f} simulated hours ({per_minute:,.0f} per minute of CPU), "
        f"{totals.orders:,} orders, {sum(totals.faults.values()):,} faults, {totals.processes:,} processes: "
        f"{sum(len(result.violations) for result in totals.failed)} violations."
    )


def _seeds(text: str | None) -> range:
    if text is None:
        first = time.time_ns() // 1_000_000_000 * FRESH
        return range(first, first + FRESH)
    found = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if found is None or int(found[1]) > int(found[2]):
        raise misused(f"--seeds {text}: write them as FIRST..LAST, such as 1..100.")
    return range(int(found[1]), int(found[2]) + 1)


def _scenario(name: str | None) -> str:
    if name is not None and name not in scenarios():
        raise misused(f"--scenario: there is no scenario {name!r}.", "`--scenario list` lists them.")
    return name or ""


def _faults(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name for name in text.split(",") if name and name != "none")
    for name in names:
        if name not in FAULTS:
            raise misused(f"--faults: there is no fault {name!r}.", f"There are: {', '.join(FAULTS)}.")
    return names
