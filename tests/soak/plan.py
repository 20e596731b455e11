"""Owns what a seed makes of a soak: everything that is going to go wrong, when, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from quarterdeck.daemon.failpoints import NAMES
from quarterdeck.simulation.dice import dice
from tests.soak.listing import SYMBOLS, about

#: What goes wrong on average every so many seconds.
EVERY = 2.0

#: In the last part of a soak no process is ended, so that one lives long enough to see whether it grows.
LONG_LIFE = 0.45

CREATE, AMEND, CANCEL = "/v5/order/create", "/v5/order/amend", "/v5/order/cancel"
READS = (
    "/v5/order/realtime",
    "/v5/order/history",
    "/v5/execution/list",
    "/v5/position/list",
    "/v5/account/wallet-balance",
    "/v5/account/transaction-log",
    "/v5/market/time",
    "/v5/market/kline",
)
TOPICS = ("order", "execution", "position", "wallet", "*")

#: Codes after which nobody knows whether anything was done, and that of too many requests.
CODES = (10000, 10016, 10019, 170001, 10006)

#: Failpoints a daemon may be killed at: all but those of an orderly end.
POINTS = tuple(name for name in NAMES if not name.startswith("stop."))


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that goes wrong. `at` and `seconds` (how long it lasts, 0 for a moment) count from the soak's start."""

    at: float
    kind: str
    seconds: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:7.2f} s  {self.kind}{lasting}  " + ", ".join(f"{k}={v}" for k, v in self.data.items())


def plan_of(seed: int, seconds: float) -> list[Act]:
    """All that goes wrong in a soak, in order: the same for the same seed and length."""
    chance = dice(seed, "soak")
    return list(_acts(chance, seconds))


def _acts(chance: Random, seconds: float) -> Iterator[Act]:
    at = 0.0
    kinds, weights = list(_KINDS), [weight for weight, _ in _KINDS.values()]
    while (at := at + chance.expovariate(1 / EVERY)) < seconds:
        kind = chance.choices(kinds, weights)[0]
        act = _KINDS[kind][1](chance, at, kind)
        if kind not in OF_THE_PROCESS or at < seconds * (1 - LONG_LIFE):
            yield act


# ---------------------------------------------------------------- kinds


def _rule(chance: Random, at: float, kind: str, match: dict[str, Any], do: str, **more: Any) -> Act:
    return Act(at, kind, chance.uniform(0.5, 4.0), {"match": match, "do": do, **more})


def _write(chance: Random) -> dict[str, Any]:
    return {"path": chance.choices((CREATE, AMEND, CANCEL), (6, 1, 2))[0]}


def _lost_request(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _write(chance), "drop_request", count=chance.randint(1, 2))


def _lost_answer(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _write(chance), "accept_then_drop", count=chance.randint(1, 2))


def _late_accept(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _write(chance), "delay_accept", ms=chance.randint(100, 2_500), count=1)


def _late_answer(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _write(chance), "delay_answer", ms=chance.randint(100, 2_500), count=1)


def _odd_code(chance: Random, at: float, kind: str) -> Act:
    code = chance.choice(CODES)
    after = code != 10006 and chance.random() < 0.5
    return _rule(chance, at, kind, _write(chance), "code", code=code, after=after, count=chance.randint(1, 2))


def _http_error(chance: Random, at: float, kind: str) -> Act:
    status, after = chance.choice((500, 502, 503, 504)), chance.random() < 0.5
    return _rule(chance, at, kind, _write(chance), "http", status=status, after=after, count=chance.randint(1, 2))


def _repeated(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _write(chance), "twice", count=1)


def _too_late(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, {"path": CANCEL}, "too_late", count=1)


def _failing_read(chance: Random, at: float, kind: str) -> Act:
    do = chance.choice(("http", "drop_request", "delay_answer"))
    return _rule(chance, at, kind, {"path": chance.choice(READS)}, do, ms=1_500, count=chance.randint(1, 8))


def _topic(chance: Random) -> dict[str, Any]:
    return {"topic": chance.choices(TOPICS, (3, 4, 1, 1, 2))[0]}


def _mute(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _topic(chance), "mute")


def _lost_message(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _topic(chance), "mute", count=1)


def _copies(chance: Random, at: float, kind: str) -> Act:
    return _rule(
        chance, at, kind, _topic(chance), "dup", times=chance.randint(2, 5), shuffle_ms=chance.randint(0, 2_000)
    )


def _out_of_order(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _topic(chance), "shuffle", shuffle_ms=chance.randint(50, 3_000))


def _late_messages(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _topic(chance), "delay", ms=chance.randint(200, 4_000))


def _closed_socket(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _topic(chance), "close", count=1)


def _half_open(chance: Random, at: float, kind: str) -> Act:
    return _rule(chance, at, kind, _topic(chance), "freeze", count=1)


def _corrupt(chance: Random, at: float, kind: str) -> Act:
    match, field_ = chance.choice((("execution", "execQty"), ("execution", "execPrice"), ("order", "orderStatus")))
    return _rule(chance, at, kind, {"topic": match}, "corrupt", field=field_, count=1)


def _lasting(low: float, high: float, **most: float) -> Callable[[Random, float, str], Act]:
    def draw(chance: Random, at: float, kind: str) -> Act:
        data = {name: round(chance.uniform(value / 10, value), 3) for name, value in most.items()}
        return Act(at, kind, chance.uniform(low, high), data)

    return draw


def _moment(chance: Random, at: float, kind: str) -> Act:
    return Act(at, kind)


def _by_hand(chance: Random, at: float, kind: str) -> Act:
    symbol, side = chance.choice(SYMBOLS), chance.choice(("Buy", "Sell"))
    return Act(at, kind, 0.0, {"symbol": symbol, "side": side, "quantity": about(symbol, chance.choice((30, 300)))})


def _funding(chance: Random, at: float, kind: str) -> Act:
    rate = round(chance.gauss(0, 0.000_3), 6)
    return Act(at, kind, 0.0, {"symbol": chance.choice(SYMBOLS), "rate": rate})


def _transfer(chance: Random, at: float, kind: str) -> Act:
    return Act(at, kind, 0.0, {"amount": str(chance.randint(-2_000, 2_000))})


def _failpoint(chance: Random, at: float, kind: str) -> Act:
    point = chance.choice(POINTS)
    nth = 1 if point.startswith("start.") else chance.randint(1, 8)
    return Act(at, kind, 0.0, {"point": f"{point}=kill@{nth}"})


#: What there is, how often one thing is drawn compared with another, and how it is drawn.
_KINDS: dict[str, tuple[float, Callable[[Random, float, str], Act]]] = {
    "lost request": (8, _lost_request),
    "lost answer": (10, _lost_answer),
    "late accept": (6, _late_accept),
    "late answer": (6, _late_answer),
    "odd code": (6, _odd_code),
    "http error": (5, _http_error),
    "repeated request": (4, _repeated),
    "cancel too late": (2, _too_late),
    "failing read": (8, _failing_read),
    "muted topic": (4, _mute),
    "lost message": (8, _lost_message),
    "copies": (6, _copies),
    "out of order": (8, _out_of_order),
    "late messages": (4, _late_messages),
    "closed socket": (3, _closed_socket),
    "half-open socket": (1, _half_open),
    "all sockets dropped": (1, _moment),
    "corrupt message": (2, _corrupt),
    "invisible orders": (2, _lasting(2, 6, ms=4_000)),
    "stale reads": (2, _lasting(2, 6, ms=3_000)),
    "maintenance": (0.7, _lasting(1, 6)),
    "service restarted": (1, _moment),
    "by hand": (3, _by_hand),
    "stop removed": (1, _moment),
    "funding": (3, _funding),
    "transfer": (1, _transfer),
    "liquidation": (0.6, _moment),
    "kill": (3, _moment),
    "failpoint": (4, _failpoint),
    "pause": (2, _lasting(0.2, 6)),
    "restart": (1, _moment),
}

#: What ends a process.
OF_THE_PROCESS = frozenset({"kill", "failpoint", "restart"})
