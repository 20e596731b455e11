"""What the configuration names is built, and no mode reaches the wrong kind of venue."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.daemon import plugin
from quarterdeck.daemon import parts
from quarterdeck.daemon.config import parse
from quarterdeck.daemon.parts import Parts
from quarterdeck.domain.errors import ConfigError
from quarterdeck.plugin import loader


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "load", lambda: loader.load(modules=[plugin], only=[]))


def build(text: str = "") -> Parts:
    return parts.build_parts(parse(text, "here"))


def test_every_part_is_built_with_its_settings() -> None:
    built = build(
        '[[scalers]]\nplugin = "half"\n[sizing]\nplugin = "speed-demon"\n[sizing.settings]\nratio = "0.03"\n'
        '[limits]\nmax_open_orders = 7\n[[risk]]\nplugin = "limits"\n[[risk]]\nplugin = "limits"\n',
    )
    deciders = built.deciders
    assert deciders.sizer.risk_ratio(Decimal(1)).ratio == Decimal("0.03")
    assert [scaler.name for scaler in deciders.scalers] == ["half"]
    assert [rule.name for rule in deciders.rules] == ["first", "second"] * 2
    assert deciders.limits.max_open_orders == 7
    assert deciders.venue is built.exchange.capabilities
    assert built.names[:3] == (
        "exchange/paper (not installed)",
        "feed/synthetic (not installed)",
        "sizer/speed-demon (not installed)",
    )


@pytest.mark.parametrize("mode", ["demo", "paper"])
def test_a_simulated_mode_never_reaches_a_real_venue(mode: str) -> None:
    build(f'mode = "{mode}"')
    with pytest.raises(ConfigError, match=r"mode: .*embedded venue, and exchange 'real' is a real one"):
        build(f'mode = "{mode}"\n[exchange]\nplugin = "real"')


@pytest.mark.parametrize("mode", ["testnet", "exchange-demo", "live"])
def test_a_real_mode_does_not_trade_on_air(mode: str) -> None:
    armed = "[live]\narmed = true\n"
    build(f'mode = "{mode}"\n{armed}[exchange]\nplugin = "real"')
    with pytest.raises(ConfigError, match=r"mode: .*needs a real venue, and exchange 'paper' is embedded"):
        build(f'mode = "{mode}"\n{armed}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[exchange]\nplugin = "papre"', "[exchange] plugin = 'papre': not installed (did you mean 'paper'?)"),
        ('[feed]\nplugin = "none"', "[feed] plugin = 'none'"),
        ('[sizing]\nplugin = "none"', "[sizing] plugin = 'none'"),
        ('[[scalers]]\nplugin = "none"', "[[scalers]] plugin = 'none'"),
        ('[[risk]]\nplugin = "none"', "[[risk]] plugin = 'none'"),
        ('[sizing]\nplugin = "speed-demon"\n[sizing.settings]\nratoi = 1', "[sizing.settings] ratoi: unknown key"),
        ('[sizing]\nplugin = "speed-demon"\n[sizing.settings]\nratio = "x"', "[sizing.settings] ratio = 'x'"),
    ],
)
def test_what_can_not_be_built_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build(text)
    assert said in str(refused.value)
