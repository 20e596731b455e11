from __future__ import annotations

from dataclasses import replace

from quarterdeck.simulation.plan import plan_of
from quarterdeck.simulation.runner import run, run_seed


def test_a_run_without_faults_trades_and_breaks_nothing() -> None:
    for seed in range(1, 6):
        result = run(replace(plan_of(seed, ()), hours=1.0))
        assert result.violations == ()
        assert result.orders > 5
        assert result.processes in (2, 3)  # killed once or twice when all was quiet


def test_the_same_seed_is_the_same_run() -> None:
    for seed in range(10, 16):
        first, again = run_seed(seed), run_seed(seed)
        assert first.trace == again.trace
        assert first.faults == again.faults
    assert run_seed(10).trace != run_seed(11).trace
