"""Owns funding: what a perpetual's position pays or earns when a rate falls due."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.amounts import settle
from quarterdeck.domain.report import FundingSettled
from quarterdeck.matching.book import Book
from quarterdeck.matching.execution import Execution


def pay(execution: Execution, book: Book, rate: Decimal, time: int) -> None:
    """Longs pay shorts position value times rate when the rate is positive; each moment is paid for once."""
    if book.is_spot or time <= book.funded_until:
        return
    book.funded_until = time
    mark = book.mark
    if not book.quantity or mark is None:
        return
    amount = settle(-book.quantity * mark * rate)
    symbol = book.instrument.symbol
    execution.account.add(book.instrument.settle, amount)
    execution.report_activity(FundingSettled(f"{symbol}-{time}", symbol, amount, rate, book.quantity, time))


def pay_fixed(execution: Execution, book: Book, until: int) -> None:
    """Pay what the venue's fixed rate made due up to and including a time."""
    fixed = execution.settings.funding
    assert fixed is not None, "nothing falls due without a fixed rate"
    while book.next_funding <= until:
        pay(execution, book, fixed.rate, book.next_funding)
        book.next_funding += fixed.interval


def expect_fixed(execution: Execution, book: Book, after: int) -> None:
    """Note when the fixed rate first falls due after a time."""
    fixed = execution.settings.funding
    if fixed is not None:
        book.next_funding = (after // fixed.interval + 1) * fixed.interval
