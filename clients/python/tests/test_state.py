from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.python.tests.account_history import AccountHistory
from clients.python.tests.messages import envelope, order
from quarterdeck.client import AccountOverview, AccountState, Event, Order, Position, StreamGap
from quarterdeck.client.convert import decode
from quarterdeck.client.events import read_event
from quarterdeck.client.state import funds_from, orders_from, positions_from
from quarterdeck.v1 import event_pb2

LENGTH = 40
HISTORIES = 20
SEEDS = st.integers(0, HISTORIES - 1)
PLACES = st.integers(1, LENGTH)
TENTH = Decimal("1e-15")


@cache
def history(seed: int) -> AccountHistory:
    return AccountHistory(seed, LENGTH)


@cache
def events(seed: int) -> tuple[Event, ...]:
    return tuple(read_event(each) for each in history(seed).envelopes)


def listed(seed: int, orders_at: int, positions_at: int, overview_at: int) -> AccountState:
    """The state begun from lists, each read at its own place."""
    account = history(seed)
    return AccountState(
        orders_from([decode(Order, each) for each in account.orders(orders_at, open_only=True)], orders_at),
        positions_from([decode(Position, each) for each in account.positions(positions_at)], positions_at),
        funds_from(decode(AccountOverview, account.overview(overview_at)), overview_at),
    )


def led_on(state: AccountState, seed: int, until: int) -> AccountState:
    """The state after the events that follow it."""
    for event in events(seed)[state.sequence : until]:
        state = state.apply(event)
    return state


def facts(state: AccountState) -> dict[str, Any]:
    """What two states are compared by. Averages of averages may differ in the last of eighteen places."""

    def rough(each: Order) -> Order:
        return replace(each, average_price=each.average_price and each.average_price.quantize(TENTH))

    return {
        "sequence": state.sequence,
        "orders": {key: rough(each) for key, each in state.orders.items()},
        "positions": dict(state.positions),
        "wallets": dict(state.wallets),
        "trading_state": state.trading_state,
    }


@given(SEEDS, PLACES, PLACES)
def test_listing_then_following_is_listing_later(seed: int, first: int, second: int) -> None:
    first, second = sorted((first, second))
    followed = led_on(listed(seed, first, first, first), seed, second)
    assert facts(followed) == facts(listed(seed, second, second, second))


@given(SEEDS, PLACES, PLACES, PLACES)
def test_lists_of_different_moments_come_together(
    seed: int, orders_at: int, positions_at: int, overview_at: int
) -> None:
    begun = listed(seed, orders_at, positions_at, overview_at)
    assert begun.sequence == min(orders_at, positions_at, overview_at)
    assert begun.is_consistent == (orders_at == positions_at == overview_at)
    caught_up = led_on(begun, seed, max(orders_at, positions_at, overview_at))
    assert caught_up.is_consistent
    end = caught_up.sequence
    assert facts(caught_up) == facts(listed(seed, end, end, end))


@given(SEEDS, PLACES, st.integers(0, 10))
def test_an_event_twice_is_an_event_once(seed: int, place: int, again: int) -> None:
    state = led_on(listed(seed, 1, 1, 1), seed, place)
    for event in events(seed)[max(0, place - again) : place]:
        assert state.apply(event) == state


@given(SEEDS, st.integers(1, LENGTH - 2), st.integers(1, 5))
def test_a_missing_event_is_refused(seed: int, place: int, missing: int) -> None:
    state = listed(seed, place, place, place)
    for event in events(seed)[place + missing :][:1]:
        with pytest.raises(StreamGap):
            state.apply(event)


@given(SEEDS, PLACES)
def test_closed_orders_are_those_that_ended_while_we_watched(seed: int, place: int) -> None:
    state = led_on(listed(seed, 1, 1, 1), seed, place)
    ended = {each.name for each in history(seed).orders(place)} - {each.name for each in state.orders.values()}
    assert {each.name for each in state.closed_orders.values()} == ended
    assert not any(each.is_open for each in state.closed_orders.values())


@given(SEEDS)
def test_the_last_valuation_is_the_newest_snapshot(seed: int) -> None:
    state = led_on(listed(seed, 1, 1, 1), seed, LENGTH)
    taken = [each for each in events(seed) if each.type == "PortfolioSnapshotTaken"]
    expected = taken[-1].sequence if taken else 1
    assert state.valuation.sequence == expected


def test_histories_are_eventful() -> None:
    """The laws above are worth little if nothing ever happens."""
    seen = {each.type for seed in range(HISTORIES) for each in events(seed)}
    assert len(seen) >= 20
    assert any(len(listed(seed, LENGTH, LENGTH, LENGTH).positions) == 2 for seed in range(HISTORIES))


def test_only_so_many_closed_orders_are_kept() -> None:
    state = AccountState(orders_from([], 0, keep_closed=2), positions_from([], 0), listed(0, 1, 1, 1)._funds)
    sequence = 0
    for key in ("1", "2", "3"):
        prepared = event_pb2.OrderPrepared(order=order(key))
        prepared.reference_price.value = "1"
        rejected = event_pb2.OrderRejected(order=f"accounts/main/orders/{key}", reason="no")
        for body in ({"order_prepared": prepared}, {"order_rejected": rejected}):
            sequence += 1
            state = state.apply(read_event(envelope(sequence, **body)))
    assert list(state.closed_orders) == ["2", "3"]
    assert [each.reason for each in state.closed_orders.values()] == ["no", "no"]
