"""A made-up market for Quarterdeck: seeded, regime-switching candles that are the same on every machine.

Owns the walk of prices and its settings. Must not know: the engine, the daemon, the wire, real market data.

Reading order: settings, walk, feed.
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import Factory, Feed, hookimpl
from quarterdeck_feed_synthetic.feed import SyntheticFeed
from quarterdeck_feed_synthetic.settings import SyntheticSettings

__all__ = ["QUARTERDECK_API", "SyntheticFeed", "SyntheticSettings", "quarterdeck_feeds"]

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


@hookimpl
def quarterdeck_feeds() -> Sequence[Factory[Feed]]:
    """Offer the feed under the name `synthetic`."""
    return [
        Factory(
            name="synthetic",
            settings=SyntheticSettings,
            build=SyntheticFeed,
            summary="Made-up candles of a market that trends, ranges and storms; the same seed gives the same candles",
        )
    ]
