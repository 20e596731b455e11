"""Owns what can be known of an account from its events: a pure fold, from lists read anywhere in the journal.

Facts only: what depends on the market's last price (profit not yet made, liquidation prices) is not in events, so it is
not here; ask `positions.list()` or `accounts.overview()` for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from quarterdeck.client import events as e
from quarterdeck.client.errors import StreamGap
from quarterdeck.client.resources import AccountOverview, NewOrder, Order, Position, Trade, short_id
from quarterdeck.client.words import TradingState

T = TypeVar("T")

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
    settle: str
    trading_state: TradingState
    valuation: Valuation


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One part of the state, as of one sequence. Events it reflects already change nothing."""

    sequence: int
    value: T
    fold: Callable[[T, e.Event], T]

    def apply(self, event: e.Event) -> Part[T]:
        """The part after an event."""
        if event.sequence <= self.sequence:
            return self
        return Part(event.sequence, self.fold(self.value, event), self.fold)


@dataclass(frozen=True, slots=True)
class AccountState:
    """What is known of an account at one place in its journal. Never changes: each event makes a new one."""

    _orders: Part[Orders]
    _positions: Part[Mapping[str, Holding]]
    _funds: Part[Funds]

    @property
    def sequence(self) -> int:
        """Every event up to here is in the state."""
        return min(part.sequence for part in self._parts)

    @property
    def is_consistent(self) -> bool:
        """Whether all of the state is as of one sequence. Lists read one after the other are not, until caught up."""
        return len({part.sequence for part in self._parts}) == 1

    @property
    def orders(self) -> Mapping[str, Order]:
        """The orders that may still trade, by id."""
        return MappingProxyType(self._orders.value.open)

    @property
    def closed_orders(self) -> Mapping[str, Order]:
        """The latest of the orders that ended while we watched, by id, oldest first."""
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

    def apply(self, event: e.Event) -> AccountState:
        """The state after an event. One it reflects already changes nothing.

        Raises:
            StreamGap: the event before this one is missing.
        """
        if event.sequence > self.sequence + 1:
            raise StreamGap(f"event {event.sequence} does not follow {self.sequence}")
        return AccountState(self._orders.apply(event), self._positions.apply(event), self._funds.apply(event))


# ---------------------------------------------------------------- from lists


def orders_from(orders: Iterable[Order], sequence: int, keep_closed: int = 1000) -> Part[Orders]:
    """The orders, from a list of the open ones."""
    return Part(sequence, Orders({order.id: order for order in orders}, keep_closed=keep_closed), fold_orders)


def positions_from(positions: Iterable[Position], sequence: int) -> Part[Mapping[str, Holding]]:
    """The positions, from a list of those that are not flat."""
    held = {each.id: Holding(each.instrument, each.quantity, each.average_price) for each in positions}
    return Part(sequence, held, fold_positions)


def funds_from(overview: AccountOverview, sequence: int) -> Part[Funds]:
    """The money, from an overview of the account."""
    wallets = {balance.currency: balance.wallet for balance in overview.balances}
    valuation = _valuation(overview, sequence)
    return Part(sequence, Funds(wallets, overview.account.settle, overview.trading_state, valuation), fold_funds)


def _valuation(source: AccountOverview | e.PortfolioSnapshotTaken, sequence: int) -> Valuation:
    return Valuation(
        sequence,
        source.equity,
        source.wallet_balance,
        source.unrealized_pnl,
        source.drawdown,
        source.peak_equity,
        source.open_positions,
        source.risk_ratio,
    )


# ---------------------------------------------------------------- orders


def fold_orders(orders: Orders, event: e.Event) -> Orders:
    """The orders after an event."""
    change = _Change(orders, event)
    match event.body:
        case e.OrderPrepared(order=order):
            return change.begin(order)
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
        case e.OrderTriggered(order=name) | e.OrderCancelRequested(order=name) | e.OrderCancelRejected(order=name):
            return change.of(name)
        case _:
            return orders


_TERMS = ("quantity", "limit_price", "trigger_price", "trailing_distance", "stop_loss", "take_profit")


def _given(source: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the fields that are not absent."""
    return {name: value for name in names if (value := getattr(source, name)) is not None}


class _Change:
    """What one event does to the orders. One that was over before we watched is not known, and stays so."""

    def __init__(self, orders: Orders, event: e.Event) -> None:
        self._orders = orders
        self._time = event.record_time

    def begin(self, new: NewOrder) -> Orders:
        """An order from now on."""
        terms = {each.name: getattr(new, each.name) for each in fields(new)}
        return self._put(
            Order(
                **terms,
                filled_quantity=_ZERO,
                average_price=None,
                fees=_ZERO,
                reason="",
                create_time=self._time,
                update_time=self._time,
            )
        )

    def adopt(self, new: NewOrder) -> Orders:
        """An order the venue opened; if it is known, the venue changed its terms."""
        return self.of(new.name, **_given(new, _TERMS)) if self._known(new.name) else self.begin(new)

    def of(self, name: str, **changes: Any) -> Orders:  # noqa: ANN401 - the fields of Order
        """A known order with other fields."""
        order = self._known(name)
        return self._orders if order is None else self._put(replace(order, update_time=self._time, **changes))

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

    def _put(self, order: Order) -> Orders:
        """The order as it is now, in the place it belongs."""
        if order.is_open:
            return replace(self._orders, open={**self._orders.open, order.id: order})
        still_open = {key: each for key, each in self._orders.open.items() if key != order.id}
        closed = {**self._orders.closed, order.id: order}
        while len(closed) > self._orders.keep_closed:
            del closed[next(iter(closed))]
        return Orders(still_open, closed, self._orders.keep_closed)


def _average(order: Order, trade: Trade) -> Decimal:
    """The average price of an order's trades with one more, to the contract's eighteen places."""
    before = _EXACT.multiply(order.filled_quantity, order.average_price or _ZERO)
    value = _EXACT.fma(trade.quantity, trade.price, before)
    quantity = _EXACT.add(order.filled_quantity, trade.quantity)
    return _EXACT.divide(value, quantity).quantize(_FINEST, context=_EXACT).normalize(_EXACT)


# ---------------------------------------------------------------- positions and money


def fold_positions(positions: Mapping[str, Holding], event: e.Event) -> Mapping[str, Holding]:
    """The positions after an event. Each trade, and each adjustment, says what is held after it."""
    match event.body:
        case e.OrderFilled(fill=fill):
            instrument = fill.instrument
        case e.PositionAdjusted(instrument=instrument):
            pass
        case _:
            return positions
    key, moved = short_id(instrument), event.body
    others = {each: holding for each, holding in positions.items() if each != key}
    if not moved.position_quantity:
        return others
    return {**others, key: Holding(instrument, moved.position_quantity, moved.position_average_price)}


def fold_funds(funds: Funds, event: e.Event) -> Funds:
    """The money after an event."""
    match event.body:
        case e.OrderFilled(postings=postings):
            return _moved(funds, ((each.currency, each.amount) for each in postings if each.book == "WALLET"))
        case e.FundingPaid(amount=amount):
            return _moved(funds, [(funds.settle, amount)])
        case e.BalanceAdjusted(currency=currency, wallet=wallet):
            return replace(funds, wallets={**funds.wallets, currency: wallet})
        case e.AccountOpened(balances=balances, settle=settle):
            wallets = {balance.currency: balance.wallet for balance in balances}
            return replace(funds, wallets=wallets, settle=settle)
        case e.TradingStateChanged(state=state):
            return replace(funds, trading_state=state)
        case e.PortfolioSnapshotTaken():
            return replace(funds, valuation=_valuation(event.body, event.sequence))
        case _:
            return funds


def _moved(funds: Funds, amounts: Iterable[tuple[str, Decimal]]) -> Funds:
    wallets = dict(funds.wallets)
    for currency, amount in amounts:
        wallets[currency] = _EXACT.add(wallets.get(currency, _ZERO), amount)
    return replace(funds, wallets=wallets)
