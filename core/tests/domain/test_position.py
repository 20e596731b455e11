from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.domain.market import Side
from quarterdeck.domain.position import Position, position_after

LOTS = st.integers(1, 10**9).map(lambda lots: lots * Decimal("0.001"))
TICKS = st.integers(1, 10**9).flatmap(lambda ticks: st.sampled_from([ticks * Decimal("0.1"), ticks * Decimal("1E-10")]))
FILLS = st.lists(st.tuples(st.sampled_from(Side), LOTS, TICKS), max_size=30)


@pytest.mark.parametrize(
    ("held", "fill", "after"),
    [
        # Each is quantity and cost held; side, quantity and price filled; quantity, cost and profit after it.
        (("0", "0"), ("BUY", "2", "100"), ("2", "200", "0")),
        (("0", "0"), ("SELL", "2", "100"), ("-2", "-200", "0")),
        (("2", "200"), ("BUY", "1", "130"), ("3", "330", "0")),
        (("-2", "-200"), ("SELL", "1", "70"), ("-3", "-270", "0")),
        # A third of three bought for 330 costs 110 and is sold for 150.
        (("3", "330"), ("SELL", "1", "150"), ("2", "220", "40")),
        (("3", "330"), ("SELL", "1", "90"), ("2", "220", "-20")),
        # A third of three sold for 270 was sold for 90 and is bought back for 60.
        (("-3", "-270"), ("BUY", "1", "60"), ("-2", "-180", "30")),
        (("2", "200"), ("SELL", "2", "101.5"), ("0", "0", "3")),
        (("-2", "-200"), ("BUY", "2", "101.5"), ("0", "0", "-3")),
        # Through zero: two are closed at a profit of 20, one is sold short at 110.
        (("2", "200"), ("SELL", "3", "110"), ("-1", "-110", "20")),
        (("-2", "-200"), ("BUY", "5", "90"), ("3", "270", "20")),
        # What does not divide stays with the rest: 100 / 3 is settled to eight places.
        (("3", "100"), ("SELL", "1", "40"), ("2", "66.66666667", "6.66666667")),
    ],
)
def test_by_hand(held: tuple[str, str], fill: tuple[str, str, str], after: tuple[str, str, str]) -> None:
    change = position_after(Decimal(held[0]), Decimal(held[1]), Side(fill[0]), Decimal(fill[1]), Decimal(fill[2]))
    assert change == tuple(map(Decimal, after))


@given(FILLS)
def test_not_a_cent_is_lost(fills: list[tuple[Side, Decimal, Decimal]]) -> None:
    """What was realised is what came in for sales, less what went out for purchases, plus what is tied up still."""
    position = Position("btcusdt")
    cash = Decimal(0)
    for side, quantity, price in fills:
        position.apply(side, quantity, price, Decimal(0), 0)
        cash -= side.sign * quantity * price
    assert position.realized_pnl == cash + position.cost
    assert position.quantity == sum((side.sign * quantity for side, quantity, _ in fills), Decimal(0))


@given(FILLS)
def test_cost_has_the_sign_of_the_quantity_and_is_nothing_when_flat(fills: list[tuple[Side, Decimal, Decimal]]) -> None:
    position = Position("btcusdt")
    for side, quantity, price in fills:
        position.apply(side, quantity, price, Decimal(0), 0)
        if not position.quantity:
            assert position.cost == 0
        else:
            assert (position.cost > 0) == (position.quantity > 0)


def test_a_position_keeps_its_fees_apart() -> None:
    position = Position("btcusdt")
    assert position.average_price is None
    position.apply(Side.BUY, Decimal(2), Decimal(100), Decimal("0.5"), 7)
    assert position.apply(Side.SELL, Decimal(1), Decimal(110), Decimal("0.25"), 9) == 10
    assert position == Position(
        "btcusdt",
        Decimal(1),
        Decimal(100),
        realized_pnl=Decimal(10),
        fees=Decimal("0.75"),
        update_time=9,
    )
    assert position.average_price == 100
    assert position.unrealized_pnl(Decimal(90)) == -10


def test_a_short_gains_when_the_price_falls() -> None:
    position = Position("btcusdt")
    position.apply(Side.SELL, Decimal(2), Decimal(100), Decimal(0), 0)
    assert position.average_price == 100
    assert position.unrealized_pnl(Decimal(90)) == 20
