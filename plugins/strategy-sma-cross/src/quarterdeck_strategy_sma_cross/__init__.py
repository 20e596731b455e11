"""SMA cross: the strategy everybody knows, as an example of how one is written.

Owns when to enter and when to leave. Must not know: how much, on which account, the engine, the daemon, the wire.

Reading order: settings, averages, strategy.
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import Factory, Strategy, hookimpl
from quarterdeck_strategy_sma_cross.settings import SmaCrossSettings
from quarterdeck_strategy_sma_cross.strategy import SmaCross

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


@hookimpl
def quarterdeck_strategies() -> Sequence[Factory[Strategy]]:
    """Offer the strategy under the name `sma-cross`."""
    return [
        Factory(
            name="sma-cross",
            settings=SmaCrossSettings,
            build=SmaCross,
            summary="Enters when the fast moving average crosses the slow one, leaves when it crosses back",
        )
    ]
