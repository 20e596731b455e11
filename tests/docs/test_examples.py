"""Runs what stands in examples/, and holds it to what everybody else's plugins are held to."""

from __future__ import annotations

from examples import breakout
from quarterdeck.plugin import loader
from quarterdeck.testing.strategy_suite import StrategySuite


class TestBreakout(StrategySuite):
    factory = breakout.quarterdeck_strategies()[0]
    line_budget = 40


def test_the_loader_takes_the_example_as_a_plugin() -> None:
    plugins = loader.load(modules=[breakout], only=())
    assert set(plugins.strategies) == {"breakout"}
