"""Owns the state of one account: the fold of its journal.

Rule 1: only `fold` writes here. Rule 2: nothing here comes from anywhere but events, so folding the journal again, or
continuing from a snapshot, gives the same state. Prices seen on the market are observations and live in `market.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, takewhile

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.bot import BotSpec, BotState
from quarterdeck.domain.ledger import Ledger
from quarterdeck.domain.order import Order
from quarterdeck.domain.position import Position
from quarterdeck.domain.risk import TradingState
from quarterdeck.domain.signal import FLAT, Holding

#: Closed orders kept in memory (up to an eighth more), for late fills and quick reads; older ones are in the tables.
CLOSED_ORDERS_KEPT = 10_000

#: Requests whose outcome is remembered, so that a retry finds it.
REQUESTS_KEPT = 100_000

#: Crashes remembered.
CRASHES_KEPT = 20

#: The owner of what was traded by hand.
BY_HAND = ""


@dataclass(slots=True)
class BotRecord:
    """One bot. `working` counts its orders that may still trade, protection excluded."""

    spec: BotSpec
    create_time: int
    state: BotState = BotState.STOPPED
    failure: str = ""
    update_time: int = 0
    trades: int = 0
    working: int = 0
    holding: Holding = FLAT


@dataclass(slots=True)
class Exposure:
    """What working orders on one instrument could still do. An index over the open orders, kept by the fold."""

    pending_buy: Decimal = ZERO
    pending_sell: Decimal = ZERO
    pending_notional: Decimal = ZERO
    pending_risk: Decimal = ZERO
    stopped_quantity: Decimal = ZERO
    stopped_value: Decimal = ZERO
    unknown: int = 0


@dataclass(slots=True)
class State:
    """Everything the account is, at one place in its journal."""

    sequence: int = 0
    time: int = 0
    mode: str = ""
    settle: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    positions: dict[str, Position] = field(default_factory=dict)
    shares: dict[str, dict[str, Position]] = field(default_factory=dict)
    """Per instrument and owner (a bot, or BY_HAND): virtual sub-accounts that add up to `positions`."""
    bots: dict[str, BotRecord] = field(default_factory=dict)
    open_orders: dict[str, Order] = field(default_factory=dict)
    closed_orders: dict[str, Order] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Link id to order id, for the orders above."""
    trades: dict[str, list[str]] = field(default_factory=dict)
    """Order id to the venue's trade ids already booked, for the orders above."""
    stops: dict[str, dict[str, dict[Decimal, Decimal]]] = field(default_factory=dict)
    """Per instrument and owner: at which price how much of the share is to be closed. See `stops.py`."""
    instrument_times: dict[str, int] = field(default_factory=dict)
    """When the venue was last seen to have changed an instrument, by symbol; those it never changed are not in it."""
    exposures: dict[str, Exposure] = field(default_factory=dict)
    entry_times: list[int] = field(default_factory=list)
    """When entries were approved, the last hour's, ascending."""
    requests: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Request id to its digest and the sequence of its outcome."""
    funding_ids: dict[str, int] = field(default_factory=dict)
    change_ids: dict[str, int] = field(default_factory=dict)
    """Funding and other changes of the balance that are booked, by the venue's id, with their sequence."""
    trading_state: TradingState = TradingState.ACTIVE
    trading_reason: str = ""
    trading_since: int = 0
    flatten: bool = False
    """Whether every position is to be closed, for as long as the trading state lasts."""
    day: int = -1
    day_start_equity: Decimal = ZERO
    peak_equity: Decimal = ZERO
    snapshot_time: int = 0
    realized_pnl: Decimal = ZERO
    day_start_realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    fill_count: int = 0
    moves: int = 0
    """How often the account was moved: trades, funding, balance changes, adjustments."""
    opened_time: int = 0
    """When the account was opened. What happened before is in its first balances."""
    activity_time: int = 0
    """The venue's time of the latest move; before any, when the account was opened."""
    forgotten_time: int = 0
    """When the last order that is not in memory any more was last heard of. Its trades can't be told from new ones."""
    next_order_number: int = 1
    epoch: int = 0
    """That of the last daemon; each has a higher one."""
    clean: bool = True
    """Whether the last daemon ended in order."""
    crash_times: list[int] = field(default_factory=list)
    """When a daemon began after one that had not ended in order, ascending, since the last one that had."""

    @property
    def is_new(self) -> bool:
        """Whether the account has not been opened yet."""
        return not self.settle

    @property
    def wallet(self) -> Decimal:
        """Settle-currency balance."""
        return self.ledger.wallet(self.settle)

    def order(self, order_id: str) -> Order | None:
        """An order by its id, if it is still in memory."""
        return self.open_orders.get(order_id) or self.closed_orders.get(order_id)

    def order_by_link(self, link_id: str) -> Order | None:
        """An order by the id the venue knows."""
        order_id = self.links.get(link_id)
        return None if order_id is None else self.order(order_id)

    def ended_since(self, time: int) -> Iterator[Order]:
        """Closed orders of which anything was recorded since a time, the one that ended last first."""
        return takewhile(lambda order: order.update_time >= time, reversed(self.closed_orders.values()))

    def orders_at_venue(self, exchange_order_id: str) -> Iterator[Order]:
        """Orders by the venue's own id: one, or several that are a trade of it each. Looks through all there are."""
        orders = chain(self.open_orders.values(), self.closed_orders.values())
        return (each for each in orders if each.exchange_order_id == exchange_order_id)

    @property
    def venue_ids(self) -> dict[str, str]:
        """Link id to the venue's own id, of every order that has one."""
        orders = chain(self.closed_orders.values(), self.open_orders.values())
        return {each.link_id: each.exchange_order_id for each in orders if each.exchange_order_id}

    def free_order_id(self, wanted: str) -> str:
        """The wanted id, or the nearest to it that no order in memory has. Callers choose ids too."""
        free, number = wanted, 1
        while self.order(free) is not None:
            number += 1
            free = f"{wanted}-{number}"
        return free

    def orders_of(self, symbol: str | None = None, bot_id: str | None = None) -> Iterator[Order]:
        """Open orders, oldest first, of one instrument and/or one owner."""
        for order in self.open_orders.values():
            if symbol in (None, order.terms.symbol) and bot_id in (None, order.bot_id):
                yield order

    def share(self, symbol: str, bot_id: str) -> Position:
        """What one owner holds of an instrument; a flat position when it never held any."""
        return self.shares.get(symbol, {}).get(bot_id) or Position(symbol)

    def exposure(self, symbol: str) -> Exposure:
        """The index of an instrument's working orders, for reading."""
        return self.exposures.get(symbol) or Exposure()
