"""Runs what stands in examples/, and holds it to what everybody else's plugins are held to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from examples import mean_reversion
from quarterdeck.plugin import loader
from quarterdeck.testing.strategy_suite import StrategySuite
from tests.docs.session import Session
from tests.repository import ROOT


class TestMeanReversion(StrategySuite):
    factory = mean_reversion.quarterdeck_strategies()[0]
    line_budget = 40


def test_the_loader_takes_the_example_as_a_plugin() -> None:
    plugins = loader.load(modules=[mean_reversion], only=())
    assert set(plugins.strategies) == {"mean-reversion"}


@pytest.mark.slow
def test_the_scripts_trade_and_follow(tmp_path: Path) -> None:
    scripts = ROOT / "examples"
    with Session(tmp_path) as session:
        session.serve()
        follow = f"{sys.executable} {scripts / 'follow_account.py'} {session.address} 8 | tee followed &"
        session.run(follow, "... is where this begins")
        printed, code = session.run(f"{sys.executable} {scripts / 'trade_by_hand.py'} {session.address}")
        assert code == 0, printed
        assert "speed-demon.quantity" in printed
        traded = [line.split()[0] for line in printed.splitlines() if line.startswith(("BUY", "SELL"))]
        assert traded == ["BUY", "SELL"]
        assert session.run("wait").code == 0
        followed, _ = session.run("cat followed")
        assert "OrderFilled: holds" in followed
        assert len(followed.splitlines()) >= 9
