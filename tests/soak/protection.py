"""Owns how long positions were without the stop their orders carry: by the truth of the simulated Bybit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quarterdeck.daemon.stop_waits import StopWaits
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.fold import fold
from quarterdeck.engine.state import State
from quarterdeck_bybit_simulator.account import SimAccount
from quarterdeck_bybit_simulator.truth import Truth

#: Upper bounds of the histogram's classes, in seconds; one more is above them all.
BOUNDS = (0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0)

#: A position is protected within this many seconds, or flat.
LIMIT = 5.0

#: What Bybit calls stops that it opened itself.
STOPS = frozenset({"StopLoss", "PartialStopLoss"})


_ANY_STOP = STOPS | {"Stop"}


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many waits fell into each class, and the longest, in seconds."""

    counts: tuple[int, ...]
    longest: float

    def as_json(self) -> dict[str, Any]:
        """Counts by upper bound in seconds, and the longest."""
        names = [f"{bound:g}" for bound in BOUNDS] + ["more"]
        return {**dict(zip(names, self.counts, strict=True)), "longest": f"{self.longest:.3f}"}


def histogram(waits: Iterable[float]) -> Histogram:
    """Put waits into classes."""
    counts, longest = [0] * (len(BOUNDS) + 1), 0.0
    for wait in waits:
        counts[next((at for at, bound in enumerate(BOUNDS) if wait <= bound), len(BOUNDS))] += 1
        longest = max(longest, wait)
    return Histogram(tuple(counts), longest)


def waits_in_journal(events: Iterable[Recorded]) -> dict[str, Any]:
    """What the daemon measured, over all its lives: its own histogram, fed with the journal."""
    state = State()
    waits, last = StopWaits(state), 0
    for recorded in events:
        fold(state, recorded)
        waits.hear([recorded])
        last = recorded.time
    return dict(waits.finding(last).data)


def gaps_at_venue(truth: Truth) -> list[float]:
    """For each stop that was removed by hand: seconds until stops covered as much as before, or all that was held."""
    since: dict[str, list[tuple[int, float]]] = {}
    gaps: list[float] = []
    held: defaultdict[str, float] = defaultdict(float)
    working: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for entry in truth.of("removed", "execution", "state"):
        if entry.kind == "removed":
            symbol = str(entry.data["symbol"])
            since.setdefault(symbol, []).append((entry.at, sum(working[symbol].values())))
            continue
        row: Mapping[str, Any] = entry.data["row"]
        symbol = _market_of(row)
        if entry.kind == "execution":
            held[symbol] += _signed(row)
        elif row["orderStatus"] == "Untriggered" and row["reduceOnly"] and row["stopOrderType"] in _ANY_STOP:
            working[symbol][str(row["orderId"])] = float(row["leavesQty"])
        else:
            working[symbol].pop(str(row["orderId"]), None)
        covered, open_gaps = sum(working[symbol].values()), since.pop(symbol, [])
        since[symbol] = [one for one in open_gaps if covered < min(one[1], abs(held[symbol])) - 1e-9]
        gaps += [(entry.at - at) / 1e9 for at, before in open_gaps if (at, before) not in since[symbol]]
    return gaps + [(truth.last - at) / 1e9 for each in since.values() for at, _ in each]


def _market_of(row: Mapping[str, Any]) -> str:
    return f"{row['category']} {row['symbol']}"


def _signed(row: Mapping[str, Any]) -> float:
    if row["execType"] == "Funding":
        return 0.0
    return float(row["execQty"]) * (1 if row["side"] == "Buy" else -1)


def waits_at_venue(truth: Truth, account: SimAccount) -> list[float]:
    """For each order that carries a stop and has traded: seconds from its first trade until its stop worked.

    Or until nothing was held any more.
    """
    carriers = {
        order.order_id: order.link_id
        for order in account.orders.values()
        if order.terms.stop_loss is not None and not order.terms.reduce_only and order.link_id
    }
    since: dict[str, int] = {}
    symbols: dict[str, str] = {}
    waits: dict[str, float] = {}
    held: dict[str, float] = {}
    for entry in truth.of("execution", "state"):
        row: Mapping[str, Any] = entry.data["row"]
        if entry.kind == "state":
            parent = str(row["parentOrderLinkId"])
            if row["stopOrderType"] in STOPS and parent in since and parent not in waits:
                waits[parent] = (entry.at - since[parent]) / 1e9
            continue
        symbol = _market_of(row)
        held[symbol] = held.get(symbol, 0.0) + _signed(row)
        link = carriers.get(str(row["orderId"]))
        if link is not None and link not in since:
            since[link], symbols[link] = entry.at, symbol
        if abs(held[symbol]) < 1e-9:
            for each in [one for one, of in symbols.items() if of == symbol and one not in waits]:
                waits[each] = (entry.at - since[each]) / 1e9
    waits.update({link: (truth.last - at) / 1e9 for link, at in since.items() if link not in waits})
    return list(waits.values())
