"""What a venue can be restored from when the memory is somebody else's: less than its own snapshot, and enough."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.tests.matching.desk import BTC, ETH
from quarterdeck.domain.market import Quote, Side
from quarterdeck.domain.order import OrderState, OrderTerms, OrderType
from quarterdeck.domain.report import Filled, Opened
from quarterdeck.matching import OrderSnapshot, PositionSnapshot, Venue, VenueSnapshot, cost_of

USDT = {"USDT": Decimal(1000)}


def quote(second: int, price: float, symbol: str = "btcusdt") -> Quote:
    return Quote(symbol, second * 1_000_000_000, price, 1.0, price, 1.0)


def fills(reports: object) -> list[tuple[str, Decimal]]:
    return [(fill.link_id, fill.price) for fill in reports if isinstance(fill, Filled)]  # type: ignore[attr-defined]  # a list


def test_what_was_only_acknowledged_opens() -> None:
    venue = Venue([BTC], {})
    limit = OrderTerms("btcusdt", Side.BUY, OrderType.LIMIT, Decimal(1), limit_price=Decimal(95))
    market = OrderTerms("btcusdt", Side.BUY, OrderType.MARKET, Decimal(1))
    orders = (OrderSnapshot("a", limit, OrderState.ACKED), OrderSnapshot("b", market, OrderState.ACKED))
    assert venue.restore(VenueSnapshot(USDT, orders=orders)) == [Opened("a", "x-a", 0)]
    assert fills(venue.on_market(quote(1, 100))) == [("b", Decimal(100))]
    assert fills(venue.on_market(quote(2, 94))) == [("a", Decimal(95))]


def test_an_order_that_was_restored_rests_and_does_not_take() -> None:
    """It had met the market before; on a quote beyond its limit it trades at its own price."""
    venue = Venue([BTC], {})
    terms = OrderTerms("btcusdt", Side.BUY, OrderType.LIMIT, Decimal(1), limit_price=Decimal(95))
    venue.restore(VenueSnapshot(USDT, orders=(OrderSnapshot("a", terms, OrderState.OPEN),)))
    assert fills(venue.on_market(quote(1, 90))) == [("a", Decimal(95))]


def test_a_triggered_order_does_not_wait_for_its_trigger_again() -> None:
    venue = Venue([BTC], {})
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.STOP_LIMIT, Decimal(1), Decimal(98), Decimal(95))
    venue.restore(VenueSnapshot(USDT, orders=(OrderSnapshot("a", terms, OrderState.OPEN, triggered=True),)))
    assert fills(venue.on_market(quote(1, 97))) == []
    assert fills(venue.on_market(quote(2, 99))) == [("a", Decimal(98))]


def test_a_trailing_stop_that_never_saw_a_price_starts_with_the_first() -> None:
    venue = Venue([BTC], {})
    terms = OrderTerms("btcusdt", Side.SELL, OrderType.TRAILING_STOP, Decimal(1), trailing_distance=Decimal(5))
    venue.restore(VenueSnapshot(USDT, orders=(OrderSnapshot("a", terms, OrderState.OPEN),)))
    venue.on_market(quote(1, 100))
    assert fills(venue.on_market(quote(2, 96))) == []
    assert fills(venue.on_market(quote(3, 95))) == [("a", Decimal(95))]


def test_a_position_whose_price_was_not_seen_yet_is_valued_at_what_it_cost() -> None:
    venue = Venue([BTC, ETH], {})
    held = (
        PositionSnapshot("btcusdt", Decimal(10), Decimal(1001)),
        PositionSnapshot("ethusdt", Decimal(10), Decimal(1000)),
    )
    venue.restore(VenueSnapshot({"USDT": Decimal(100)}, held))
    assert venue.margin_balance("USDT") == 100
    # 100 + 10 (p - 100) = 0.1 p + 10.01: below 91.92 everything goes, btcusdt at the tick nearest to 100.1.
    assert fills(venue.on_market(quote(1, 91, "ethusdt"))) == [("liq-1", Decimal(91)), ("liq-2", Decimal(100))]


def test_what_is_not_traded_here_can_not_be_restored() -> None:
    with pytest.raises(ValueError, match="ethusdt is held but not traded here"):
        Venue([BTC], {}).restore(VenueSnapshot({}, (PositionSnapshot("ethusdt", Decimal(1), Decimal(1)),)))


@pytest.mark.parametrize("cost", ["150000.1", "0.00000001", "-33.33333333"])
def test_a_cost_survives_being_told_as_an_average_price(cost: str) -> None:
    for quantity in (Decimal("0.03"), Decimal(7), Decimal("-999.99")):
        assert cost_of(BTC, quantity, Decimal(cost) / quantity) == Decimal(cost)
