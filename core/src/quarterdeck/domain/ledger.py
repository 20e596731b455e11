"""Owns the money: double-entry postings whose sum per currency is always zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Side


class Book(StrEnum):
    """One side of a posting. `WALLET` is the account's own money; the others are where it came from or went."""

    WALLET = "WALLET"
    TRADING = "TRADING"
    """Profit and loss of contracts, and the other side of spot exchanges."""
    FEES = "FEES"
    FUNDING = "FUNDING"
    TRANSFERS = "TRANSFERS"
    """Opening balances, deposits and withdrawals."""


_WALLET, _TRADING, _FEES = Book.WALLET, Book.TRADING, Book.FEES  # held: looking up an enum's member is slow


class Posting(NamedTuple):
    """An amount that enters (positive) or leaves (negative) a book."""

    book: Book
    currency: str
    amount: Decimal


def move(source: Book, currency: str, amount: Decimal) -> tuple[Posting, Posting]:
    """The wallet gains `amount` from `source` (loses it when negative)."""
    return Posting(_WALLET, currency, amount), Posting(source, currency, -amount)


def fill_postings(
    instrument: Instrument,
    side: Side,
    quantity: Decimal,
    price: Decimal,
    fee: Decimal,
    fee_currency: str,
    realized_pnl: Decimal,
) -> tuple[Posting, ...]:
    """What a fill moves: both currencies on spot, only the realised profit on a contract, and the fee."""
    fees = move(_FEES, fee_currency, -fee)
    if instrument.kind is InstrumentKind.LINEAR:
        return move(_TRADING, instrument.settle, realized_pnl) + fees if realized_pnl else fees
    sign = side.sign
    return (
        move(_TRADING, instrument.base, sign * quantity)
        + move(_TRADING, instrument.quote, -sign * quantity * price)
        + fees
    )


@dataclass(slots=True)
class Ledger:
    """Totals per book and currency. The postings themselves are in the journal, inside the events that made them."""

    totals: dict[str, dict[Book, Decimal]] = field(default_factory=dict)

    def post(self, postings: Iterable[Posting]) -> None:
        """Add a balanced set of postings."""
        for book, currency, amount in postings:
            books = self.totals.setdefault(currency, {})
            books[book] = books.get(book, ZERO) + amount

    def wallet(self, currency: str) -> Decimal:
        """What the account holds of a currency."""
        return self.totals.get(currency, {}).get(Book.WALLET, ZERO)

    def balance(self, currency: str) -> Decimal:
        """Sum over all books of a currency: zero, or the ledger is broken."""
        return sum(self.totals.get(currency, {}).values(), ZERO)
