"""A bot that could never run is refused, and what a strategy wants of the past is nobody's order."""

from __future__ import annotations

import pytest

from core.tests.daemon import plugin
from core.tests.engine.desk import MORNING
from quarterdeck.daemon.bots import check_spec, warm_strategy
from quarterdeck.domain.bot import BotSpec
from quarterdeck.domain.errors import InvalidRequest, NotFound
from quarterdeck.domain.market import HOUR, MINUTE
from quarterdeck.plugin import loader
from quarterdeck.plugin.loader import Plugins


@pytest.fixture
def plugins() -> Plugins:
    return loader.load(modules=[plugin], only=[])


def test_a_strategy_is_shown_as_much_history_as_it_wants(plugins: Plugins) -> None:
    spec = BotSpec("one", "eager", "btcusdt", MINUTE, '{"warmup": 5}')
    strategy = warm_strategy(spec, plugins, plugin.Minutes(), MORNING)
    assert isinstance(strategy, plugin.Eager)
    assert [each.time for each in strategy.seen] == [MORNING - number * MINUTE for number in (4, 3, 2, 1, 0)]


def test_each_bot_has_a_strategy_of_its_own(plugins: Plugins) -> None:
    spec = BotSpec("one", "eager", "btcusdt", MINUTE, "{}")
    first, second = (warm_strategy(spec, plugins, plugin.Minutes(), MORNING) for _ in range(2))
    assert first is not second


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        (BotSpec("one", "eagre", "btcusdt", MINUTE, "{}"), "bot.strategy", "did you mean 'eager'"),
        (BotSpec("one", "eager", "btcusdt", MINUTE, '{"warmpu": 1}'), "bot.settings", "warmpu: unknown key"),
        (BotSpec("one", "eager", "btcusdt", HOUR, "{}"), "bot.interval", "no candles of 3600 s for btcusdt"),
    ],
)
def test_a_bot_that_could_never_run_is_refused(plugins: Plugins, spec: BotSpec, field: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        check_spec(spec, plugins, plugin.Minutes(), {"btcusdt"})
    assert field in str(refused.value)


def test_a_bot_on_nothing_is_told_so(plugins: Plugins) -> None:
    with pytest.raises(NotFound, match="no instrument 'nothing'"):
        check_spec(BotSpec("one", "eager", "nothing", MINUTE, "{}"), plugins, plugin.Minutes(), {"btcusdt"})
