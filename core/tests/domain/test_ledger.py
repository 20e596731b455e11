from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.engine.desk import BTC, SPOT
from quarterdeck.domain.ledger import Book, Ledger, Posting, fill_postings, move
from quarterdeck.domain.market import Side

MONEY = st.decimals(min_value=-(10**9), max_value=10**9, places=8, allow_nan=False, allow_infinity=False)


def test_a_move_takes_from_one_book_what_it_gives_to_the_other() -> None:
    assert move(Book.FUNDING, "USDT", Decimal("-1.5")) == (
        Posting(Book.WALLET, "USDT", Decimal("-1.5")),
        Posting(Book.FUNDING, "USDT", Decimal("1.5")),
    )


def test_a_contract_moves_only_profit_and_fee() -> None:
    ledger = Ledger()
    ledger.post(fill_postings(BTC, Side.SELL, Decimal("0.1"), Decimal(51_000), Decimal("2.8"), "USDT", Decimal(100)))
    assert ledger.totals == {
        "USDT": {Book.WALLET: Decimal("97.2"), Book.TRADING: Decimal(-100), Book.FEES: Decimal("2.8")},
    }


def test_opening_a_contract_moves_only_the_fee() -> None:
    postings = fill_postings(BTC, Side.BUY, Decimal("0.1"), Decimal(50_000), Decimal("2.75"), "USDT", Decimal(0))
    assert [(posting.book, posting.amount) for posting in postings] == [
        (Book.WALLET, Decimal("-2.75")),
        (Book.FEES, Decimal("2.75")),
    ]


@pytest.mark.parametrize(
    ("side", "base", "quote"),
    [(Side.BUY, "0.1", "-5000"), (Side.SELL, "-0.1", "5000")],
)
def test_spot_exchanges_two_currencies(side: Side, base: str, quote: str) -> None:
    ledger = Ledger()
    ledger.post(fill_postings(SPOT, side, Decimal("0.1"), Decimal(50_000), Decimal("0.0001"), "BTC", Decimal(0)))
    assert ledger.wallet("BTC") == Decimal(base) - Decimal("0.0001")
    assert ledger.wallet("USDT") == Decimal(quote)
    assert ledger.balance("BTC") == ledger.balance("USDT") == 0


def test_a_rebate_is_income() -> None:
    ledger = Ledger()
    ledger.post(fill_postings(BTC, Side.BUY, Decimal(1), Decimal(100), Decimal("-0.02"), "USDT", Decimal(0)))
    assert ledger.wallet("USDT") == Decimal("0.02")


@given(st.lists(st.tuples(st.sampled_from(Book), st.sampled_from(["USDT", "BTC"]), MONEY)))
def test_every_currency_sums_to_zero(moves: list[tuple[Book, str, Decimal]]) -> None:
    ledger = Ledger()
    for book, currency, amount in moves:
        if book is not Book.WALLET:
            ledger.post(move(book, currency, amount))
    assert all(ledger.balance(currency) == 0 for currency in ledger.totals)


def test_nothing_is_held_of_an_unknown_currency() -> None:
    assert Ledger().wallet("DOGE") == Ledger().balance("DOGE") == 0


@pytest.mark.parametrize("name", ["tick_size", "lot_size"])
def test_an_instrument_has_steps_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        replace(BTC, **{name: Decimal(0)})  # type: ignore[arg-type]  # the field is chosen by the parameter
