"""Owns how long positions waited for the stop their orders carry: from an order's first trade to a stop that works.

By the journal's times, since this daemon started. Whoever looks at the venue itself may see less: a stop that works
there counts here once it was heard of.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from quarterdeck.domain.market import SECOND
from quarterdeck.domain.order import Order, OrderRole
from quarterdeck.engine import events as e
from quarterdeck.engine.checks import Finding, Verdict, unprotected
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.state import State

#: Upper bounds of the histogram's classes, in nanoseconds; one more class is above them all.
BOUNDS = (SECOND // 100, SECOND // 10, SECOND // 2, SECOND, 2 * SECOND, 5 * SECOND)

#: A position has its stop, or is flat, within this long.
LIMIT = 5 * SECOND


class StopWaits:
    """A histogram, filled by what becomes durable."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._since = dict(_left_waiting(state))
        """When each order whose position waits first traded, by its id."""
        self._early: set[str] = set()
        """Orders whose stop was heard of before their first trade."""
        self.counts = [0] * (len(BOUNDS) + 1)
        self.longest = 0
        """The longest wait that has ended, in nanoseconds."""

    def hear(self, events: Sequence[Recorded]) -> None:
        """Take in events that have just become durable; the state is that after the last of them."""
        has_moved = False
        for recorded in events:
            match recorded.event:
                case e.OrderAdopted(role=OrderRole.STOP_LOSS, parent_id=parent) if parent:
                    self._stop_works(parent, recorded.time)
                case e.OrderFilled() as fill:
                    has_moved = True
                    if fill.filled_quantity == fill.quantity:  # its first
                        self._first_traded(fill.order_id, recorded.time)
                    self._protection_traded(fill.order_id, recorded.time)
                case e.OrderAdopted() | e.PositionAdjusted():
                    has_moved = True
                case _:
                    pass
        if has_moved and self._since:
            self._end_covered(events[-1].time)

    def _first_traded(self, order_id: str, time: int) -> None:
        order = self._state.order(order_id)
        if order is None or not _carries_stop(order):
            return
        self._since[order_id] = time
        if order_id in self._early:
            self._early.discard(order_id)
            self._end(order_id, time)

    def _protection_traded(self, order_id: str, time: int) -> None:
        """What protects an order closes its position, whether its stop was ever heard of or not."""
        order = self._state.order(order_id)
        if order is not None and order.parent_id in self._since:
            self._end(order.parent_id, time)

    def _stop_works(self, parent: str, time: int) -> None:
        order = self._state.order(parent)
        if parent in self._since:
            self._end(parent, time)
        elif order is not None and not order.filled_quantity:
            self._early.add(parent)

    def _end_covered(self, time: int) -> None:
        """Nothing waits where nothing is held, or stops cover all of it."""
        bare = set(unprotected(self._state))
        for order_id in list(self._since):
            order = self._state.order(order_id)
            if order is None or order.terms.symbol not in bare:
                self._end(order_id, time)

    def _end(self, order_id: str, time: int) -> None:
        wait = max(0, time - self._since.pop(order_id))
        self.counts[bisect_left(BOUNDS, wait)] += 1
        self.longest = max(self.longest, wait)

    def finding(self, now: int) -> Finding:
        """The histogram, for the doctor: how many waits were at most so many seconds, and what waits yet."""
        waiting = max((now - since for since in self._since.values()), default=0)
        longest = max(self.longest, waiting)
        names = [f"{bound / SECOND:g}" for bound in BOUNDS] + ["more"]
        data = {name: str(count) for name, count in zip(names, self.counts, strict=True)}
        data |= {"longest": f"{longest / SECOND:.3f}", "waiting": str(len(self._since))}
        total = sum(self.counts)
        told = f"{total:,} positions got the stop their order carried, after {self.longest / SECOND:.3f} s at most"
        if waiting:
            told += f"; {len(self._since)} wait for it, for {waiting / SECOND:.1f} s at most"
        return Finding("stop-waits", ("I08",), Verdict.OK if longest <= LIMIT else Verdict.WARNING, told, data)


def _carries_stop(order: Order) -> bool:
    return order.role is OrderRole.ENTRY and order.terms.stop_loss is not None


def _left_waiting(state: State) -> Iterator[tuple[str, int]]:
    """What an earlier daemon left without its stop. A stop that has ended has done its work."""
    bare = set(unprotected(state))
    if not bare:
        return
    orders = [*state.closed_orders.values(), *state.open_orders.values()]
    stopped = {each.parent_id for each in orders if each.role is OrderRole.STOP_LOSS}
    for order in orders:
        is_bare = order.terms.symbol in bare and order.filled_quantity and _carries_stop(order)
        if is_bare and order.order_id not in stopped:
            yield order.order_id, order.update_time
