"""Each fault that is planted in the core must be found by the simulation, within few seeds."""

from __future__ import annotations

import pytest

from core.tests.simulation.mutants import MUTANTS
from quarterdeck.simulation.runner import Choice, run_seed

#: Seeds within which each must be found.
SEEDS = 40


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_is_found(name: str) -> None:
    mutant = MUTANTS[name]
    found: list[str] = []
    for seed in range(1, SEEDS + 1):
        with mutant.plant():
            result = run_seed(seed, Choice(mutant.scenario))
        found = [one for one in result.violations if one.partition(":")[0] in mutant.breaks.split()]
        if found:
            break
    print(f"{name}: {mutant.summary}: found at seed {seed}: {found[:1]}")
    assert found, f"{SEEDS} seeds did not notice that {mutant.summary}"
