"""The pace of replays, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from quarterdeck.domain.market import SECOND, Side, Trade
from quarterdeck.plugin import replay
from quarterdeck.plugin.replay import paced


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(replay, "sleep", clock.sleep)
    monkeypatch.setattr(replay, "get_running_loop", lambda: clock)
    return clock


def trades(*seconds: float) -> Iterator[Trade]:
    for second in seconds:
        yield Trade("btcusdt", int(second * SECOND), 1.0, 1.0, Side.BUY)


async def test_gaps_in_market_time_become_pauses(clock: Clock) -> None:
    arrivals = [(event.time // SECOND, clock.now) async for event in paced(trades(1000, 1060, 1060, 1180), 60.0)]
    assert arrivals == [(1000, 100.0), (1060, 101.0), (1060, 101.0), (1180, 103.0)]


async def test_time_taken_by_the_listener_counts(clock: Clock) -> None:
    arrivals = []
    async for _ in paced(trades(0, 1, 2, 3), 1.0):
        arrivals.append(clock.now)
        clock.now += 0.25
    assert arrivals == [100.0, 101.0, 102.0, 103.0]
    assert clock.naps == [0, 0.75, 0.75, 0.75]


async def test_a_short_delay_is_made_up_and_a_long_one_is_not(clock: Clock) -> None:
    arrivals = []
    async for _ in paced(trades(0, 1, 2, 3, 4, 5), 1.0):
        arrivals.append(clock.now - 100)
        clock.now += {0: 1.5, 3: 600.0}.get(len(arrivals) - 1, 0.0)
    assert arrivals == [0.0, 1.5, 2.0, 3.0, 603.0, 604.0]


async def test_at_full_speed_nothing_waits_but_others_get_their_turn(clock: Clock) -> None:
    assert len([event async for event in paced(trades(*range(200)), None)]) == 200
    assert clock.naps == [0, 0, 0, 0]


async def test_other_tasks_run_at_full_speed() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for _ in paced(trades(*range(640)), None):
        pass
    task.cancel()
    assert turns >= 10
