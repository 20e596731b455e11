from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest

from quarterdeck.domain.market import MINUTE, SECOND, Candle, Quote, Side
from quarterdeck.domain.order import OrderState, OrderTerms, OrderType
from quarterdeck.domain.report import Acked, Amended, Canceled, ChildOpened, Filled, Opened, Rejected, Report, Triggered
from quarterdeck.plugin import (
    CancelOrder,
    ConfigError,
    EmbeddedExchange,
    PlaceOrder,
    VenueAccount,
    VenueOrder,
    VenuePosition,
)
from quarterdeck.testing.checks import money_arithmetic
from quarterdeck_exchange_paper import PaperExchange, PaperSettings

BTC = "btcusdt"


@pytest.fixture(autouse=True)
def money() -> Iterator[None]:
    with money_arithmetic():
        yield


def quote(second: int, price: float) -> Quote:
    return Quote(BTC, second * SECOND, price, 10.0, price, 10.0)


def market(side: Side, quantity: str, **terms: Decimal | None) -> OrderTerms:
    return OrderTerms(BTC, side, OrderType.MARKET, Decimal(quantity), **terms)  # type: ignore[arg-type]  # prices only


def limit(price: int) -> OrderTerms:
    return OrderTerms(BTC, Side.BUY, OrderType.LIMIT, Decimal("0.01"), limit_price=Decimal(price))


def test_it_is_an_embedded_exchange() -> None:
    assert isinstance(PaperExchange(PaperSettings()), EmbeddedExchange)


async def test_what_follows_is_delivered_after_the_outcome() -> None:
    exchange, told = PaperExchange(PaperSettings()), list[Report]()
    await exchange.open(told.append)
    exchange.on_market(quote(1, 50_000))
    outcome = await exchange.place(PlaceOrder("a", market(Side.BUY, "0.01")))
    assert outcome == Acked("a", "x-a", SECOND)
    assert told == []
    exchange.on_market(quote(2, 50_000))
    assert [type(report) for report in told] == [Filled]


async def test_an_order_that_works_at_once_is_answered_so() -> None:
    exchange, told = PaperExchange(PaperSettings()), list[Report]()
    await exchange.open(told.append)
    exchange.on_market(quote(1, 50_000))
    assert await exchange.place(PlaceOrder("a", limit(49_000))) == Opened("a", "x-a", SECOND)
    await asyncio.sleep(0)
    assert told == []


async def test_the_market_does_not_overtake_what_is_waiting() -> None:
    exchange, told = PaperExchange(PaperSettings()), list[Report]()
    await exchange.open(told.append)
    exchange.on_market(quote(1, 50_000))
    await exchange.place(PlaceOrder("a", limit(49_000)))
    exchange.on_market(quote(2, 48_000))
    assert [type(report) for report in told] == [Filled]


async def test_a_cancel_is_reported_at_once_and_in_order() -> None:
    exchange, told = PaperExchange(PaperSettings()), list[Report]()
    await exchange.open(told.append)
    exchange.on_market(quote(1, 50_000))
    await exchange.place(PlaceOrder("a", limit(49_000)))
    await exchange.cancel(CancelOrder("a", BTC))
    assert [type(report) for report in told] == [Canceled]


async def test_a_refusal_is_an_outcome_and_no_report() -> None:
    exchange, told = PaperExchange(PaperSettings()), list[Report]()
    await exchange.open(told.append)
    outcome = await exchange.place(PlaceOrder("a", market(Side.BUY, "0.01")))
    await asyncio.sleep(0)
    assert outcome == Rejected("a", "NO_PRICE", 0)
    assert told == []


async def test_a_candle_is_traded_before_anybody_can_react_to_it() -> None:
    exchange, told = PaperExchange(PaperSettings(maker_fee_rate=Decimal(0), taker_fee_rate=Decimal(0))), list[Report]()
    await exchange.open(told.append)
    exchange.on_market(Candle(BTC, MINUTE, 0, 50_000.0, 50_000.0, 50_000.0, 50_000.0, 1.0))
    await exchange.place(PlaceOrder("a", market(Side.BUY, "0.1", stop_loss=Decimal(49_000))))
    exchange.on_market(Candle(BTC, MINUTE, MINUTE, 50_100.0, 50_200.0, 48_000.0, 49_500.0, 1.0))
    assert [type(report) for report in told] == [Filled, ChildOpened, Triggered, Filled]
    assert await exchange.balances() == {"USDT": Decimal(10_000) - Decimal("0.1") * 1_100}


async def test_a_restored_account_is_exact() -> None:
    """The average price was rounded to 34 digits on the way; the cost behind it is found again."""
    account = VenueAccount(
        balances={"USDT": Decimal("12345.67890123")},
        positions=[VenuePosition(BTC, Decimal("0.003"), Decimal("150000.1") / 3)],
        orders=[
            VenueOrder("a", "x-a", limit(40_000), OrderState.OPEN, Decimal("0.004")),
            VenueOrder(
                "t-sl",
                "x-t-sl",
                OrderTerms(
                    BTC,
                    Side.SELL,
                    OrderType.TRAILING_STOP,
                    Decimal("0.003"),
                    trigger_price=Decimal(48_000),
                    trailing_distance=Decimal(1_000),
                    reduce_only=True,
                ),
                OrderState.ACKED,
                Decimal(0),
                "t",
            ),
        ],
        next_trade_number=17,
    )
    exchange, told = PaperExchange(PaperSettings(taker_fee_rate=Decimal(0))), list[Report]()
    exchange.restore(account)
    await exchange.open(told.append)
    assert [type(report) for report in told] == [Opened]  # it had been acknowledged, but not said to be open
    assert await exchange.balances() == account.balances
    assert await exchange.positions() == account.positions
    told.clear()
    exchange.on_market(quote(1, 50_000))
    assert told == [Amended("t-sl", SECOND, trigger_price=Decimal(49_000))]
    told.clear()
    exchange.on_market(quote(2, 49_000))
    fill = told[-1]
    assert isinstance(fill, Filled)
    assert (fill.link_id, fill.trade_id) == ("t-sl", "17")
    # Cost 150.0001, sold for 0.003 * 49 000 = 147.
    assert await exchange.balances() == {"USDT": Decimal("12345.67890123") - Decimal("3.0001")}
    exchange.on_market(quote(3, 39_000))
    assert [(p.symbol, p.quantity) for p in await exchange.positions()] == [(BTC, Decimal("0.006"))]


async def test_what_is_held_has_to_be_listed() -> None:
    exchange = PaperExchange(PaperSettings())
    account = VenueAccount({"USDT": Decimal(1)}, [VenuePosition("dogeusdt", Decimal(1), Decimal(1))])
    with pytest.raises(ConfigError, match="dogeusdt is held or being traded"):
        exchange.restore(account)


async def test_questions_are_of_one_instrument() -> None:
    exchange = PaperExchange(PaperSettings())
    exchange.on_market(quote(1, 50_000))
    await exchange.place(PlaceOrder("a", market(Side.BUY, "0.01")))
    exchange.on_market(quote(2, 50_000))
    assert await exchange.find_order("a", "ethusdt") is None
    assert await exchange.fills("a", "ethusdt") == []
    assert [fill.quantity for fill in await exchange.fills("a", BTC)] == [Decimal("0.01")]
    assert {one.symbol for one in await exchange.instruments()} >= {BTC, "ethusdt-spot"}
