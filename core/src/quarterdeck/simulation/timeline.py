"""Owns what the daemon knew of the venue over time, against what was so.

Whatever is told late is known late, so each difference may last for a while: counted is only the time in which the
daemon could know, and how long it may take then follows from the faults of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from quarterdeck.domain.market import SECOND
from quarterdeck.domain.order import OrderState
from quarterdeck.engine import events as e
from quarterdeck.engine.events import Recorded
from quarterdeck.simulation.plan import Plan
from quarterdeck.simulation.truth import Truth
from quarterdeck.simulation.venue import FOREIGN

Span = tuple[int, int]

#: Seconds a report may take on its way, and until it is on the disk.
TOLD = 3.0

#: Seconds that a fault adds to that.
DELAYS = {"late-report": 8.0, "slow-commit": 15.0}

#: Faults that keep a report from coming at all: then the next look at the venue tells.
UNTOLD = frozenset({"lose-report", "cut-stream", "outage"})

#: Faults by which nobody may be there to hear it: then the look at the start tells, at once or when it is repeated.
UNHEARD = frozenset({"crash", "crash-at-failpoint", "power-loss", "restart", "fail-commit", "fail-after-commit"})

#: Seconds between two looks, and for one that has to be taken several times.
LOOK, LOOKING = 300.0, 300.0

#: Nanoseconds until the next look has told of what nobody else does.
AT_NEXT_LOOK = round((LOOK + LOOKING) * SECOND)

#: Faults by which many looks may fail, and how many seconds they add.
BLURRED, BLUR = frozenset({"lose-query", "fail-query", "stale-query", "hide-order"}), 600.0

#: Seconds after which an order that left is known to be unknown at least: what a sender waits, and then some.
ANSWERED = 30.0

_WORKS = (e.OrderAcked, e.OrderOpened, e.OrderAdopted)
_ENDS = (e.OrderCanceled, e.OrderExpired, e.OrderRejected, e.OrderAbsent, e.OrderNotSent, e.OrderUnknown)
_OF_AN_ORDER = (e.OrderPrepared, e.OrderSent, e.OrderFilled, *_WORKS, *_ENDS)


def allowed(plan: Plan) -> int:
    """Nanoseconds for which the daemon may not know what it could."""
    faults = set(plan.rates) | {str(step.arguments.get("fault", step.do)) for step in plan.steps}
    seconds = TOLD + sum(delay for fault, delay in DELAYS.items() if fault in faults)
    if faults & UNTOLD:
        seconds += LOOK + LOOKING
    if faults & (UNTOLD | UNHEARD) and faults & BLURRED:
        seconds += BLUR
    return round(seconds * SECOND)


class Timeline:
    """Every order of a journal: when it was said to work, and when it was known at all and had not ended."""

    def __init__(self, events: Iterable[Recorded]) -> None:
        self.works: dict[str, list[Span]] = {}
        self.open: dict[str, list[Span]] = {}
        self.sent: dict[str, Span] = {}
        self._links: dict[str, str] = {}
        for recorded in events:
            if isinstance(recorded.event, _OF_AN_ORDER):
                self._take(recorded.event, recorded.time)

    def _take(self, event: e.Event, time: int) -> None:
        if isinstance(event, e.OrderPrepared | e.OrderAdopted):
            self._links[event.order_id] = event.link_id
        link = self._links[getattr(event, "order_id")]  # noqa: B009 - each of these events has it
        if isinstance(event, e.OrderSent):
            self.sent[link] = time, 0
        elif link in self.sent and not self.sent[link][1]:
            self.sent[link] = self.sent[link][0], time
        ended = isinstance(event, _ENDS)
        if isinstance(event, e.OrderFilled):
            ended = event.order_state not in (OrderState.OPEN, OrderState.PARTIALLY_FILLED)
            _set(self.works, link, time, is_on=not ended)
        elif ended or isinstance(event, _WORKS):
            _set(self.works, link, time, is_on=not ended)
        _set(self.open, link, time, is_on=not ended or isinstance(event, e.OrderUnknown))


def _set(spans: dict[str, list[Span]], link: str, time: int, *, is_on: bool) -> None:
    of_it = spans.setdefault(link, [])
    was_on = bool(of_it) and not of_it[-1][1]
    if is_on and not was_on:
        of_it.append((time, 0))
    elif was_on and not is_on:
        of_it[-1] = of_it[-1][0], time


def mistaken(
    timeline: Timeline, worked: Mapping[str, Sequence[Span]], truth: Truth, end: int, most: int
) -> Iterator[str]:
    """Orders that worked at the venue and not here, or here and not there, for longer than they may."""
    for link in sorted(timeline.works.keys() | worked.keys()):
        if link.startswith(FOREIGN):
            continue
        there = worked.get(link, ())
        for begin, until in _less(timeline.works.get(link, ()), there, end):
            was_over = all(ended and ended < begin for _, ended in there)  # when it was heard of: the next look tells
            limit = max(most, AT_NEXT_LOOK) if was_over else most
            if (lasted := truth.attention.within(begin, until)) > limit:
                yield f"order {link} worked here and not at the venue from {begin} on, for {lasted / SECOND:.1f} s"
        for begin, until in _less(there, timeline.open.get(link, ()), end):
            if (lasted := truth.attention.within(begin, until)) > most:
                yield f"order {link} worked at the venue and not here from {begin} on, for {lasted / SECOND:.1f} s"


def forgotten(timeline: Timeline, truth: Truth, end: int) -> Iterator[str]:
    """Orders that left, of which for long it was neither known what became of them nor that this is unknown."""
    for link, (begin, until) in timeline.sent.items():
        if (lasted := truth.attention.within(begin, until or end)) > ANSWERED * SECOND:
            yield f"order {link} was sent at {begin}, and nothing was heard or asked for {lasted / SECOND:.1f} s"


def _less(spans: Sequence[Span], others: Sequence[Span], end: int) -> Iterator[Span]:
    """What is in some spans and in none of the others."""
    for begin, until in spans:
        edges = [begin, until or end]
        for one, other in others:
            edges += [edge for edge in (one, other or end) if begin < edge < (until or end)]
        for left, right in pairwise(sorted(edges)):
            if left < right and not any(one <= left and right <= (other or end) for one, other in others):
                yield left, right
