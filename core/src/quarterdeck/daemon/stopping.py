"""Owns what becomes of orders and positions when the daemon stops, and what could not be finished, by name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from quarterdeck.daemon.config import OnStop
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain.errors import QuarterdeckError
from quarterdeck.domain.order import OrderRole, OrderState
from quarterdeck.engine.inputs import CancelOrder, ClosePosition
from quarterdeck.engine.state import State

#: Seconds between two looks at what is left to do.
LOOK_EVERY = 0.02

#: Looks between two wishes for what is still open: a cancel that lost its race, a position that grew meanwhile.
ASK_AGAIN = 25

_UNANSWERED = frozenset({OrderState.PREPARED, OrderState.SENT, OrderState.UNKNOWN})


async def stand_down(state: State, loop: Loop, policy: OnStop, seconds: float) -> list[str]:
    """Do as the policy says and wait for the answers, at most so long; returns what is left, in words.

    Protection is never touched: a position that stays keeps its stop.
    """
    clock = asyncio.get_running_loop()
    until = clock.time() + seconds
    looks = 0
    while True:
        if looks % ASK_AGAIN == 0:
            await _ask(state, loop, policy)
        looks += 1
        if loop.broken.done():
            return []
        await loop.settled()
        left = list(unfinished(state, policy))
        if not left or clock.time() >= until:
            return left
        await asyncio.sleep(LOOK_EVERY)


async def _ask(state: State, loop: Loop, policy: OnStop) -> None:
    if policy is OnStop.KEEP:
        return
    wishes: list[CancelOrder | ClosePosition] = [
        CancelOrder(order.order_id) for order in state.orders_of() if order.role is OrderRole.ENTRY
    ]
    if policy is OnStop.FLATTEN:
        wishes += [ClosePosition(symbol) for symbol, position in state.positions.items() if position.quantity]
    for asked in [loop.ask(wish) for wish in wishes]:  # in one commit, so that they can share requests
        with suppress(QuarterdeckError):  # it ended meanwhile
            await asked


def unfinished(state: State, policy: OnStop) -> Iterator[str]:
    """What is not as the policy wants it, or not answered yet."""
    for order in state.orders_of():
        if order.state in _UNANSWERED:
            yield f"order {order.order_id} is {order.state}"
        elif order.cancel_requested:
            yield f"order {order.order_id}: its cancel is not answered"
        elif order.role is OrderRole.ENTRY and policy is not OnStop.KEEP:
            yield f"order {order.order_id} still works"
    if policy is OnStop.FLATTEN:
        for symbol, position in state.positions.items():
            if position.quantity:
                yield f"position {symbol}: {position.quantity} held"
