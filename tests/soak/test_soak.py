"""A short soak of one seed; `make soak` runs long ones of any. And the plan of a seed, which is the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.plan import OF_THE_PROCESS, plan_of
from tests.soak.run import soak

#: A kill at a failpoint, a lost answer, messages lost, late and out of order, and a request carried out twice.
SEED, SECONDS = 240, 10.0


def test_a_seed_is_a_plan() -> None:
    plan = plan_of(7, 600)
    assert plan == plan_of(7, 600)
    assert plan != plan_of(8, 600)
    assert [act.at for act in plan] == sorted(act.at for act in plan)
    assert len({act.kind for act in plan}) > 20
    assert max(act.at for act in plan if act.kind in OF_THE_PROCESS) < 360  # the last process lives on


@pytest.mark.slow
def test_both_sides_are_the_same_in_the_end(tmp_path: Path) -> None:
    outcome = soak(SEED, SECONDS, tmp_path)
    assert outcome.is_clean, outcome.as_json()
    assert min(outcome.orders, outcome.fills, outcome.faults) > 0
