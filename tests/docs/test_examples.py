"""Runs what stands in examples/, and holds it to what everybody else's plugins are held to."""

from __future__ import annotations

from examples import mean_reversion
from quarterdeck.plugin import loader
from quarterdeck.testing.strategy_suite import StrategySuite


class TestMeanReversion(StrategySuite):
    factory = mean_reversion.quarterdeck_strategies()[0]
    line_budget = 40


def test_the_loader_takes_the_example_as_a_plugin() -> None:
    plugins = loader.load(modules=[mean_reversion], only=())
    assert set(plugins.strategies) == {"mean-reversion"}
