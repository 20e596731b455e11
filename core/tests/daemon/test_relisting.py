"""The venue's rules are asked for now and then, after a refusal, and again when it could not say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from core.tests.daemon.conftest import Bridge, Venue
from core.tests.engine.desk import BTC, SPOT
from quarterdeck.daemon.relisting import APART, Relisting
from quarterdeck.domain.instrument import Instrument
from quarterdeck.engine.events import InstrumentChanged, OrderRejected, Recorded

COARSE = replace(BTC, tick_size=BTC.tick_size * 5)


class Lister(Venue):
    """Lists other rules each time, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.failures = 0

    async def instruments(self) -> Sequence[Instrument]:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise ConnectionError("503")
        return (COARSE, SPOT)


async def settle(bridge: Bridge) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    await bridge.loop.idle()


async def test_a_refusal_has_the_rules_asked_for_and_no_more_often_than_it_may(bridge: Bridge) -> None:
    venue, rests = Lister(), asyncio.Queue[float]()
    may_go_on = asyncio.Event()

    async def sleep(seconds: float) -> None:
        rests.put_nowait(seconds)
        await may_go_on.wait()

    relisting = Relisting(venue, bridge.loop, sleep)
    bridge.loop.connect(lambda _: None, [bridge.published.extend])
    task = asyncio.create_task(relisting.keep())
    refused = Recorded(1, 1, OrderRejected("o", "110094 too small"))
    await settle(bridge)
    assert venue.asked == 0
    relisting.hear([refused])
    assert await rests.get() == APART
    assert bridge.published[-1].event == InstrumentChanged(COARSE)
    relisting.hear([refused, refused])
    await settle(bridge)
    assert venue.asked == 1, "it is left in peace for a while"
    venue.failures = 1
    may_go_on.set()
    await rests.get()
    await rests.get()
    assert venue.asked == 3, "a venue that could not say is asked again"
    await settle(bridge)
    assert venue.asked == 3
    assert bridge.machine.instruments["btcusdt"] == COARSE
    task.cancel()
