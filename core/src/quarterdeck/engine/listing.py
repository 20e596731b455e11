"""Owns going by the venue's rules: which instruments it lists and how, and leaving alone what it keeps refusing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND
from quarterdeck.domain.order import OrderRole, TimeInForce
from quarterdeck.engine import events as e
from quarterdeck.engine.inputs import ListInstruments
from quarterdeck.engine.obstacles import REFUSALS, Obstacle, Obstacles
from quarterdeck.engine.turn import Turn

#: So many entries of an instrument refused within this time, and no more of it are sent for the pause that follows.
MOST_REFUSALS, REFUSED_WITHIN, PAUSE = 3, 10 * SECOND, 60 * SECOND


def list_instruments(turn: Turn, notice: ListInstruments, known: dict[str, Instrument]) -> None:
    """Go by what the venue lists now, and record what it changed. What is not listed any more can only be reduced."""
    listed = {one.symbol: one for one in notice.instruments}
    gone = [replace(one, reduce_only=True) for symbol, one in known.items() if symbol not in listed]
    for instrument in (*notice.instruments, *gone):
        if instrument != known.get(instrument.symbol):
            known[instrument.symbol] = instrument
            turn.emit(e.InstrumentChanged(instrument))


@dataclass(slots=True)
class Refusals:
    """When the venue refused entries of late, by instrument. Of the moment, never journaled."""

    times: dict[str, deque[int]] = field(default_factory=dict)

    def note(self, turn: Turn, obstacles: Obstacles) -> None:
        """Look through what a report has led to; one refusal too many is an obstacle for a while.

        A post-only order is refused because of where the market stands, and does not count.
        """
        for recorded in turn.events:
            event = recorded.event
            if not isinstance(event, e.OrderRejected):
                continue
            order = turn.state.order(event.order_id)
            if order is None or order.role is not OrderRole.ENTRY or order.terms.time_in_force is TimeInForce.POST_ONLY:
                continue
            symbol = order.terms.symbol
            times = self.times.setdefault(symbol, deque(maxlen=MOST_REFUSALS))
            times.append(turn.time)
            if len(times) == MOST_REFUSALS and turn.time - times[0] <= REFUSED_WITHIN:
                detail = f"the exchange refused {MOST_REFUSALS} orders of {symbol} in a row: {event.reason}"[:200]
                obstacles[f"{REFUSALS} {symbol}"] = Obstacle(REFUSALS, detail, symbol, turn.time + PAUSE)
                times.clear()
