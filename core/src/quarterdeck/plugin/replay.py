"""Owns the pace of feeds that replay: market time against the time of whoever listens."""

from __future__ import annotations

from asyncio import get_running_loop, sleep
from collections.abc import AsyncIterator, Iterable

from quarterdeck.domain.market import SECOND, MarketEvent

# Often enough that everything else in the process stays responsive, seldom enough not to show in the time per event.
_EVENTS_PER_BREATH = 64
_FORGIVEN_DELAY = 1.0


async def paced(events: Iterable[MarketEvent], rate: float | None) -> AsyncIterator[MarketEvent]:
    """Hand over events in the order they come, the first at once.

    `rate` is how many seconds of market time pass in one second of the event loop's clock; None is as fast as they are
    asked for. Whoever asks late gets what is due at once, but after more than a second the pace goes on from there
    instead of catching up. Other tasks get their turn at any pace.
    """
    if rate is None:
        for number, event in enumerate(events):
            if number % _EVENTS_PER_BREATH == 0:
                await sleep(0)
            yield event
        return
    clock = get_running_loop().time
    due, previous = clock(), None
    for event in events:
        if previous is not None:
            due += (event.time - previous) / (SECOND * rate)
        previous = event.time
        delay = due - clock()
        if delay < -_FORGIVEN_DELAY:
            due = clock()
        await sleep(max(delay, 0))
        yield event
