"""One order that Bybit has made several of is one order here."""

from __future__ import annotations

from decimal import Decimal

import pytest

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderState, OrderTerms, OrderType
from quarterdeck.plugin import VenueOrder
from quarterdeck_exchange_bybit.codec.orders import OrderRow
from quarterdeck_exchange_bybit.parts import Parts, gathered

D = Decimal
OPEN, FILLED, CANCELED = OrderState.OPEN, OrderState.FILLED, OrderState.CANCELED
PARTLY = OrderState.PARTIALLY_FILLED


def part(number: int, size: str, filled: str, state: OrderState, *, reduces: bool = True) -> OrderRow:
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.MARKET, D(size), reduce_only=reduces)
    order = VenueOrder("a1-x", f"id{number}", terms, state, D(filled), update_time=number)
    return OrderRow(order, "", state, None, "", "", number)


def test_it_has_ended_when_all_of_it_has() -> None:
    parts = Parts()
    seen = [
        parts.whole(row, D("2.5"), D(1))
        for row in (
            part(1, "1", "0", OPEN),
            part(1, "1", "1", FILLED),
            part(2, "1", "1", FILLED),
            part(3, "0.5", "0.2", PARTLY),
            part(3, "0.5", "0.5", FILLED),
        )
    ]
    assert [row.state for row in seen] == [OPEN, PARTLY, PARTLY, PARTLY, FILLED]
    assert {row.order.terms.quantity for row in seen} == {D("2.5")}
    assert [row.order.filled_quantity for row in seen] == [D(0), D(1), D(2), D("2.2"), D("2.5")]


def test_a_part_that_was_canceled_ends_it_with_the_last() -> None:
    parts = Parts()
    rows = part(1, "1", "0.4", CANCELED), part(2, "0.5", "0.5", FILLED)
    assert [parts.whole(row, D("1.5"), D(1)).state for row in rows] == [PARTLY, CANCELED]


@pytest.mark.parametrize(("wanted", "most", "reduces"), [("1", "1", True), ("5", "0", True), ("5", "1", False)])
def test_what_is_never_split_is_left_alone(wanted: str, most: str, reduces: bool) -> None:
    row = part(1, "1", "1", FILLED, reduces=reduces)
    assert Parts().whole(row, D(wanted), D(most)) is row


def test_lists_name_it_once() -> None:
    rows = [part(1, "1", "0", OPEN), part(2, "0.5", "0.1", PARTLY)]
    (order,) = gathered(row.order for row in rows)
    assert (order.terms.quantity, order.filled_quantity, order.state) == (D("1.5"), D("0.1"), PARTLY)
