"""Owns the questions about an account: what it holds, what works, what has happened. A doubtful answer is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.market import DAY, SECOND
from quarterdeck.domain.report import BalanceChanged, Filled
from quarterdeck.domain.venue import Activity
from quarterdeck.plugin import VenueOrder, VenuePosition
from quarterdeck_exchange_bybit.codec.account import read_balances, read_position
from quarterdeck_exchange_bybit.codec.listing import LINEAR, SPOT, Listing, category_of
from quarterdeck_exchange_bybit.codec.orders import OrderRow
from quarterdeck_exchange_bybit.codec.row import MILLISECOND, Row
from quarterdeck_exchange_bybit.ear import Ear, activity_id
from quarterdeck_exchange_bybit.links import Links
from quarterdeck_exchange_bybit.parts import gathered, merged
from quarterdeck_exchange_bybit.rest import Rest, Unreachable
from quarterdeck_exchange_bybit.server_clock import ServerClock

#: Conditional orders come under other filters than plain ones.
_FILTERS = {LINEAR: ("Order", "StopOrder"), SPOT: ("Order", "StopOrder", "tpslOrder")}

#: One query of executions spans at most this much.
_WEEK = 7 * DAY


class Questions:
    """What can be asked of one account. `settle` is the coin its contracts are settled in."""

    def __init__(self, rest: Rest, clock: ServerClock, listing: Listing, ear: Ear, links: Links, settle: str) -> None:
        self._rest = rest
        self._clock = clock
        self._listing = listing
        self._ear = ear
        self._links = links
        self._settle = settle

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        """What became of an order, by its link id or, for what Bybit opened, by Bybit's.

        Raises:
            Unreachable: one of the lists could not be read.
        """
        instrument = self._listing[symbol]
        where = {"category": category_of(instrument.kind), "symbol": instrument.venue_symbol}
        order_id = self._links.order_id(link_id)
        target = {"orderId": order_id} if order_id else {"orderLinkId": link_id}
        found: dict[str, VenueOrder] = {}
        for method in ("get_open_orders", "get_order_history"):
            for row in await self._rest.pages(method, **where, **target, limit=50):
                read = self._ear.order(row, where["category"])
                order, known = read.order, found.get(read.order.exchange_order_id)
                is_news = known is None or known.update_time < order.update_time
                if read.state is not None and order.link_id == link_id and is_news:
                    found[order.exchange_order_id] = order
        return merged(found.values()) if found else None

    async def open_orders(self) -> Sequence[VenueOrder]:
        """All that work or wait for a trigger.

        Raises:
            Unreachable: a page could not be read.
        """
        rows: dict[str, OrderRow] = {}
        for category in self._listing.categories:
            scope = {"settleCoin": self._settle} if category == LINEAR else {}
            for wanted in _FILTERS[category]:
                for row in await self._rest.pages(
                    "get_open_orders", category=category, orderFilter=wanted, openOnly=0, limit=50, **scope
                ):
                    if self._ear.is_ours(row, category):
                        read = self._ear.order(row, category)
                        rows[read.order.exchange_order_id] = read
        return gathered(
            row.order
            for row in rows.values()
            if row.state is not None and row.state.name in ("OPEN", "PARTIALLY_FILLED")
        )

    async def positions(self) -> Sequence[VenuePosition]:
        """All contracts' positions that are not flat, of the instruments that are traded.

        Raises:
            Unreachable: a page could not be read.
        """
        if LINEAR not in self._listing.categories:
            return []
        rows = await self._rest.pages("get_positions", category=LINEAR, settleCoin=self._settle, limit=200)
        read = [read_position(row, self._listing, LINEAR) for row in rows if self._ear.is_ours(row, LINEAR)]
        hedged = [each.position.symbol for each in read if each.side_index]
        if hedged:
            raise Unreachable(f"{', '.join(hedged)} is in hedge mode, which is not traded in here")
        return [each.position for each in read if each.position.quantity]

    async def balances(self) -> Mapping[str, Decimal]:
        """Wallet balance per coin, debts below zero."""
        result = await self._rest.read("get_wallet_balance", accountType="UNIFIED")
        return {coin: amount for row in result.rows("list") for coin, amount in read_balances(row) if amount}

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        """All fills of one order, oldest first."""
        instrument = self._listing[symbol]
        order_id = self._links.order_id(link_id)
        target = {"orderId": order_id} if order_id else {"orderLinkId": link_id}
        category = category_of(instrument.kind)
        rows = await self._rest.pages(
            "get_executions", category=category, symbol=instrument.venue_symbol, **target, limit=100
        )
        read = [self._ear.execution(row, category).report for row in rows]
        return _in_order(each for each in read if isinstance(each, Filled) and each.link_id == link_id)

    async def history(self, since: int) -> Sequence[Activity]:
        """All fills, funding and transfers since a time, week by week, oldest first."""
        now = self._clock.now()
        found: dict[str, Activity] = {}
        start = max(since, now - 700 * DAY)
        while start <= now:
            window = {"startTime": start // MILLISECOND, "endTime": min(start + _WEEK, now + SECOND) // MILLISECOND}
            for category in self._listing.categories:
                for row in await self._rest.pages("get_executions", category=category, limit=100, **window):
                    if self._ear.is_ours(row, category):
                        await self._learn_name(row, category)
                        report = self._ear.execution(row, category).report
                        found[activity_id(report)] = report
            for row in await self._rest.pages("get_transaction_log", accountType="UNIFIED", limit=50, **window):
                change = _transfer(row)
                if change is not None:
                    found[change.change_id] = change
            start += _WEEK
        return sorted(found.values(), key=lambda each: each.time)

    async def _learn_name(self, row: Row, category: str) -> None:
        """Have the order of an execution told, if it is protection that nobody here has heard of."""
        execution = self._ear.execution(row, category)
        if not self._ear.is_nameless(execution):
            return
        for method in ("get_open_orders", "get_order_history"):
            rows = await self._rest.pages(method, category=category, orderId=execution.order_id, limit=50)
            self._ear.learn_late(rows, category)
        if self._ear.is_nameless(execution):
            self._links.leave_nameless(execution.order_id)


def _in_order(fills: Iterable[Filled]) -> list[Filled]:
    return sorted(fills, key=lambda fill: (fill.time, fill.trade_id))


def _transfer(row: Row) -> BalanceChanged | None:
    """A row of the transaction log, if it moved money for another reason than trading here."""
    kind = row.text("type")
    if kind in ("TRADE", "SETTLEMENT", "DELIVERY", "LIQUIDATION", "ADL"):
        return None
    change = row.number_or("change") or ZERO
    if not change:
        return None
    return BalanceChanged(row.text("id"), row.text("currency"), change, kind, row.time("transactionTime"))
