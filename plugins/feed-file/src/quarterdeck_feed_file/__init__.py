"""Recorded markets for Quarterdeck: candles and trades from Parquet and CSV files, checked before the first event.

Owns reading and checking files, and replaying them. Must not know: the engine, the daemon, the wire.

Reading order: settings, feed, series, load, source, checks, faults. The last four import pyarrow; only `open` needs it.
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import Factory, Feed, hookimpl
from quarterdeck_feed_file.feed import FileFeed
from quarterdeck_feed_file.settings import FileSettings

__all__ = ["QUARTERDECK_API", "FileFeed", "FileSettings", "quarterdeck_feeds"]

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


@hookimpl
def quarterdeck_feeds() -> Sequence[Factory[Feed]]:
    """Offer the feed under the name `file`."""
    return [
        Factory(
            name="file",
            settings=FileSettings,
            build=FileFeed,
            summary="Candles or trades recorded in Parquet or CSV files, checked whole before the first is delivered",
        )
    ]
