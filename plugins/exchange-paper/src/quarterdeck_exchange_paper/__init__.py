"""Paper exchange for Quarterdeck: simulated trading against the market data it is shown.

Owns the settings of the simulated venue, the instruments it lists by default, and the exchange interface around
`quarterdeck.matching`, which decides every fill. Must not know: the engine, the daemon, the wire, clocks, networks.

Reading order: settings, listing, exchange.
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import Exchange, Factory, hookimpl
from quarterdeck_exchange_paper.exchange import PaperExchange
from quarterdeck_exchange_paper.settings import PaperSettings

__all__ = ["QUARTERDECK_API", "PaperExchange", "PaperSettings", "quarterdeck_exchanges"]

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


@hookimpl
def quarterdeck_exchanges() -> Sequence[Factory[Exchange]]:
    """Offer the venue under the name `paper`."""
    return [
        Factory(
            name="paper",
            settings=PaperSettings,
            build=PaperExchange,
            summary="A simulated venue: perpetuals and spot with fees, slippage, latency, funding and liquidation",
        )
    ]
