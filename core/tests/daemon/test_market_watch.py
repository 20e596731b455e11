"""An instrument whose prices are too old to go by takes no entries, and everything else goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.tests.daemon import plugin
from core.tests.daemon.ship import Ship
from core.tests.engine.deciders import RatioSizer, Rule
from core.tests.engine.desk import order
from quarterdeck.daemon.deck import Phase
from quarterdeck.daemon.market_watch import MarketWatch
from quarterdeck.engine.checks import Verdict
from quarterdeck.engine.events import OrderPrepared, OrderRefused
from quarterdeck.engine.inputs import Request
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.plugin import MarketHealth
from quarterdeck.rpc.facade import DaemonState


class Watched(plugin.Minutes):
    """A feed that says how well it is."""

    said = MarketHealth()

    def health(self) -> MarketHealth:
        return self.said


@pytest.fixture
async def ship(tmp_path: Path) -> AsyncIterator[Ship]:
    ship = await Ship(tmp_path, Deciders(RatioSizer(), rules=[Rule()])).open()
    ship.deck.phase, ship.deck.is_connected = Phase.RUNNING, True
    yield ship
    ship.journal.close()


async def test_an_entry_waits_for_fresh_prices_and_the_others_do_not(ship: Ship) -> None:
    feed = Watched()
    watch = ship.deck.market_watch = MarketWatch(feed, ship.loop, ship.deck.machine.obstacles)

    async def look() -> None:
        watch.look()
        await ship.loop.idle()

    await look()
    assert ship.deck.status().state is DaemonState.READY
    feed.said = MarketHealth({"ethusdt": "no price for 20 s"}, {"gap": 2}, "gap: 12 does not follow 10")
    await look()
    await look()
    status = ship.deck.status()
    assert (status.state, status.stale_instruments, status.quarantined_count) == (DaemonState.SAFE, ["ethusdt"], 2)
    assert status.reasons == ["STALE ethusdt: no price for 20 s"]
    recorded = await ship.deck.submit(order("0.1", order_id="other"), Request("r1", "d"))
    assert recorded is not None
    assert isinstance(recorded.event, OrderPrepared)

    feed.said = MarketHealth({"btcusdt": "no price for 16 s"})
    await look()
    recorded = await ship.deck.submit(order("0.1", order_id="entry"), Request("r2", "d"))
    assert recorded is not None
    assert isinstance(recorded.event, OrderRefused)
    assert recorded.event.refusal.reason == "STALE btcusdt: no price for 16 s"
    finding = {each.check: each for each in await ship.deck.diagnose(full=False)}["market-data"]
    assert (finding.verdict, finding.detail) == (Verdict.WARNING, "btcusdt: no price for 16 s; 0 messages held back")

    feed.said = MarketHealth(quarantined={"gap": 2}, last_quarantined="gap: 12 does not follow 10")
    await look()
    assert ship.deck.status().state is DaemonState.READY
    finding = {each.check: each for each in await ship.deck.diagnose(full=False)}["market-data"]
    assert finding.data == {"gap": "2", "last": "gap: 12 does not follow 10"}
    await ship.loop.idle()


async def test_a_feed_that_says_nothing_is_taken_to_be_well(ship: Ship) -> None:
    ship.deck.market_watch.look()
    assert ship.deck.market_watch.finding().verdict is Verdict.NOT_APPLICABLE
    assert not ship.deck.machine.obstacles
