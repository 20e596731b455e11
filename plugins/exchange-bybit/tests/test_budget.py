"""Nothing leaves beyond the budget, and what takes risk away always finds room."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from quarterdeck_exchange_bybit.budget import (
    ADDRESS_LIMIT,
    ADDRESS_WINDOW,
    BAN,
    LONGEST_PAUSE,
    Address,
    Banned,
    Budget,
    address_at,
)

#: Requests of an address that leave the reserve alone, and all there are.
USUAL, ALL = int(ADDRESS_LIMIT * 0.8), ADDRESS_LIMIT - 1


class Clock:
    """A steady clock that stands still until it is moved, and so do those who sleep by it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:  # noqa: ASYNC110 - the test moves it
            await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("quarterdeck_exchange_bybit.budget.asyncio", SimpleNamespace(sleep=clock.sleep))
    return clock


@pytest.fixture
def address(clock: Clock) -> Address:
    return Address(clock)


@pytest.fixture
def budget(address: Address) -> Budget:
    return Budget(address)


@pytest.fixture
def neighbour(address: Address) -> Budget:
    """Another account on the same machine."""
    return Budget(address)


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
    assert left == USUAL
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


class TestSeveralAccounts:
    """What one host lets through from here is one for all of them, and what a user may do is each one's own."""

    async def test_the_address_is_shared_with_its_reserve_and_methods_are_not(
        self, budget: Budget, neighbour: Budget
    ) -> None:
        for _ in range(8):
            assert await leave(budget)
        assert not await leave(budget)
        assert await leave(neighbour)
        for number in range(9, USUAL):
            assert await leave((budget, neighbour)[number % 2], f"read-{number % 20}")
        assert [await leave(each, "amend_order") for each in (budget, neighbour)] == [False, False]
        for number in range(USUAL, ALL):
            assert await leave((budget, neighbour)[number % 2], f"cancel-{number % 10}", reduces=True)
        assert not await leave(neighbour, "cancel_order", reduces=True)

    async def test_a_ban_is_of_all(self, budget: Budget, neighbour: Budget, clock: Clock) -> None:
        waiting = asyncio.gather(
            *(neighbour.take("place_order", "linear", reduces=False, patience=9) for _ in range(9))
        )
        await asyncio.sleep(0)
        budget.ban()
        clock.now += 2
        with pytest.raises(Banned):
            await waiting
        assert neighbour.banned_for == BAN - 2
        with pytest.raises(Banned):
            await leave(neighbour, "cancel_order", reduces=True)
        assert await neighbour.take("cancel_order", "linear", reduces=True, patience=0, by_socket=True)
        clock.now += BAN
        assert await leave(neighbour)

    async def test_what_takes_risk_away_passes_the_entries_that_wait(
        self, budget: Budget, neighbour: Budget, clock: Clock
    ) -> None:
        for number in range(USUAL):
            await leave(budget, f"read-{number % 20}")
        entry = asyncio.ensure_future(budget.take("place_order", "linear", reduces=False, patience=9))
        await asyncio.sleep(0)
        assert await leave(neighbour, "cancel_order", reduces=True)
        assert not entry.done()
        clock.now += ADDRESS_WINDOW
        assert await entry

    async def test_none_waits_for_an_entry_though_the_reserve_is_used_up(
        self, budget: Budget, neighbour: Budget, address: Address, clock: Clock
    ) -> None:
        for number in range(ALL):
            await leave(budget, f"cancel-{number % 10}", reduces=True)

        async def gone(of: Budget, method: str, *, reduces: bool) -> bool:
            return await of.take(method, "linear", reduces=reduces, patience=ADDRESS_WINDOW)

        entries = asyncio.gather(*(gone(budget, f"enter-{n % 20}", reduces=False) for n in range(300)))
        await asyncio.sleep(0)
        exits = asyncio.gather(*(gone(neighbour, f"exit-{n % 10}", reduces=True) for n in range(100)))
        await asyncio.sleep(0)
        assert address.window.ahead == 100
        clock.now += ADDRESS_WINDOW
        assert all(await exits), "though the entries woke first"
        assert sum(await entries) == USUAL - 100
        assert address.window.ahead == 0

    async def test_more_that_waits_than_there_is_room_leaves_none_to_entries(
        self, budget: Budget, address: Address
    ) -> None:
        address.window.ahead = USUAL
        assert not await leave(budget)
        assert await leave(budget, "cancel_order", reduces=True)
        address.window.ahead = 0
        assert await leave(budget)

    def test_an_event_loop_that_ends_leaves_nothing_behind(self, clock: Clock, address: Address) -> None:
        async def fill() -> None:
            for number in range(ALL):
                await leave(Budget(address), f"cancel-{number}", reduces=True)
            task = asyncio.ensure_future(Budget(address).take("cancel_order", "linear", reduces=True, patience=9))
            await asyncio.sleep(0)
            assert not task.done()

        asyncio.run(fill())
        assert address.window.ahead == 0
        assert not asyncio.run(leave(Budget(address), "cancel_order", reduces=True))
        clock.now += ADDRESS_WINDOW
        assert asyncio.run(leave(Budget(address)))

    def test_one_host_is_one_address(self) -> None:
        assert address_at("https://api.bybit.com") is address_at("https://api.bybit.com/")
        assert address_at("https://api.bybit.com") is not address_at("https://api-demo.bybit.com")
        assert address_at("http://127.0.0.1:9555") is not address_at("http://127.0.0.1:9556")
