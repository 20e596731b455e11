"""Every scenario that is written down: it must hold, and its fault must really have been met."""

from __future__ import annotations

import pytest

from quarterdeck.simulation.faults import FAULTS
from quarterdeck.simulation.plan import scenarios
from quarterdeck.simulation.runner import Choice, Totals, run_seed

NAMES = [pytest.param(name, marks=pytest.mark.slow if one.sweep else ()) for name, one in scenarios().items()]


@pytest.mark.parametrize("name", NAMES)
def test_scenario(name: str) -> None:
    scenario, totals, recorded = scenarios()[name], Totals(), set[str]()
    for seed in scenario.runs:
        result = run_seed(seed, Choice(name))
        assert result.violations == (), f"again with `quarterdeck simulate --scenario {name} --seeds {seed}..{seed}`"
        totals.add(result)
        recorded |= result.recorded
    assert recorded >= set(scenario.recorded)
    assert not recorded & set(scenario.never)
    assert totals.faults.keys() >= scenario.faults.keys()


def test_every_scenario_says_which_fault_it_is_and_what_is_expected() -> None:
    for scenario in scenarios().values():
        assert scenario.faults.keys() <= FAULTS.keys()
        assert scenario.summary.endswith(".")
        assert scenario.expected.endswith(".")
