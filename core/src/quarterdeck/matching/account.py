"""Owns the money at the venue: balances, what fills do to them, and whether they carry positions and orders.

Contracts are cross-margined per settlement currency. Margin balance is the wallet plus unrealised profit; the initial
margin of an instrument is its worst one-sided exposure (position and working orders of that side) divided by leverage;
maintenance margin is the position's notional times the instrument's rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import inf

from quarterdeck.domain.amounts import CENT_OF_A_MICRO, ONE, ZERO, ceil_to, floor_to
from quarterdeck.domain.market import Side
from quarterdeck.domain.position import position_after
from quarterdeck.matching.book import Book
from quarterdeck.matching.order import BookOrder
from quarterdeck.matching.reasons import Reason

_CAUTION = 0.999
_FLOAT_ERROR = 1e-9


class Account:
    """Balances, and the books seen as one account."""

    def __init__(self, books: Mapping[str, Book], balances: Mapping[str, Decimal]) -> None:
        self.balances = dict(balances)
        self._spot = [book for book in books.values() if book.is_spot]
        self._contracts: dict[str, list[Book]] = {}
        for book in books.values():
            if not book.is_spot:
                self._contracts.setdefault(book.instrument.settle, []).append(book)

    def balance(self, currency: str) -> Decimal:
        """What the account holds of a currency."""
        return self.balances.get(currency, ZERO)

    def add(self, currency: str, amount: Decimal) -> None:
        """Change a balance."""
        self.balances[currency] = self.balance(currency) + amount

    def apply_fill(
        self, book: Book, side: Side, quantity: Decimal, price: Decimal, fee: Decimal, currency: str
    ) -> None:
        """What a trade does to position and balances: both currencies on spot, the realised profit on a contract.

        A fee in the base of a pair comes out of what is traded. What a sale leaves of one is no position any more if it
        can't be sold.
        """
        instrument = book.instrument
        in_kind = side.sign * fee if instrument.takes_in_kind(currency) else ZERO
        change = position_after(book.quantity, book.cost, side, quantity - in_kind, price)
        book.quantity, book.cost = change.quantity, change.cost
        if side is Side.SELL and instrument.is_crumbs(book.quantity):
            book.quantity = book.cost = ZERO
        if book.is_spot:
            self.add(instrument.base, side.sign * quantity)
            self.add(instrument.quote, -side.sign * quantity * price)
            self.add(currency, -fee)
        else:
            self.add(instrument.settle, change.realized_pnl - fee)

    # --- carrying orders

    def refusal(self, book: Book, *, is_buy: bool, amount: Decimal, fee: Decimal) -> Reason | None:
        """Why an order can't be carried, or None. `amount` is what it reserves, in the book's own terms."""
        if book.is_spot:
            return self._spot_refusal(book, is_buy=is_buy, amount=amount)
        currency = book.instrument.settle
        buys, sells = (amount, ZERO) if is_buy else (ZERO, amount)
        needed = _initial_margin(book, buys, sells) + fee
        for other in self._contracts[currency]:
            if other is not book:
                needed += _initial_margin(other)
        if needed <= self.margin_balance(currency) - self._reserved_on_spot(currency):
            return None
        grows = _initial_margin(book, buys, sells) > _initial_margin(book)
        return Reason.INSUFFICIENT_MARGIN if grows else None

    def _spot_refusal(self, book: Book, *, is_buy: bool, amount: Decimal) -> Reason | None:
        currency = book.instrument.quote if is_buy else book.instrument.base
        free = self.balance(currency)
        if self._contracts.get(currency):
            used = sum((_initial_margin(contract) for contract in self._contracts[currency]), ZERO)
            free = min(free, self.margin_balance(currency)) - used
        return Reason.INSUFFICIENT_BALANCE if amount > free - self._reserved_on_spot(currency) else None

    def _reserved_on_spot(self, currency: str) -> Decimal:
        """What working spot orders hold of a currency: buys of their quote currency, sells of their base currency."""
        total = ZERO
        for book in self._spot:
            if book.instrument.quote == currency:
                total += book.buys_reserved
            if book.instrument.base == currency:
                total += book.sells_reserved
        return total

    def affordable(self, book: Book, order: BookOrder, quantity: Decimal, price: Decimal) -> Decimal:
        """The part of a spot trade that the balances pay for, fee included."""
        instrument = book.instrument
        if order.is_buy:
            rate = max(ZERO, instrument.taker_fee_rate, instrument.maker_fee_rate)
            most = (self.balance(instrument.quote) - CENT_OF_A_MICRO) / (price * (ONE + rate))  # the fee may round up
        else:
            most = self.balance(instrument.base)
        return quantity if quantity <= most else max(ZERO, floor_to(most, instrument.lot_size))

    # --- carrying positions

    def margin_balance(self, currency: str) -> Decimal:
        """Wallet plus the unrealised profit of all contracts settled in a currency."""
        total = self.balance(currency)
        for book in self._contracts.get(currency, ()):
            if book.quantity:
                total += book.quantity * _mark(book) - book.cost
        return total

    def excess_margin(self, currency: str) -> Decimal:
        """What the margin balance has above all maintenance margin. At zero or less, positions are liquidated."""
        return self.balance(currency) + sum((_excess(book) for book in self.holders(currency)), ZERO)

    def liquidation_price(self, book: Book) -> Decimal | None:
        """The price of an instrument, on its tick, at which the account is liquidated if no other price moves.

        Solves balance + excess of the others + quantity * p - cost - rate * |quantity| * p = 0 for p. None without a
        position in a contract.
        """
        if not book.quantity or book.is_spot:
            return None
        currency = book.instrument.settle
        others = sum((_excess(other) for other in self.holders(currency) if other is not book), ZERO)
        price = (book.cost - others - self.balance(currency)) / _excess_per_price(book)
        step = book.instrument.tick_size
        return floor_to(price, step) if book.quantity > 0 else ceil_to(price, step)

    def contracts(self, currency: str) -> Sequence[Book]:
        """The books of all contracts settled in a currency."""
        return self._contracts.get(currency, ())

    def holders(self, currency: str) -> list[Book]:
        """Those of them with a position."""
        return [book for book in self._contracts.get(currency, ()) if book.quantity]

    def watch(self, currency: str) -> bool:
        """Set the prices at which each book must wake so that no liquidation is slept through.

        Returns whether so little margin is left that `excess_margin` has to be asked.

        Every book may lose an equal part of the excess margin before it wakes; while all sleep, all together have lost
        less than the excess.
        """
        holders = []
        for book in self._contracts.get(currency, ()):
            book.margin_below, book.margin_above = -inf, inf
            if book.quantity:
                holders.append(book)
        if not holders:
            return False
        excess = float(self.balance(currency))
        gross = abs(excess)
        for book in holders:
            value, cost = float(book.quantity) * _middle(book), float(book.cost)
            excess += value - cost - abs(value) * book.maintenance_rate
            gross += abs(value) + abs(cost)
        part = (excess * _CAUTION - gross * _FLOAT_ERROR) / len(holders)
        for book in holders:
            if book.bid is None or part <= 0:
                book.margin_below, book.margin_above = inf, -inf
                continue
            quantity = float(book.quantity)
            edge = _middle(book) - part / (quantity - abs(quantity) * book.maintenance_rate)
            if quantity > 0:
                book.margin_below = edge
            else:
                book.margin_above = edge
        return part <= 0


def _initial_margin(book: Book, more_buys: Decimal = ZERO, more_sells: Decimal = ZERO) -> Decimal:
    buys, sells = book.buys_reserved + more_buys, book.sells_reserved + more_sells
    if not (book.quantity or buys or sells):
        return ZERO
    value = book.quantity * _mark(book) if book.quantity else ZERO
    return max(value + buys, sells - value) / book.leverage


def _mark(book: Book) -> Decimal:
    """What a position is valued at: the average price before any was seen."""
    mark = book.mark
    return book.cost / book.quantity if mark is None else mark


def _excess(book: Book) -> Decimal:
    """Unrealised profit less maintenance margin."""
    return _mark(book) * _excess_per_price(book) - book.cost


def _excess_per_price(book: Book) -> Decimal:
    return book.quantity - abs(book.quantity) * book.instrument.maintenance_margin_rate


def _middle(book: Book) -> float:
    """The mark as a float; the average price before any was seen."""
    if book.bid is None or book.ask is None:
        return float(book.cost / book.quantity)
    return (book.bid + book.ask) / 2
