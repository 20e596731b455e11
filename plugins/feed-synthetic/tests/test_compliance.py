from __future__ import annotations

from types import MappingProxyType

from quarterdeck.testing.feed_suite import FeedSuite
from quarterdeck.testing.views import BTCUSDT, PEPEUSDT_SPOT
from quarterdeck_feed_synthetic import quarterdeck_feeds


class TestEndless(FeedSuite):
    factory = quarterdeck_feeds()[0]
    settings = MappingProxyType({"speed": "max"})


class TestFinite(FeedSuite):
    factory = quarterdeck_feeds()[0]
    settings = MappingProxyType({"speed": "max", "count": 100, "interval": "1h", "seed": 7})


class TestSeveralInstruments(FeedSuite):
    factory = quarterdeck_feeds()[0]
    settings = MappingProxyType({"speed": "max", "symbols": {"pepeusdt-spot": 0.00001, "btcusdt": 60_000}})
    instruments = (BTCUSDT, PEPEUSDT_SPOT)
    sample = 3_000
