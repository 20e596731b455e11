"""Pages and names: what a token is bound to, how long a listing is kept, and whose name is whose."""

from __future__ import annotations

import pytest

from quarterdeck.domain.errors import InvalidRequest, NotFound
from quarterdeck.rpc import names, pages
from quarterdeck.v1.bot_pb2 import Bot
from quarterdeck.v1.bot_service_pb2 import ListBotsRequest
from quarterdeck.v1.position_service_pb2 import ListPositionsRequest

BOTS = [Bot(name=f"bots/{number}") for number in range(5)]


def nothing() -> list[Bot]:
    return []


def ask(size: int, token: str = "") -> ListBotsRequest:
    return ListBotsRequest(page_size=size, page_token=token)


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_a_page_is_as_large_as_asked_within_reason(asked: int, given: int) -> None:
    assert pages.size_of(ask(asked)) == given


def test_pages_may_change_their_size_and_keep_their_position() -> None:
    listings = pages.Listings()
    first = listings.page(ask(2), 7, lambda: BOTS)
    rest = listings.page(ask(10, first.next_page_token), 9, nothing)
    assert [*first.items, *rest.items] == BOTS
    assert (first.snapshot_sequence, rest.snapshot_sequence, rest.next_page_token) == (7, 7, "")
    again = listings.page(ask(1, first.next_page_token), 9, nothing)
    assert again.items == BOTS[2:3]  # a page can be asked for twice


def test_a_listing_of_one_page_is_not_kept() -> None:
    listings = pages.Listings()
    assert listings.page(ask(5), 7, lambda: BOTS).next_page_token == ""
    assert not listings._kept


def test_a_listing_given_up_has_to_begin_again() -> None:
    listings = pages.Listings()
    token = listings.page(ask(2), 7, lambda: BOTS).next_page_token
    for _ in range(pages.LISTINGS_KEPT):
        listings.page(ask(2), 7, lambda: BOTS)
    with pytest.raises(InvalidRequest, match="list from the start"):
        listings.page(ask(2, token), 8, lambda: BOTS)


def test_a_token_is_bound_to_its_query() -> None:
    here = ListPositionsRequest(parent="accounts/main", page_size=2)
    there = ListPositionsRequest(parent="accounts/other", page_token=pages.make_token(here, pages.Token(7, "x")))
    with pytest.raises(InvalidRequest) as caught:
        pages.read_token(there)
    assert caught.value.reason == "PAGE_TOKEN_MISMATCH"
    there.parent = here.parent
    assert pages.read_token(there) == (7, "x")
    with pytest.raises(InvalidRequest):
        _ = pages.Token(7, "x").number
    assert pages.Token(7, "-12").number == -12


def test_names_are_taken_apart_as_they_were_made() -> None:
    assert names.id_within("accounts/main" + names.ORDERS + "o-1", "accounts/main", names.ORDERS, "name") == "o-1"
    assert names.symbol_of(names.instrument("btcusdt")) == "btcusdt"
    assert names.bot_id_of(names.bot("sma")) == "sma"
    assert (names.bot(""), names.bot_id_of(""), names.last_id("")) == ("", "", "")


@pytest.mark.parametrize(
    "name", ["", "orders/x", "accounts/main/orders/", "accounts/main/fills/x", "accounts/main/orders/x/y", "/orders/x"]
)
def test_what_is_no_order_s_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^name: "):
        names.id_within(name, "accounts/main", names.ORDERS, "name")


def test_another_account_s_order_is_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        names.id_within("accounts/other/orders/x", "accounts/main", names.ORDERS, "name")
    assert caught.value.data == {"name": "accounts/other", "known": "accounts/main"}
