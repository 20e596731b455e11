"""Owns by which way a request that changes an order reaches Bybit: REST or the trade socket, and when by the other.

Only what takes risk away has a second way, and only when it is certain that the first has done nothing. A cancel may be
asked for twice, so it also goes the second way when the first leaves a doubt. An order never does: its doubt is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from quarterdeck_exchange_bybit.codec.codes import FORBIDDEN, Verdict
from quarterdeck_exchange_bybit.rest import Rest
from quarterdeck_exchange_bybit.settings import Way
from quarterdeck_exchange_bybit.trade import OPERATIONS, TradeSocket
from quarterdeck_exchange_bybit.written import Written, not_sent

log = structlog.get_logger(__name__)

#: What may be asked for again without harm.
_HARMLESS = frozenset({"cancel_order", "cancel_batch_order"})


class _Writer(Protocol):
    async def write(self, method: str, params: Mapping[str, Any], *, reduces: bool = False) -> Written:
        """Ask for a change, once."""


class Ways:
    """REST and, where there is one, the trade socket. `first` says which of them orders take."""

    def __init__(self, rest: Rest, trade: TradeSocket | None, first: Way) -> None:
        self._rest = rest
        self._trade = trade
        self._first = first

    async def write(self, method: str, params: Mapping[str, Any], *, reduces: bool = False) -> Written:
        """Ask for a change.

        `reduces` says that it takes risk away: it then goes first, may wait longer, and has a second way.
        """
        if not reduces and self._rest.banned_for:  # what became of it could not be asked
            return not_sent(f"Bybit refuses this address for another {self._rest.banned_for:.0f} s")
        first, second = self._of(method)
        written = await first.write(method, params, reduces=reduces)
        if second is None or not reduces or not _may_go_again(method, written):
            return written
        again = await second.write(method, params, reduces=True)
        log.warning("bybit_second_way", method=method, why=written.text, verdict=again.verdict, left=again.left)
        return again if again.verdict is Verdict.TAKEN or written.verdict is not Verdict.UNKNOWN else written

    def _of(self, method: str) -> tuple[_Writer, _Writer | None]:
        """The ways of a method, the one to take first."""
        if self._trade is None or method not in OPERATIONS:
            return self._rest, None
        return (self._rest, self._trade) if self._first is Way.REST else (self._trade, self._rest)


def _may_go_again(method: str, written: Written) -> bool:
    """Whether the other way may be taken after this outcome."""
    was_not_let_in = not written.left or written.code == FORBIDDEN
    return was_not_let_in or (method in _HARMLESS and written.verdict is Verdict.UNKNOWN)
