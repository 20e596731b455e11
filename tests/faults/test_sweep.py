"""F01 to F06: the daemon is killed at every failpoint, and nothing is lost, nothing happens twice.

`make faults` kills at several hits of every point, on the paper venue and on one that takes its time. Without it a
sample is taken: places where an order, a cancel, a kill or a recovery is half done.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quarterdeck.daemon.failpoints import NAMES
from tests.faults.nursery import Nursery
from tests.faults.sweep import RECOVERY, RELAPSES, Case, Forked

#: Set by `make faults`.
WHOLE = bool(os.environ.get("QUARTERDECK_FAULTS"))

#: Where between the first and the last hit of a point the daemon is killed, in parts of the way.
PARTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)

SAMPLE = (
    ("journal.committed", "paper"),
    ("loop.durable", "patient"),
    ("loop.published", "paper"),
    ("order.queued", "patient"),
    ("place.before", "patient"),
    ("place.after", "paper"),
    ("cancel.after", "paper"),
    ("amend.before", "patient"),
    ("kill.latched", "patient"),
    ("table.written", "paper"),
    ("stop.recorded", "paper"),
)
SAMPLE_OF_STARTS = ("start.restore", "resolve.answer", "start.bots")

VENUES = ("paper", "patient")
DAYS = [(name, venue) for name in NAMES if not name.startswith(RECOVERY) for venue in VENUES] if WHOLE else SAMPLE
STARTS = [name for name in NAMES if name.startswith(RECOVERY)] if WHOLE else SAMPLE_OF_STARTS

pytestmark = pytest.mark.slow

_hits: dict[str, dict[str, int]] = {}


def hits(venue: str, nursery: Nursery, factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often an undisturbed session hits each point; about the same whatever the database."""
    if venue not in _hits:
        folder = factory.mktemp("undisturbed")
        _hits[venue] = Case(Forked(folder, f"sqlite:///{folder / 'journal.db'}", nursery, venue)).count()
    return _hits[venue]


def test_an_undisturbed_session_hits_every_point(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> None:
    seen = hits("patient", nursery, tmp_path_factory)
    assert [name for name in NAMES if not seen.get(name) and not name.startswith("resolve.")] == []


@pytest.mark.parametrize("part", PARTS if WHOLE else (0.5,))
@pytest.mark.parametrize(("point", "venue"), DAYS)
def test_killed_at(
    point: str,
    venue: str,
    part: float,
    tmp_path: Path,
    journal_url: str,
    nursery: Nursery,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    last = hits(venue, nursery, tmp_path_factory).get(point, 0)
    nth = 1 + round(part * (last - 1))
    if not last:
        pytest.skip("an order is queued only where it does not leave at once")
    if nth in [1 + round(other * (last - 1)) for other in PARTS if other < part]:
        pytest.skip("the same hit as another part's")
    reached = Case(Forked(tmp_path, journal_url, nursery, venue)).die_at(point, nth)
    assert reached or part > 0.5, f"{point} was not hit {nth} times, as it was before"


@pytest.mark.parametrize("times", (1, RELAPSES) if WHOLE else (RELAPSES,))
@pytest.mark.parametrize("point", STARTS)
def test_killed_while_it_recovers(point: str, times: int, tmp_path: Path, journal_url: str, nursery: Nursery) -> None:
    Case(Forked(tmp_path, journal_url, nursery)).relapse_at(point, times)


@pytest.mark.skipif(not WHOLE, reason="part of the whole sweep: make faults")
@pytest.mark.parametrize("point", [name for name in NAMES if name.startswith("start.")])
def test_killed_at_its_very_first_start(point: str, tmp_path: Path, journal_url: str, nursery: Nursery) -> None:
    assert Case(Forked(tmp_path, journal_url, nursery)).die_at(point, 1)


@pytest.mark.skipif(not WHOLE, reason="part of the whole sweep: make faults")
@pytest.mark.parametrize("nth", range(1, 13))
def test_killed_after_each_of_the_first_commits(nth: int, tmp_path: Path, journal_url: str, nursery: Nursery) -> None:
    assert Case(Forked(tmp_path, journal_url, nursery)).die_at("journal.committed", nth)
