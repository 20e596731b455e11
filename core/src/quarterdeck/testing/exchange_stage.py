"""Owns the stage an exchange is tested on: a market that can be moved, and a trader who checks every report.

Whoever tests an exchange implements `Stage`; the suite does the rest through `Trader`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypedDict, Unpack

import pytest

from quarterdeck.domain.amounts import ZERO, nearest_to
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND, Quote, Side
from quarterdeck.domain.order import LIMIT_TYPES, Order, OrderState, OrderTerms, OrderType, TimeInForce
from quarterdeck.domain.report import Outcome, Report
from quarterdeck.plugin import AmendOrder, BulkCancel, CancelOrder, EmbeddedExchange, Exchange, PlaceOrder
from quarterdeck.testing.reports import ReportReader

_ROUNDS = 20
_DEEP = 1_000_000.0


class Wish(TypedDict, total=False):
    """What a scenario asks of an order beyond side and type. Prices are percents from where the market began."""

    quantity: Decimal
    limit_price: float
    trigger_price: float
    trailing_distance: Decimal
    time_in_force: TimeInForce
    reduce_only: bool
    stop_loss: float
    take_profit: float


class Stage(ABC):
    """An exchange that is not open yet, with the market in front of it."""

    exchange: Exchange

    @abstractmethod
    async def quote(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market to these prices, deep enough for every order of the suite."""

    async def settle(self) -> None:
        """Wait until everything that follows from requests and moves has been delivered.

        This lets the event loop run a few rounds, which is enough for an exchange in this process.
        """
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    def another(self) -> EmbeddedExchange | None:
        """A new exchange with the same settings that has seen nothing, if the exchange is embedded."""
        return None


class EmbeddedStage(Stage):
    """An embedded exchange, made by `make`, whose market moves by quotes a second apart."""

    def __init__(self, make: Callable[[], Exchange], symbol: str = "btcusdt") -> None:
        self._make = make
        self._symbol = symbol
        self._time = 0
        self.exchange = make()

    def another(self) -> EmbeddedExchange:
        """A new exchange that has seen nothing."""
        exchange = self._make()
        assert isinstance(exchange, EmbeddedExchange), f"{exchange} can't be shown a market or restored"
        return exchange

    async def quote(self, bid: Decimal, ask: Decimal) -> None:
        """Show the exchange a quote."""
        exchange = self.exchange
        assert isinstance(exchange, EmbeddedExchange), f"{exchange} can't be shown a market"
        self._time += SECOND
        exchange.on_market(Quote(self._symbol, self._time, float(bid), _DEEP, float(ask), _DEEP))


class Trader:
    """Trades one instrument of an exchange around a price, and believes no report it can check."""

    def __init__(
        self,
        stage: Stage,
        instrument: Instrument,
        balances: Mapping[str, Decimal],
        price: Decimal,
        quantity: Decimal,
        prefix: str,
    ) -> None:
        self.stage = stage
        self.exchange = stage.exchange
        self.instrument = instrument
        self.price = price
        self.quantity = quantity
        self.reader = ReportReader([instrument], balances)
        self.heard: list[Report] = []
        self._unread: list[Report] = []
        self._remembers_fills = True
        self._has_left = False
        self._prefix = prefix

    @property
    def capabilities(self) -> Capabilities:
        """What the exchange says it can do."""
        return self.exchange.capabilities

    def needs(
        self,
        *kinds: OrderType,
        time_in_force: TimeInForce = TimeInForce.GTC,
        protection: bool = False,
        amend: bool = False,
    ) -> None:
        """Skip the test if the exchange lacks what it needs, and name it."""
        able = self.capabilities
        missing = [f"order_types: {kind}" for kind in kinds if kind not in able.order_types]
        if time_in_force not in able.times_in_force:
            missing.append(f"times_in_force: {time_in_force}")
        if protection and not able.attached_protection:
            missing.append("attached_protection")
        if amend and not able.amend:
            missing.append("amend")
        if missing:
            pytest.skip(f"the exchange has no capability {', '.join(missing)}")

    def at(self, percent: float) -> Decimal:
        """The price so many percent above (or below) the one the market began at, on the tick."""
        return nearest_to(self.price * (100 + Decimal(str(percent))) / 100, self.instrument.tick_size)

    def deliver(self, report: Report) -> None:
        """What the exchange is given to call."""
        self._unread.append(report)

    async def settle(self) -> None:
        """Let everything that follows be delivered, and read it."""
        await self.stage.settle()
        unread, self._unread = self._unread, []
        for report in unread:
            self.heard.append(report)
            self.reader.read(report)

    async def move(self, *percents: float) -> None:
        """Move the market, bid and ask alike."""
        for percent in percents:
            await self.stage.quote(self.at(percent), self.at(percent))
            await self.settle()

    async def place(self, side: Side, kind: OrderType = OrderType.MARKET, **wish: Unpack[Wish]) -> Order:
        """Place an order of the usual quantity; prices are given in percent from where the market began."""
        link_id = f"{self._prefix}{len(self.reader.orders)}"
        await self.place_as(link_id, self.terms(side, kind, **wish))
        return self.reader.orders[link_id]

    async def place_as(self, link_id: str, terms: OrderTerms) -> Outcome:
        """Place exactly this."""
        if link_id not in self.reader.orders:
            self.reader.sent(link_id, terms)
        outcome = await self.exchange.place(PlaceOrder(link_id, terms))
        assert outcome.link_id == link_id, f"asked to place {link_id}, answered about {outcome.link_id}"
        self._unread.insert(0, outcome)
        await self.settle()
        return outcome

    def terms(self, side: Side, kind: OrderType = OrderType.MARKET, **wish: Unpack[Wish]) -> OrderTerms:
        """Terms whose prices are given in percent from where the market began."""
        assert (kind in LIMIT_TYPES) is ("limit_price" in wish), "the suite asks for nonsense"
        return OrderTerms(
            self.instrument.symbol,
            side,
            kind,
            wish.get("quantity", self.quantity),
            self._price(wish.get("limit_price")),
            self._price(wish.get("trigger_price")),
            wish.get("trailing_distance"),
            wish.get("time_in_force", TimeInForce.GTC),
            wish.get("reduce_only", False),
            self._price(wish.get("stop_loss")),
            self._price(wish.get("take_profit")),
        )

    def _price(self, percent: float | None) -> Decimal | None:
        return None if percent is None else self.at(percent)

    async def repeat(self, order: Order) -> None:
        """Place an order again, as if the answer had been lost; what is answered this time does not matter."""
        await self.exchange.place(PlaceOrder(order.link_id, order.terms))
        await self.settle()

    async def cancel(self, link_id: str) -> None:
        """Ask for an order to end."""
        await self.exchange.cancel(CancelOrder(link_id, self.instrument.symbol))
        await self.settle()

    async def cancel_many(self, *orders: Order, empties: bool) -> None:
        """Ask for all of these to end as the daemon does; `empties` says that nothing else rests in the book."""
        symbol = self.instrument.symbol
        asked = [CancelOrder(order.link_id, symbol) for order in orders]
        if isinstance(self.exchange, BulkCancel):
            doubts = await self.exchange.cancel_many(asked, {symbol} if empties else set())
            assert not doubts, f"it does not know what became of {doubts}"
        else:
            for each in asked:
                await self.exchange.cancel(each)
        await self.settle()

    async def amend(self, link_id: str, **changes: Any) -> None:  # noqa: ANN401 - AmendOrder's own fields
        """Ask for a change."""
        await self.exchange.amend(AmendOrder(link_id, self.instrument.symbol, **changes))
        await self.settle()

    def heard_of(self, link_id: str) -> list[str]:
        """What has been reported of an order, by kind of report."""
        return [type(report).__name__ for report in self.heard if getattr(report, "link_id", "") == link_id]

    def price_of(self, order: Order) -> Decimal:
        """The average price of an order that has to be filled."""
        assert order.state is OrderState.FILLED, f"{order.link_id} is {order.state}: {self.heard_of(order.link_id)}"
        assert order.average_price is not None, f"{order.link_id} was filled with nothing"
        return order.average_price

    def traded(self, order: Order, *, no_worse_than: Decimal) -> None:
        """Assert that an order is filled at a price or better."""
        price = self.price_of(order)
        worse = (price - no_worse_than) * order.terms.side.sign > 0
        assert not worse, f"{order.link_id} traded at {price}, worse than {no_worse_than}"

    def heard_last(self, link_id: str, kind: str) -> None:
        """Assert which kind of report of an order came last."""
        heard = self.heard_of(link_id)
        assert heard[-1:] == [kind], f"{link_id}: no {kind} at the end of {heard}"

    def holds(self, quantity: Decimal | int) -> None:
        """Assert what the fills add up to."""
        assert self.position == quantity, f"the fills add up to {self.position}, not to {quantity}"

    @property
    def position(self) -> Decimal:
        """The signed quantity the reports add up to."""
        return self.reader.quantity(self.instrument.symbol)

    async def agree(self) -> None:
        """Assert that the exchange, when asked, says what its reports have said."""
        symbol = self.instrument.symbol
        held = {position.symbol: position.quantity for position in await self.exchange.positions()}
        assert held.get(symbol, ZERO) == self.position, f"positions() says {held}, the fills {self.position}"
        balances = await self.exchange.balances()
        for currency in self.reader.ledger.totals:
            told, due = balances.get(currency, ZERO), self.reader.ledger.wallet(currency)
            assert told == due, f"balances() says {told} {currency}, the reports add up to {due}"
        working = {order.link_id: order for order in await self.exchange.open_orders()}
        ours = {link_id: order for link_id, order in self.reader.orders.items() if order.is_open}
        assert working.keys() == ours.keys(), f"open_orders() says {sorted(working)}, the reports {sorted(ours)}"
        for link_id, order in ours.items():
            shown = working[link_id]
            assert shown.terms == order.terms, f"{link_id}: open_orders() says {shown.terms}, the reports {order.terms}"
            assert shown.filled_quantity == order.filled_quantity, f"{link_id}: {shown} and {order} differ"

    async def hand_over(self, heir: EmbeddedExchange) -> None:
        """Go on with another instance that has been restored; it need not know the fills of before."""
        await self.exchange.close()
        self.exchange = self.stage.exchange = heir
        self._remembers_fills = False
        await heir.open(self.deliver)
        await self.settle()

    async def leave(self) -> None:
        """Close the exchange for good."""
        await self.exchange.close()
        self._has_left = True

    async def wind_up(self) -> None:
        """Cancel and close everything, so that each order has come to its one end."""
        if self._has_left:
            return
        for link_id, order in list(self.reader.orders.items()):
            if order.is_open:
                await self.cancel(link_id)
        await self.move(0)
        if self.position:
            side = Side.SELL if self.position > 0 else Side.BUY
            await self.place(side, quantity=abs(self.position), reduce_only=True)
            await self.move(0)
        await self.agree()
        for link_id, order in self.reader.orders.items():
            assert not order.is_open, f"{link_id} came to no end: {self.heard_of(link_id)}"
        for link_id in self.reader.orders if self._remembers_fills else ():
            told = [fill for fill in self.reader.fills if fill.link_id == link_id]
            asked = list(await self.exchange.fills(link_id, self.instrument.symbol))
            assert asked == told, f"fills({link_id}) says {asked}, the reports {told}"
