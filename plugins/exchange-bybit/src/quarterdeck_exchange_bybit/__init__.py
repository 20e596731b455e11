"""Bybit V5 for Quarterdeck: spot and linear perpetuals on a Unified Trading Account.

Owns everything that is particular to Bybit. Must not know: the engine, the daemon, other plugins.

Reading order: codec, settings, credentials, server_clock, budget, written, rest, line, trade, ways, account, dcp,
links, parts, ear, orders, questions, exchange, market, feed_settings, feed; then check with cli (is all of that true?)
and data (Bybit's past in files).
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import Exchange, Factory, Feed, hookimpl
from quarterdeck_exchange_bybit.exchange import BybitExchange
from quarterdeck_exchange_bybit.feed import BybitFeed
from quarterdeck_exchange_bybit.feed_settings import BybitFeedSettings
from quarterdeck_exchange_bybit.settings import BybitSettings

__all__ = [
    "QUARTERDECK_API",
    "BybitExchange",
    "BybitFeed",
    "BybitFeedSettings",
    "BybitSettings",
    "quarterdeck_exchanges",
    "quarterdeck_feeds",
]

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


@hookimpl
def quarterdeck_exchanges() -> Sequence[Factory[Exchange]]:
    """Offer the venue under the name `bybit`."""
    return [
        Factory(
            name="bybit",
            settings=BybitSettings,
            build=BybitExchange,
            summary="Bybit V5: perpetuals and spot on a unified account, on testnet, demo and live",
        )
    ]


@hookimpl
def quarterdeck_feeds() -> Sequence[Factory[Feed]]:
    """Offer its market under the name `bybit`."""
    return [
        Factory(
            name="bybit",
            settings=BybitFeedSettings,
            build=BybitFeed,
            summary="Bybit's market: candles without holes, quotes, order books, tickers and trades",
        )
    ]
