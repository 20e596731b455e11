"""Listings: the domain's own objects, newest first, page by page, as of a known position."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from core.tests.daemon.journal.test_snapshots import folded, history
from core.tests.daemon.journal.trading import entries_of, fold_entry, write
from quarterdeck.daemon.journal import Journal, Listings, OrderKey, Page, Projections, load_state
from quarterdeck.domain.order import Order, OrderState
from quarterdeck.engine.events import OrderFilled, PortfolioSnapshotTaken
from quarterdeck.rpc.convert.envelope import decode

EVENTS = [decode(entry.body) for entry in entries_of(history(12))]
STATE = folded(EVENTS)
ORDERS = sorted(
    (STATE.open_orders | STATE.closed_orders).values(),
    key=lambda order: (order.create_time, order.order_id),
    reverse=True,
)
FILLS = [recorded for recorded in reversed(EVENTS) if isinstance(recorded.event, OrderFilled)]
SNAPSHOTS = [recorded for recorded in EVENTS if isinstance(recorded.event, PortfolioSnapshotTaken)]


@pytest.fixture
def listings(journal: Journal) -> Listings:
    write(journal, EVENTS)
    load_state(journal, fold_entry, Projections(journal))
    return Listings(journal)


def pages(fetch: Callable[[Any], Page[Any]], key: Callable[[Any], Any]) -> Iterable[Any]:
    """Everything, by following one page after the other."""
    after = None
    while (page := fetch(after)).rows:
        assert page.sequence == EVENTS[-1].sequence
        yield from page.rows
        after = key(page.rows[-1])


def test_there_is_something_to_list() -> None:
    assert len(ORDERS) > 20
    assert len(FILLS) > 20
    assert len(SNAPSHOTS) > 5
    assert any(one.create_time == other.create_time for one, other in pairwise(ORDERS)), "no two of the same moment"
    assert {order.symbol for order in (one.terms for one in ORDERS)} == {"btcusdt", "btcusdt-spot"}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_orders_page_by_page(listings: Listings, size: int) -> None:
    found = pages(
        lambda before: listings.orders(size, before), lambda order: OrderKey(order.create_time, order.order_id)
    )
    assert list(found) == ORDERS


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"symbol": "btcusdt-spot"}, lambda order: order.terms.symbol == "btcusdt-spot"),
        ({"symbol": "nothing"}, lambda _: False),
        ({"bot_id": ""}, lambda order: order.bot_id == ""),
        ({"bot_id": "sma"}, lambda order: order.bot_id == "sma"),
        ({"states": [OrderState.FILLED]}, lambda order: order.state is OrderState.FILLED),
        ({"states": []}, lambda _: False),
        (
            {"states": {OrderState.CANCELED, OrderState.NOT_SENT}, "symbol": "btcusdt"},
            lambda order: order.terms.symbol == "btcusdt" and order.state in {OrderState.CANCELED, OrderState.NOT_SENT},
        ),
    ],
)
def test_orders_of_a_kind(listings: Listings, filters: dict[str, Any], wanted: Callable[[Order], bool]) -> None:
    assert listings.orders(1000, **filters).rows == [order for order in ORDERS if wanted(order)]


def test_one_order(listings: Listings) -> None:
    for order in ORDERS[:5]:
        assert listings.order(order.order_id) == order
    assert listings.order("nobody") is None


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_fills_page_by_page(listings: Listings, size: int) -> None:
    found = list(pages(lambda before: listings.fills(size, before), lambda fill: fill.sequence))
    assert [(fill.sequence, fill.time, fill.event) for fill in found] == [
        (recorded.sequence, recorded.time, recorded.event) for recorded in FILLS
    ]
    owners = {order.order_id: order.bot_id for order in ORDERS}
    assert all(fill.event.bot_id == owners[fill.event.order_id] for fill in found)


def test_fills_of_an_order_an_instrument_and_a_bot(listings: Listings) -> None:
    one = FILLS[0].event
    assert isinstance(one, OrderFilled)
    assert {fill.event.order_id for fill in listings.fills(1000, order_id=one.order_id).rows} == {one.order_id}
    spot = listings.fills(1000, symbol="btcusdt-spot").rows
    assert {fill.event.symbol for fill in spot} == {"btcusdt-spot"}
    perpetual = listings.fills(1000, symbol="btcusdt").rows
    assert len(spot) + len(perpetual) == len(FILLS)
    assert listings.fills(1000, bot_id="nobody").rows == []
    assert len(listings.fills(1000, bot_id="").rows) + len(listings.fills(1000, bot_id="sma").rows) == len(FILLS)


def test_portfolio_snapshots_from_oldest_to_newest(listings: Listings) -> None:
    found = list(pages(lambda after: listings.portfolio_snapshots(after or 0, 3), lambda snapshot: snapshot.sequence))
    assert [(each.sequence, each.time, each.event) for each in found] == [
        (recorded.sequence, recorded.time, recorded.event) for recorded in SNAPSHOTS
    ]


def test_an_empty_journal_lists_nothing(journal: Journal) -> None:
    listings = Listings(journal)
    assert listings.orders(10) == Page([], 0)
    assert listings.fills(10) == Page([], 0)
    assert listings.portfolio_snapshots(0, 10) == Page([], 0)
    assert listings.order("x") is None
