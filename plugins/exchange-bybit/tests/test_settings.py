"""Real money is traded only where that was said twice: by the daemon's mode and by the plugin's environment."""

from __future__ import annotations

import pytest

from quarterdeck.daemon.config import parse
from quarterdeck.daemon.parts import build_parts
from quarterdeck.plugin import ConfigError

CONFIG = """
mode = "{mode}"
[live]
armed = true
[exchange]
plugin = "bybit"
[exchange.settings]
environment = "{environment}"
symbols = ["btcusdt"]
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYBIT_API_KEY", "made-up-key")
    monkeypatch.setenv("BYBIT_API_SECRET", "made-up-secret")


@pytest.mark.parametrize(
    ("mode", "environment", "fits"),
    [
        ("testnet", "testnet", True),
        ("exchange-demo", "demo", True),
        ("live", "live", True),
        ("testnet", "live", False),
        ("exchange-demo", "live", False),
        ("live", "testnet", False),
    ],
)
def test_mode_and_environment_have_to_agree(mode: str, environment: str, fits: bool) -> None:
    config = parse(CONFIG.format(mode=mode, environment=environment), "here")
    if fits:
        assert build_parts(config).exchange.capabilities.mode == mode
    else:
        with pytest.raises(ConfigError, match=r"is set up for .* make them agree"):
            build_parts(config)


@pytest.mark.parametrize("mode", ["demo", "paper"])
def test_a_mode_without_orders_never_reaches_it(mode: str) -> None:
    with pytest.raises(ConfigError, match="trades on an embedded venue"):
        build_parts(parse(CONFIG.format(mode=mode, environment="live"), "here"))
