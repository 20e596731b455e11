"""What type checkers see of the client: `make types` reads it, and fails where a promise or an ignore is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import assert_type

from quarterdeck.client import (
    AccountOverview,
    AccountState,
    AsyncListing,
    AsyncStream,
    Client,
    ComputedSize,
    Event,
    Holding,
    Order,
    OrderCreated,
    Position,
    Quote,
    Replica,
    Status,
    SyncClient,
    SyncListing,
    SyncStream,
    Unary,
    events,
)
from quarterdeck.v1.order_service_pb2 import GetOrderRequest, GetOrderResponse


async def the_async_client_is_awaited(client: Client) -> None:
    assert_type(await client.system.status(), Status)
    assert_type(await client.accounts.overview(), AccountOverview)
    assert_type(
        await client.orders.create(instrument="btcusdt", side="BUY", type="LIMIT", quantity=1, limit_price="5"),
        OrderCreated,
    )
    assert_type(await client.sizing.compute("btcusdt", "BUY", stop="49000"), ComputedSize)
    listing = assert_type(client.orders.list(), AsyncListing[Order])
    assert_type([order async for order in listing], list[Order])
    assert_type(await client.positions.list(), list[Position])
    assert_type(client.events.stream(after=0, types=[events.OrderFilled]), AsyncStream[Event])
    async for quote in client.market.stream_quotes():
        assert_type(quote, Quote)
    assert_type(client.with_options(timeout=1), Client)
    client.system.status()  # type: ignore[unused-coroutine]  # a forgotten await is found
    for _ in client.orders.list():  # type: ignore[attr-defined]  # a forgotten async is found
        pass


def the_sync_client_answers(client: SyncClient) -> None:
    assert_type(client.system.status(), Status)
    assert_type(client.orders.get("1").quantity, Decimal)
    assert_type(client.orders.get("1").limit_price, Decimal | None)
    assert_type(client.orders.list(open_only=True), SyncListing[Order])
    assert_type(list(client.orders.list()), list[Order])
    assert_type(client.events.stream(), SyncStream[Event])
    with client.events.stream(after=b"token") as stream:
        assert_type(next(stream), Event)


def words_are_checked(client: SyncClient) -> bool:
    client.orders.create(instrument="btcusdt", side="HOLD", type="MARKET")  # type: ignore[arg-type]  # no such side
    client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", quantity=0.1)  # type: ignore[arg-type]  # not exact
    client.orders.create("btcusdt", side="BUY", type="MARKET")  # type: ignore[call-arg]  # terms are named
    client.orders.create(instrument="btcusdt", side="BUY", type="MARKET", qty=1)  # type: ignore[call-arg]  # no such term
    client.orders.get()  # type: ignore[call-arg]  # which one?
    client.risk.engage_kill_switch("because", mode="BURN")  # type: ignore[arg-type]  # no such mode
    return client.orders.get("1").state == "FILED"  # type: ignore[comparison-overlap]  # a slip of the pen is found


def events_are_told_apart(event: Event) -> Decimal | None:
    match event.body:
        case events.OrderFilled(fill=fill, order_state=state):
            assert_type(state == "FILLED", bool)
            return fill.price
        case events.BalanceAdjusted() as adjusted:
            return assert_type(adjusted.wallet, Decimal)
        case _:
            return None


async def a_replica_gives_states(client: Client) -> None:
    async with Replica(client) as replica:
        assert_type(replica.state, AccountState)
        assert_type(replica.state.positions, Mapping[str, Holding])
        assert_type(await replica.wait_for(lambda state: "btcusdt" in state.positions, timeout=1), AccountState)
        async for state in replica.states():
            assert_type(state.orders["1"], Order)
        replica.on_event(lambda event, state: print(event.sequence, state.sequence))
    Replica(SyncClient.connect())  # type: ignore[arg-type]  # follows with the async client


def read_name(answer: GetOrderResponse) -> str:
    return answer.order.name


async def a_link_makes_any_call(client: Client, sync_client: SyncClient) -> None:
    assert_type(await client.link.unary(Unary(GetOrderRequest(), read_name)), str)
    assert_type(sync_client.link.unary(Unary(GetOrderRequest(), read_name)), str)
