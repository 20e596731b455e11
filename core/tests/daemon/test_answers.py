from __future__ import annotations

import asyncio

import pytest

from quarterdeck.daemon.answers import answer_of


async def test_an_answer_is_passed_on() -> None:
    assert await answer_of(asyncio.sleep(0, 7)) == 7


async def test_what_the_exchange_cancels_is_its_failure() -> None:
    waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(waiting.cancel)
    with pytest.raises(ConnectionAbortedError):
        await answer_of(waiting)


async def test_whoever_asks_can_still_be_stopped() -> None:
    asking = asyncio.create_task(answer_of(asyncio.sleep(60)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
