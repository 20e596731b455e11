from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import (
    CLOSED_STATES,
    CONDITIONAL_TYPES,
    LIMIT_TYPES,
    TRANSITIONS,
    TRIGGER_TYPES,
    UNRESOLVED_STATES,
    IllegalTransition,
    Order,
    OrderRole,
    OrderState,
    OrderTerms,
    OrderType,
    check_transition,
    state_after_fill,
)

TERMS = OrderTerms("btcusdt", Side.BUY, OrderType.LIMIT, Decimal(10), Decimal(100))


def an_order(state: OrderState = OrderState.PREPARED, filled: int = 0) -> Order:
    return Order("o", "l", TERMS, OrderRole.ENTRY, 0, state=state, filled_quantity=Decimal(filled))


def reachable(start: OrderState) -> set[OrderState]:
    """Every state a number of moves away."""
    found: set[OrderState] = set()
    ahead = {start}
    while ahead:
        state = ahead.pop()
        found.add(state)
        ahead |= TRANSITIONS[state] - found
    return found


def test_the_table_has_a_line_for_every_state() -> None:
    assert set(TRANSITIONS) == set(OrderState)


def test_every_state_can_be_reached() -> None:
    assert reachable(OrderState.PREPARED) == set(OrderState)


def test_every_open_state_can_end_and_no_closed_one_opens_again() -> None:
    for state in OrderState:
        if state in CLOSED_STATES:
            assert reachable(state) <= CLOSED_STATES, state
        else:
            assert reachable(state) & CLOSED_STATES, state


def test_the_only_way_out_of_an_end_is_a_late_fill() -> None:
    exits = {(state, to) for state in CLOSED_STATES for to in TRANSITIONS[state] if to is not state}
    assert exits == {(OrderState.CANCELED, OrderState.FILLED), (OrderState.EXPIRED, OrderState.FILLED)}


def test_what_was_prepared_can_reach_the_venue_only_by_being_sent() -> None:
    assert TRANSITIONS[OrderState.PREPARED] & {OrderState.SENT} == {OrderState.SENT}
    assert TRANSITIONS[OrderState.PREPARED] - {OrderState.SENT} <= CLOSED_STATES
    assert all(OrderState.SENT not in moves for state, moves in TRANSITIONS.items() if state is not OrderState.PREPARED)


def test_what_is_unknown_is_settled_by_evidence_only() -> None:
    assert OrderState.NOT_SENT not in TRANSITIONS[OrderState.UNKNOWN]
    assert not UNRESOLVED_STATES & CLOSED_STATES


def test_orders_know_whether_they_are_open() -> None:
    for state in OrderState:
        order = an_order(state, filled=4)
        assert order.is_open == (state not in CLOSED_STATES)
        assert order.leaves_quantity == (6 if order.is_open else 0)


def test_average_price() -> None:
    order = an_order()
    assert order.average_price is None
    order.filled_quantity, order.cost = Decimal(4), Decimal(402)
    assert order.average_price == Decimal("100.5")


@pytest.mark.parametrize(("state", "wanted"), list(product(OrderState, OrderState)))
def test_a_move_is_made_if_and_only_if_the_table_lists_it(state: OrderState, wanted: OrderState) -> None:
    order = an_order(state)
    if wanted in TRANSITIONS[state]:
        check_transition(order, wanted)
    else:
        with pytest.raises(IllegalTransition, match=f"order o: {state} may not become {wanted}"):
            check_transition(order, wanted)


@pytest.mark.parametrize(
    ("state", "filled", "quantity", "after"),
    [
        (OrderState.OPEN, 0, 4, OrderState.PARTIALLY_FILLED),
        (OrderState.OPEN, 0, 10, OrderState.FILLED),
        (OrderState.PARTIALLY_FILLED, 4, 3, OrderState.PARTIALLY_FILLED),
        (OrderState.PARTIALLY_FILLED, 4, 6, OrderState.FILLED),
        (OrderState.PARTIALLY_FILLED, 4, 7, OrderState.FILLED),
        (OrderState.UNKNOWN, 0, 10, OrderState.FILLED),
        (OrderState.CANCELED, 4, 3, OrderState.CANCELED),
        (OrderState.CANCELED, 4, 6, OrderState.FILLED),
        (OrderState.EXPIRED, 0, 10, OrderState.FILLED),
        (OrderState.EXPIRED, 0, 9, OrderState.EXPIRED),
        (OrderState.FILLED, 10, 1, OrderState.FILLED),
        (OrderState.REJECTED, 0, 10, OrderState.REJECTED),
        (OrderState.ABSENT, 0, 10, OrderState.ABSENT),
    ],
)
def test_state_after_a_fill(state: OrderState, filled: int, quantity: int, after: OrderState) -> None:
    assert state_after_fill(an_order(state, filled), Decimal(quantity)) is after


def test_types_fall_into_their_kinds() -> None:
    assert {OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT} == LIMIT_TYPES & TRIGGER_TYPES
    assert set(OrderType) - LIMIT_TYPES - CONDITIONAL_TYPES == {OrderType.MARKET}
