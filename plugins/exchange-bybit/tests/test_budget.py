"""Nothing leaves beyond the budget, and what takes risk away always finds room."""

from __future__ import annotations

import pytest

from quarterdeck_exchange_bybit.budget import ADDRESS_LIMIT, BAN, LONGEST_PAUSE, Banned, Budget


class Clock:
    """A steady clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(clock)


async def leave(budget: Budget, method: str = "place_order", *, reduces: bool = False) -> bool:
    return await budget.take(method, "linear", reduces=reduces, patience=0.0)


async def test_a_fifth_is_kept_for_exits(budget: Budget) -> None:
    assert [await leave(budget) for _ in range(9)] == [True] * 8 + [False]
    assert [await leave(budget, reduces=True) for _ in range(2)] == [True, False]


async def test_room_comes_back_with_time(budget: Budget, clock: Clock) -> None:
    for _ in range(8):
        await leave(budget)
        clock.now += 0.1
    assert not await leave(budget)
    clock.now += 0.2
    assert not await leave(budget), "one that was slow on its way may come with it in the same second"
    clock.now += 0.1
    assert await leave(budget)


async def test_methods_do_not_share_but_the_address_does(budget: Budget, clock: Clock) -> None:
    for _ in range(8):
        await leave(budget)
    assert await leave(budget, "amend_order")
    left = 9
    while await leave(budget, f"read-{left % 20}"):
        left += 1
    assert left == int(ADDRESS_LIMIT * 0.8)
    assert await leave(budget, "cancel_order", reduces=True)


async def test_a_refusal_closes_the_method_for_no_longer_than_sensible(budget: Budget, clock: Clock) -> None:
    budget.refused("place_order", "linear", 3_600.0)
    assert not await leave(budget)
    assert await leave(budget, "cancel_order")
    clock.now += LONGEST_PAUSE + 0.01
    assert await leave(budget)
    budget.refused("place_order", "linear", -5.0)
    assert await leave(budget)


async def test_a_ban_closes_everything(budget: Budget, clock: Clock) -> None:
    budget.ban()
    with pytest.raises(Banned, match="600 s"):
        await leave(budget, "cancel_order", reduces=True)
    clock.now += BAN + 1
    assert await leave(budget)


async def test_a_batch_takes_a_place_for_each_of_its_orders(budget: Budget, clock: Clock) -> None:
    async def batch(places: int) -> bool:
        return await budget.take("cancel_batch_order", "linear", reduces=True, patience=0.0, places=places)

    assert await batch(6)
    assert not await batch(4)
    assert await batch(3)
    clock.now += 1.1
    assert await batch(20), "more than there ever is takes all there is"
    assert not await batch(1)
