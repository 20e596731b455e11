"""All that a plugin author imports.

Owns the hook specifications, the exchange and feed interfaces, and the strict loader. The words of trading come from
`quarterdeck.domain` and are re-exported here. Must not know: the engine, the daemon, the wire.

Reading order: hookspecs, exchange, feed, loader.
"""

from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.deciders import AccountView, RiskRule, Scaler, Sizer, Strategy
from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.venue import Activity, VenueAccount, VenueOrder, VenuePosition, unnamed_link
from quarterdeck.plugin.exchange import (
    AmendOrder,
    BulkCancel,
    CancelOrder,
    Deliver,
    EmbeddedExchange,
    Exchange,
    FrameSource,
    Identified,
    KeepFrame,
    PlaceOrder,
    Remarking,
    Reminded,
)
from quarterdeck.plugin.feed import Feed, MarketHealth, WatchedFeed
from quarterdeck.plugin.hookspecs import API_VERSION, Factory, Settings, hookimpl

__all__ = [
    "API_VERSION",
    "AccountView",
    "Activity",
    "AmendOrder",
    "BulkCancel",
    "CancelOrder",
    "Capabilities",
    "ConfigError",
    "Deliver",
    "EmbeddedExchange",
    "Exchange",
    "Factory",
    "Feed",
    "FrameSource",
    "Identified",
    "KeepFrame",
    "MarketHealth",
    "PlaceOrder",
    "Remarking",
    "Reminded",
    "RiskRule",
    "Scaler",
    "Settings",
    "Sizer",
    "Strategy",
    "VenueAccount",
    "VenueOrder",
    "VenuePosition",
    "WatchedFeed",
    "hookimpl",
    "unnamed_link",
]
