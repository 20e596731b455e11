"""Owns which of our names an order at Bybit goes by: what Bybit opens itself has no link id, only Bybit's own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping

from quarterdeck.plugin import unnamed_link
from quarterdeck_exchange_bybit.codec.orders import OrderRow

#: What every link id of ours begins with; whether it is really ours is for the core to prove.
OURS = "a1-"

_KEPT = 20_000


class Links:
    """A memory of pairs, filled by every row that is read."""

    def __init__(self) -> None:
        self._link_of: OrderedDict[str, str] = OrderedDict()
        self._order_of: dict[str, str] = {}
        self._trailing: dict[str, str] = {}

    def learn(self, row: OrderRow) -> str:
        """The name of an order, from a row of it."""
        order = row.order
        link = order.link_id or self._nameless(order.exchange_order_id, order.terms.symbol, is_trailing=_trails(row))
        self._keep(order.exchange_order_id, link)
        return link

    def remind(self, known: Mapping[str, str]) -> None:
        """Names of orders and Bybit's ids of them: kept of what does not carry its name."""
        for link, order_id in known.items():
            if is_ours(link) and _is_child(link):
                self._keep(order_id, link)

    def of_order(self, order_id: str, link_id: str, stop_type: str, symbol: str) -> str:
        """The name of the order an execution belongs to."""
        known = link_id or self._link_of.get(order_id)
        return known or self._nameless(order_id, symbol, is_trailing=stop_type == "TrailingStop")

    def knows(self, order_id: str) -> bool:
        """Whether a row or the journal has told what an order at Bybit goes by."""
        return order_id in self._link_of

    def leave_nameless(self, order_id: str) -> None:
        """Bybit does not tell any more whose an order was."""
        self._keep(order_id, unnamed_link(order_id))

    def order_id(self, link_id: str) -> str:
        """Bybit's id of an order that can't be named by its link id; empty for all others."""
        has_no_name = not is_ours(link_id) or _is_child(link_id) or link_id in self.trailing
        return self._order_of.get(link_id, "") if has_no_name else ""

    @property
    def trailing(self) -> Collection[str]:
        """Trailing stops of ours."""
        return self._trailing.values()

    def expect_trailing(self, symbol: str, link_id: str) -> None:
        """The next trailing stop of an instrument is this order of ours."""
        self._trailing[symbol] = link_id

    @staticmethod
    def is_external(link_id: str) -> bool:
        """Whether somebody else placed it."""
        return not is_ours(link_id)

    def _nameless(self, order_id: str, symbol: str, *, is_trailing: bool) -> str:
        known = self._link_of.get(order_id)
        if known:
            return known
        if is_trailing and symbol in self._trailing:
            return self._trailing[symbol]
        return unnamed_link(order_id)

    def _keep(self, order_id: str, link_id: str) -> None:
        self._link_of[order_id] = link_id
        self._order_of[link_id] = order_id
        while len(self._link_of) > _KEPT:
            _, old = self._link_of.popitem(last=False)
            self._order_of.pop(old, None)


def is_ours(link_id: str) -> bool:
    """Whether a name looks like one that the core gives."""
    return link_id.startswith(OURS)


def _is_child(link_id: str) -> bool:
    return link_id.endswith(("-sl", "-tp"))


def _trails(row: OrderRow) -> bool:
    return row.order.terms.type.name == "TRAILING_STOP"
