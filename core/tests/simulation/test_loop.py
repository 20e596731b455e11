from __future__ import annotations

import asyncio
from random import Random

import pytest

from quarterdeck.simulation.loop import SECOND, Crash, Process, Stuck, VirtualLoop


def test_an_hour_passes_at_once() -> None:
    loop = VirtualLoop(Random(1))

    async def main() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run(main()) == 3600
    loop.close()


def test_what_waits_for_nothing_is_stuck() -> None:
    loop = VirtualLoop(Random(1))

    async def main() -> None:
        await loop.create_future()

    with pytest.raises(Stuck):
        loop.run(main())
    loop.close()


def test_an_ended_process_does_nothing_more_not_even_clean_up() -> None:
    loop = VirtualLoop(Random(1))
    seen, children = list[str](), list[asyncio.Task[None]]()
    process = Process("one")

    async def child() -> None:
        try:
            while True:
                await asyncio.sleep(1)
                seen.append("tick")
        finally:
            seen.append("cleaned up")

    async def body() -> None:
        children.append(asyncio.create_task(child()))
        await asyncio.sleep(100)

    async def main() -> None:
        _ = loop.start(process, body())
        await asyncio.sleep(2.5)
        process.end()
        await asyncio.sleep(10)
        assert seen == ["tick", "tick"]

    loop.run(main())
    loop.close()


def test_what_is_on_its_way_arrives_after_the_process_has_ended() -> None:
    loop = VirtualLoop(Random(1))
    process, seen = Process("one"), list[int]()

    async def body() -> None:
        loop.outside(SECOND, seen.append, 1)
        loop.call_later(1, seen.append, 2)
        process.end()
        raise Crash("one")

    async def main() -> None:
        _ = loop.start(process, body())
        await asyncio.sleep(5)

    loop.run(main())
    loop.close()
    assert seen == [1]
    assert loop.complaints == []


def test_threads_run_at_once() -> None:
    loop = VirtualLoop(Random(1))

    async def main() -> tuple[int, float]:
        return await asyncio.to_thread(int, "7"), loop.time()

    assert loop.run(main()) == (7, 0)
    loop.close()


def test_timers_of_one_moment_fire_in_an_order_of_the_seed() -> None:
    def order(seed: int) -> list[int]:
        loop, seen = VirtualLoop(Random(seed)), list[int]()

        async def main() -> None:
            for number in range(5):
                loop.call_later(1, seen.append, number)
            await asyncio.sleep(2)

        loop.run(main())
        loop.close()
        return seen

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(10)}) > 3


def test_a_paused_process_goes_on_where_it_was() -> None:
    loop, seen = VirtualLoop(Random(1)), list[float]()
    process = Process("one")

    async def body() -> None:
        while True:
            await asyncio.sleep(1)
            seen.append(loop.time())

    async def main() -> None:
        _ = loop.start(process, body())
        await asyncio.sleep(1.5)
        process.is_paused = True
        await asyncio.sleep(10)
        loop.resume(process)
        await asyncio.sleep(0.5)

    loop.run(main())
    loop.close()
    assert seen == [1, 11.5]
