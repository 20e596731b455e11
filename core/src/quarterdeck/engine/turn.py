"""Owns one turn of the engine: the events an input led to, folded as they are emitted, and the effects that follow.

Folding at once means that whatever is decided next in the same turn sees what was decided before. Nothing of a turn
leaves the process until the journal has all of its events.
"""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck.domain.instrument import Instrument
from quarterdeck.engine.effects import Effect
from quarterdeck.engine.events import Event, Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.ids import LinkIds
from quarterdeck.engine.inputs import NO_REQUEST, Request
from quarterdeck.engine.state import State


class Turn:
    """Collects what one input led to."""

    __slots__ = ("anomalies", "effects", "events", "ids", "instruments", "request", "sends_at_once", "state", "time")

    def __init__(
        self,
        state: State,
        instruments: Mapping[str, Instrument],
        time: int,
        request: Request,
        ids: LinkIds,
        sends_at_once: bool,
    ) -> None:
        self.state = state
        self.time = time
        self.request = request
        self.events: list[Recorded] = []
        self.effects: list[Effect] = []
        self.anomalies: list[str] = []
        """What should not happen: the daemon says so and stops taking risk until somebody has looked."""
        self.instruments = instruments
        self.ids = ids
        self.sends_at_once = sends_at_once
        """Whether an approved order is sent without waiting for its turn."""

    def emit(self, event: Event, correlation_id: str = "", cause: int = 0) -> Recorded:
        """Record an event and fold it. The turn's first event answers the request that asked for it."""
        request = self.request
        recorded = Recorded(
            self.state.sequence + 1,
            self.time,
            event,
            correlation_id,
            cause,
            request.request_id,
            request.digest,
        )
        self.request = NO_REQUEST
        fold(self.state, recorded)
        self.events.append(recorded)
        return recorded
