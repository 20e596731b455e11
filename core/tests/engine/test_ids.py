"""Link ids: short, never twice the same, and known again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.engine.ids import LinkId, LinkIds, base32

KEY = bytes.fromhex("0123456789abcdef0123456789abcdef")
IDS = LinkIds(KEY, 7)
TERMS = OrderTerms("btcusdt", Side.BUY, OrderType.LIMIT, Decimal("0.1"), Decimal(50_000))
ENTRY, EXIT = OrderRole.ENTRY, OrderRole.EXIT


def test_they_are_short_unique_and_sort_like_their_numbers() -> None:
    links = [IDS.mint(number, ENTRY, TERMS) for number in (0, 1, 31, 32, 1_023, 1_024, 10**12, 32**10 - 1)]
    assert links == sorted(set(links))
    assert {len(link) for link in links} == {33}
    assert base32(1_025, 4) == "0101"


@given(
    number=st.integers(0, 32**10 - 1),
    epoch=st.integers(0, 32**6 - 1),
    role=st.sampled_from([ENTRY, EXIT]),
    child=st.sampled_from(["", "-sl", "-tp"]),
)
def test_what_was_minted_is_known_again_by_every_epoch_of_its_journal(
    number: int, epoch: int, role: OrderRole, child: str
) -> None:
    ids = LinkIds(KEY, epoch)
    link = ids.mint(number, role, TERMS)
    assert len(link + child) <= 36
    due = {"": role, "-sl": OrderRole.STOP_LOSS, "-tp": OrderRole.TAKE_PROFIT}[child]
    assert IDS.read(link + child) == LinkId(ids.deployment, epoch, number, due, link if child else "")
    assert IDS.matches(link, TERMS)


def test_an_epoch_makes_another_id_of_the_same_order() -> None:
    assert IDS.mint(1, ENTRY, TERMS) != LinkIds(KEY, 8).mint(1, ENTRY, TERMS)


@pytest.mark.parametrize("number", range(33))
def test_no_character_can_be_another(number: int) -> None:
    """The last two say which terms; everything before says whose."""
    link = IDS.mint(1_000_000, ENTRY, TERMS)
    other = "1" if link[number] != "1" else "2"
    changed = link[:number] + other + link[number + 1 :]
    assert not IDS.matches(changed, TERMS)
    assert (IDS.read(changed) is None) == (number < 31)


@pytest.mark.parametrize("link", ["", "a1", "suite-1", "liq-17", "a1-TEST-00000000A2-E", "x" * 33])
def test_others_are_not_ours(link: str) -> None:
    assert IDS.read(link) is None


def test_another_journal_with_the_same_deployment_is_not_ours() -> None:
    other = LinkIds(b"0" * 12 + KEY[12:], 7)
    assert other.deployment == IDS.deployment
    assert IDS.read(other.mint(1, ENTRY, TERMS)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "ethusdt"},
        {"side": Side.SELL},
        {"type": OrderType.MARKET},
        {"quantity": Decimal("0.2")},
        {"limit_price": Decimal(50_001)},
        {"limit_price": None},
        {"trigger_price": Decimal(1)},
    ],
)
def test_other_terms_are_not_those_it_was_minted_for(change: dict[str, object]) -> None:
    link = IDS.mint(1, ENTRY, TERMS)
    assert IDS.read(link) is not None
    assert not IDS.matches(link, replace(TERMS, **change))  # type: ignore[arg-type]  # any field


def test_amounts_may_be_spelled_otherwise() -> None:
    link = IDS.mint(1, ENTRY, TERMS)
    assert IDS.matches(link, replace(TERMS, quantity=Decimal("0.1000"), limit_price=Decimal("5E+4")))
