"""A desk at a venue: it keeps the time, checks every report, and lets a test speak in prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import MINUTE, Candle, FundingRate, MarketEvent, Quote, Side, Trade
from quarterdeck.domain.order import OrderState, OrderTerms, OrderType
from quarterdeck.domain.report import Filled, Report
from quarterdeck.matching import Venue, VenueSettings
from quarterdeck.testing.reports import ReportReader

BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT, STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP

#: Round numbers and no fees, so that prices can be followed in the head.
BTC = Instrument(
    symbol="btcusdt",
    venue_symbol="BTCUSDT",
    kind=InstrumentKind.LINEAR,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.01"),
    min_quantity=Decimal("0.01"),
    max_quantity=Decimal(1_000),
    max_leverage=Decimal(50),
    maintenance_margin_rate=Decimal("0.01"),
)
ETH = replace(BTC, symbol="ethusdt", venue_symbol="ETHUSDT", base="ETH")
BTC_WITH_FEES = replace(BTC, maker_fee_rate=Decimal("0.0002"), taker_fee_rate=Decimal("0.00055"))
BTC_SPOT = replace(
    BTC_WITH_FEES,
    symbol="btcusdt-spot",
    kind=InstrumentKind.SPOT,
    max_leverage=Decimal(1),
    maintenance_margin_rate=Decimal(0),
)

_AMOUNTS = {"limit_price", "trigger_price", "trailing_distance", "stop_loss", "take_profit"}


class Desk:
    """One account at one venue. Minutes pass with candles; every report is read and checked."""

    def __init__(
        self,
        *instruments: Instrument,
        balances: Mapping[str, int | str] | None = None,
        **settings: Any,
    ) -> None:
        listed = instruments or (BTC,)
        money = {currency: Decimal(amount) for currency, amount in (balances or {"USDT": 10_000}).items()}
        self.settings = VenueSettings(**settings)
        self.venue = Venue(listed, money, self.settings)
        self.reader = ReportReader(listed, money)
        self.instruments = listed
        self.now = 0

    # --- requests

    def place(
        self,
        link_id: str,
        side: Side,
        quantity: float | str,
        kind: OrderType = MARKET,
        *,
        symbol: str = "btcusdt",
        **terms: Any,
    ) -> list[Report]:
        """Place an order; numbers may be written as they are read."""
        exact: dict[str, Any] = {
            name: Decimal(str(value)) if name in _AMOUNTS else value for name, value in terms.items()
        }
        asked = OrderTerms(symbol, side, kind, Decimal(str(quantity)), **exact)
        self.reader.sent(link_id, asked)
        return self._read(self.venue.place(link_id, asked, self.now))

    def cancel(self, link_id: str) -> list[Report]:
        return self._read(self.venue.cancel(link_id, self.now))

    def amend(self, link_id: str, **changes: float | str) -> list[Report]:
        exact = {name: Decimal(str(value)) for name, value in changes.items()}
        return self._read(self.venue.amend(link_id, self.now, **exact))

    # --- the market

    def show(self, event: MarketEvent) -> list[Report]:
        self.now = max(self.now, event.time)
        return self._read(self.venue.on_market(event))

    def candle(
        self, opened: float, high: float, low: float, closed: float, *, volume: float = 100, symbol: str = "btcusdt"
    ) -> list[Report]:
        """The next minute."""
        prices = map(float, (opened, high, low, closed, volume))
        return self.show(Candle(symbol, MINUTE, self.now, *prices))

    def quote(
        self, bid: float, ask: float, *, bid_size: float = 100, ask_size: float = 100, symbol: str = "btcusdt"
    ) -> list[Report]:
        """A quote one second later."""
        time = self.now + 1_000_000_000
        return self.show(Quote(symbol, time, float(bid), float(bid_size), float(ask), float(ask_size)))

    def trade(self, price: float, *, size: float = 100, symbol: str = "btcusdt") -> list[Report]:
        """A trade one second later."""
        return self.show(Trade(symbol, self.now + 1_000_000_000, float(price), float(size), BUY))

    def funding(self, rate: float, *, symbol: str = "btcusdt") -> list[Report]:
        return self.show(FundingRate(symbol, self.now, rate))

    # --- what came of it

    def _read(self, reports: Sequence[Report]) -> list[Report]:
        for report in reports:
            self.reader.read(report)
        return list(reports)

    def state(self, link_id: str) -> OrderState:
        order = self.venue.find_order(link_id)
        assert order is not None, f"{link_id} is unknown to the venue"
        assert order.state is self.reader.orders[link_id].state, f"{link_id}: the reports tell another story"
        return order.state

    def position(self, symbol: str = "btcusdt") -> Decimal:
        held = {position.symbol: position.quantity for position in self.venue.positions()}
        assert held.get(symbol, 0) == self.reader.quantity(symbol), "the fills add up to something else"
        return held.get(symbol, Decimal(0))

    def balance(self, currency: str = "USDT") -> Decimal:
        balance = self.venue.balances().get(currency, Decimal(0))
        assert balance == self.reader.ledger.wallet(currency), "the postings add up to something else"
        return balance


def trades(reports: Sequence[Report]) -> list[tuple[str, Decimal, Decimal]]:
    """What traded: link id, quantity, price."""
    return [(report.link_id, report.quantity, report.price) for report in reports if isinstance(report, Filled)]


def prices(reports: Sequence[Report]) -> dict[str, Decimal]:
    """Price of the only trade of each order."""
    found = trades(reports)
    assert len({link_id for link_id, _, _ in found}) == len(found), f"more than one trade of an order: {found}"
    return {link_id: price for link_id, _, price in found}


def only_fill(reports: Sequence[Report]) -> Filled:
    """The only trade."""
    [fill] = [report for report in reports if isinstance(report, Filled)]
    return fill


def kinds(reports: Sequence[Report]) -> list[str]:
    """The reports by name."""
    return [type(report).__name__ for report in reports]


def reason(reports: Sequence[Report]) -> str:
    """Why the last report says no."""
    return str(getattr(reports[-1], "reason", f"no reason in {reports[-1]}"))
