"""Owns what can be known of an account from its events: a pure fold, from lists read anywhere in the journal.

Facts only: what depends on the market's last price (profit not yet made, liquidation prices) is not in events, so it is
not here; ask `positions.list()` or `accounts.overview()` for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from quarterdeck.client import events as e
from quarterdeck.client.errors import ContractBroken, StreamGap
from quarterdeck.client.resources import AccountOverview, Fill, Instrument, Order, Position, short_id
from quarterdeck.client.words import TradingState

T = TypeVar("T")
V = TypeVar("V")

_EXACT = Context(prec=76)  # holds any product or sum of the contract's decimals
_FINEST = Decimal("1e-18")  # of the contract's decimals
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account holds of one instrument: positive is long, negative short. `average_price` is what it cost."""

    instrument: str
    quantity: Decimal
    average_price: Decimal | None


@dataclass(frozen=True, slots=True)
class Valuation:
    """The account's books as the daemon last wrote them down, at that sequence; the market has moved since."""

    sequence: int
    equity: Decimal
    wallet_balance: Decimal
    unrealized_pnl: Decimal
    drawdown: Decimal
    peak_equity: Decimal
    open_positions: int
    risk_ratio: Decimal


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders by id: those that may still trade, and the latest of those that ended while we watched, oldest first."""

    open: Mapping[str, Order]
    closed: Mapping[str, Order] = field(default_factory=dict)
    keep_closed: int = 1000


@dataclass(frozen=True, slots=True)
class Funds:
    """Money: what is in each wallet, by currency, what trading is allowed, and the last valuation."""

    wallets: Mapping[str, Decimal]
    trading_state: TradingState
    valuation: Valuation
    instruments: Mapping[str, Instrument]


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One part of the book, as of one sequence. Events it reflects already change nothing."""

    sequence: int
    value: T
    fold: Callable[[T, e.Event], T]

    def apply(self, event: e.Event) -> Part[T]:
        """The part after an event."""
        if event.sequence <= self.sequence:
            return self
        return Part(event.sequence, self.fold(self.value, event), self.fold)


@dataclass(frozen=True, slots=True)
class Book:
    """What is known of an account at one place in its journal. Never changes: each event makes a new one."""

    _orders: Part[Orders]
    _positions: Part[Mapping[str, Holding]]
    _funds: Part[Funds]

    @property
    def sequence(self) -> int:
        """Every event up to here is in the book."""
        return min(part.sequence for part in self._parts)

    @property
    def is_consistent(self) -> bool:
        """Whether all of the book is as of one sequence. Lists read one after the other are not, until caught up."""
        return len({part.sequence for part in self._parts}) == 1

    @property
    def orders(self) -> Mapping[str, Order]:
        """The orders that may still trade, by id."""
        return MappingProxyType(self._orders.value.open)

    @property
    def closed_orders(self) -> Mapping[str, Order]:
        """The latest of the orders that ended since the book was begun, by id, oldest first."""
        return MappingProxyType(self._orders.value.closed)

    @property
    def positions(self) -> Mapping[str, Holding]:
        """What is held, by instrument id; nothing that is flat."""
        return MappingProxyType(self._positions.value)

    @property
    def wallets(self) -> Mapping[str, Decimal]:
        """What is in each wallet, by currency, without unrealized profit."""
        return MappingProxyType(self._funds.value.wallets)

    @property
    def trading_state(self) -> TradingState:
        """What trading is allowed."""
        return self._funds.value.trading_state

    @property
    def valuation(self) -> Valuation:
        """Equity and risk as last written down."""
        return self._funds.value.valuation

    @property
    def _parts(self) -> tuple[Part[Any], ...]:
        return self._orders, self._positions, self._funds

    def apply(self, event: e.Event) -> Book:
        """The book after an event. One it reflects already changes nothing.

        Raises:
            StreamGap: the event before this one is missing.
        """
        if event.sequence > self.sequence + 1:
            raise StreamGap(f"event {event.sequence} does not follow {self.sequence}")
        return Book(self._orders.apply(event), self._positions.apply(event), self._funds.apply(event))


@dataclass(frozen=True, slots=True)
class Listed(Generic[V]):
    """What was read from the daemon, and the journal position it reflects."""

    items: V
    sequence: int


def open_book(
    orders: Listed[list[Order]],
    positions: Listed[list[Position]],
    overview: Listed[AccountOverview],
    instruments: list[Instrument],
    keep_closed: int = 1000,
) -> Book:
    """A book begun from lists: of the open orders, the positions that are not flat, and the overview."""
    facts = overview.items
    valuation = Valuation(
        overview.sequence,
        facts.equity,
        facts.wallet_balance,
        facts.unrealized_pnl,
        facts.drawdown,
        facts.peak_equity,
        facts.open_positions,
        facts.risk_ratio,
    )
    funds = Funds(
        {balance.currency: balance.wallet for balance in facts.balances},
        facts.trading_state,
        valuation,
        {instrument.id: instrument for instrument in instruments},
    )
    held = {each.id: Holding(each.instrument, each.quantity, each.average_price) for each in positions.items}
    working = Orders({order.id: order for order in orders.items}, keep_closed=keep_closed)
    return Book(
        Part(orders.sequence, working, fold_orders),
        Part(positions.sequence, held, fold_positions),
        Part(overview.sequence, funds, fold_funds),
    )


# ---------------------------------------------------------------- orders


def fold_orders(orders: Orders, event: e.Event) -> Orders:
    """The orders after an event."""
    change = _Change(orders, event)
    match event.body:
        case e.OrderPrepared(order=order):
            return change.put(order)
        case e.OrderAdopted(order=order):
            return change.adopt(order)
        case e.OrderFilled():
            return change.fill(event.body)
        case e.OrderSent(order=name):
            return change.of(name, state="SENT")
        case e.OrderAcked(order=name, exchange_order_id=theirs):
            return change.of(name, state="ACKED", exchange_order_id=theirs)
        case e.OrderOpened(order=name, exchange_order_id=theirs):
            return change.of(name, state="OPEN", exchange_order_id=theirs)
        case e.OrderUnknown(order=name, detail=detail):
            return change.of(name, state="UNKNOWN", reason=detail)
        case e.OrderNotSent(order=name, detail=detail):
            return change.of(name, state="NOT_SENT", reason=detail)
        case e.OrderAbsent(order=name, detail=detail):
            return change.of(name, state="ABSENT", reason=detail)
        case e.OrderRejected(order=name, reason=reason):
            return change.of(name, state="REJECTED", reason=reason)
        case e.OrderCanceled(order=name, reason=reason):
            return change.of(name, state="CANCELED", reason=reason)
        case e.OrderExpired(order=name, reason=reason):
            return change.of(name, state="EXPIRED", reason=reason)
        case e.OrderAmended(order=name):
            return change.of(name, **_given(event.body, ("quantity", "limit_price", "trigger_price")))
        case (
            e.OrderTriggered(order=name)
            | e.OrderAmendRequested(order=name)
            | e.OrderAmendRejected(order=name)
            | e.OrderCancelRequested(order=name)
            | e.OrderCancelRejected(order=name)
        ):
            return change.of(name)
        case _:
            return orders


_TERMS = ("quantity", "limit_price", "trigger_price", "trailing_distance", "stop_loss", "take_profit")


def _given(source: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the fields that are not absent."""
    return {name: value for name in names if (value := getattr(source, name)) is not None}


class _Change:
    """What one event does to the orders. One that was over before the book was begun is not known, and stays so."""

    def __init__(self, orders: Orders, event: e.Event) -> None:
        self._orders = orders
        self._time = event.record_time

    def put(self, order: Order) -> Orders:
        """The order as it is now, in the place it belongs."""
        open_orders = {key: each for key, each in self._orders.open.items() if key != order.id or order.is_open}
        closed = dict(self._orders.closed)
        if order.is_open:
            open_orders[order.id] = order
        else:
            closed[order.id] = order
            if len(closed) > self._orders.keep_closed:
                del closed[next(iter(closed))]
        return Orders(open_orders, closed, self._orders.keep_closed)

    def of(self, name: str, **changes: Any) -> Orders:  # noqa: ANN401 - the fields of Order
        """A known order with other fields."""
        order = self._known(name)
        return self._orders if order is None else self.put(replace(order, update_time=self._time, **changes))

    def adopt(self, order: Order) -> Orders:
        """An order the venue opened; if it is known, the venue changed its terms."""
        return self.of(order.name, **_given(order, _TERMS)) if self._known(order.name) else self.put(order)

    def fill(self, filled: e.OrderFilled) -> Orders:
        """A known order after a trade."""
        order = self._known(filled.fill.order)
        if order is None:
            return self._orders
        return self.of(
            order.name,
            state=filled.order_state,
            filled_quantity=filled.filled_quantity,
            average_price=_average(order, filled.fill),
            fees=_EXACT.add(order.fees, filled.fill.fee),
        )

    def _known(self, name: str) -> Order | None:
        key = short_id(name)
        return self._orders.open.get(key) or self._orders.closed.get(key)


def _average(order: Order, fill: Fill) -> Decimal:
    """The average price of an order's fills with one more, to the contract's eighteen places."""
    before = _EXACT.multiply(order.filled_quantity, order.average_price or _ZERO)
    value = _EXACT.fma(fill.quantity, fill.price, before)
    quantity = _EXACT.add(order.filled_quantity, fill.quantity)
    return _EXACT.divide(value, quantity).quantize(_FINEST, context=_EXACT).normalize(_EXACT)


# ---------------------------------------------------------------- positions and money


def fold_positions(positions: Mapping[str, Holding], event: e.Event) -> Mapping[str, Holding]:
    """The positions after an event. Each fill says what is held after it."""
    if not isinstance(event.body, e.OrderFilled):
        return positions
    filled = event.body
    key = short_id(filled.fill.instrument)
    others = {each: holding for each, holding in positions.items() if each != key}
    if not filled.position_quantity:
        return others
    return {**others, key: Holding(filled.fill.instrument, filled.position_quantity, filled.position_average_price)}


def fold_funds(funds: Funds, event: e.Event) -> Funds:
    """The money after an event."""
    match event.body:
        case e.OrderFilled(fill=fill):
            return _moved(funds, _flows(fill, _instrument(funds, fill.instrument)))
        case e.FundingPaid(instrument=name, amount=amount):
            return _moved(funds, {_instrument(funds, name).settle: amount})
        case e.BalanceAdjusted(currency=currency, wallet=wallet):
            return replace(funds, wallets={**funds.wallets, currency: wallet})
        case e.AccountOpened(balances=balances):
            return replace(funds, wallets={balance.currency: balance.wallet for balance in balances})
        case e.TradingStateChanged(state=state):
            return replace(funds, trading_state=state)
        case e.PortfolioSnapshotTaken() as taken:
            valuation = Valuation(
                event.sequence,
                taken.equity,
                taken.wallet_balance,
                taken.unrealized_pnl,
                taken.drawdown,
                taken.peak_equity,
                taken.open_positions,
                taken.risk_ratio,
            )
            return replace(funds, valuation=valuation)
        case _:
            return funds


def _instrument(funds: Funds, name: str) -> Instrument:
    instrument = funds.instruments.get(short_id(name))
    if instrument is None:
        raise ContractBroken(f"an event is about {name}, which the daemon did not list")
    return instrument


def _flows(fill: Fill, instrument: Instrument) -> dict[str, Decimal]:
    """What a fill moves into wallets: on spot both currencies, on a contract the profit; and the fee out of one."""
    flows: dict[str, Decimal] = {}
    if instrument.kind == "SPOT":
        bought = fill.quantity if fill.side == "BUY" else -fill.quantity
        flows[instrument.base] = bought
        flows[instrument.quote] = _EXACT.multiply(-bought, fill.price)
    else:
        flows[instrument.settle] = fill.realized_pnl
    flows[fill.fee_currency] = _EXACT.subtract(flows.get(fill.fee_currency, _ZERO), fill.fee)
    return flows


def _moved(funds: Funds, flows: Mapping[str, Decimal]) -> Funds:
    wallets = dict(funds.wallets)
    for currency, amount in flows.items():
        wallets[currency] = _EXACT.add(wallets.get(currency, _ZERO), amount)
    return replace(funds, wallets=wallets)
