"""Owns closing the gate for an instrument whose prices are too old to go by, as the feed itself says."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from quarterdeck.daemon.loop import Loop
from quarterdeck.engine.checks import Finding, Verdict
from quarterdeck.engine.inputs import ClearObstacle, SetObstacle
from quarterdeck.engine.obstacles import STALE, Obstacle
from quarterdeck.plugin.feed import Feed, MarketHealth, WatchedFeed

log = structlog.get_logger(__name__)


class MarketWatch:
    """Asks the feed now and then. One that can't say is taken to be well: its events tell."""

    def __init__(self, feed: Feed, loop: Loop, obstacles: Mapping[str, Obstacle]) -> None:
        self._feed = feed if isinstance(feed, WatchedFeed) else None
        self._loop = loop
        self._obstacles = obstacles
        self.health = MarketHealth()
        """What it said last."""

    def look(self) -> None:
        """Close the gate for what is stale, open it for what is not any more."""
        if self._feed is None:
            return
        self.health = self._feed.health()
        stale = {f"{STALE} {symbol}": (symbol, why) for symbol, why in self.health.stale.items()}
        for name, (symbol, why) in stale.items():
            if name not in self._obstacles:
                log.warning("market_stale", symbol=symbol, why=why)
                self._loop.post(SetObstacle(Obstacle(name, why[:500], symbol)))
        for name in self._obstacles:
            if name.startswith(f"{STALE} ") and name not in stale:
                log.info("market_fresh", symbol=self._obstacles[name].symbol)
                self._loop.post(ClearObstacle(name))

    def finding(self) -> Finding:
        """How the market data is, for a person."""
        if self._feed is None:
            return Finding("market-data", (), Verdict.NOT_APPLICABLE, "the feed does not say")
        health, held = self.health, sum(self.health.quarantined.values())
        data = {name: str(count) for name, count in health.quarantined.items()}
        if health.last_quarantined:
            data["last"] = health.last_quarantined[:500]
        said = "; ".join(f"{symbol}: {why}" for symbol, why in health.stale.items()) or "every price is fresh"
        verdict = Verdict.WARNING if health.stale or held else Verdict.OK
        return Finding("market-data", (), verdict, f"{said}; {held} messages held back"[:500], data)
