"""Made-up histories of a venue: random orders, cancels, amendments and market events on a small grid of prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from hypothesis import strategies as st

from core.tests.matching.desk import BTC_SPOT, BTC_WITH_FEES
from quarterdeck.domain.market import MINUTE, SECOND, Candle, FundingRate, MarketEvent, Quote, Side, Trade
from quarterdeck.domain.order import LIMIT_TYPES, TRIGGER_TYPES, OrderTerms, OrderType, TimeInForce
from quarterdeck.domain.report import Report
from quarterdeck.matching import (
    BasisPoints,
    FixedFunding,
    FixedTicks,
    Latency,
    LimitFill,
    NoSlippage,
    Venue,
    VenueSettings,
    VolumeImpact,
)
from quarterdeck.testing.reports import ReportReader

INSTRUMENTS = (
    replace(BTC_WITH_FEES, maintenance_margin_rate=Decimal("0.02")),
    replace(BTC_WITH_FEES, symbol="ethusdt", base="ETH", maintenance_margin_rate=Decimal("0.01")),
    BTC_SPOT,
)
BALANCES = {"USDT": Decimal(300), "BTC": Decimal(2)}
_SYMBOLS = [instrument.symbol for instrument in INSTRUMENTS]
T = TypeVar("T")

_QUANTITIES = [Decimal(text) for text in ("0.01", "0.5", "1", "3", "10")]
_VOLUMES = [0.0, 0.5, 2.0, 1000.0]


@dataclass(frozen=True)
class Place:
    terms: OrderTerms


@dataclass(frozen=True)
class Cancel:
    which: int
    """Which of the open orders."""


@dataclass(frozen=True)
class Amend:
    which: int
    quantity: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None


Step = Place | Cancel | Amend | Callable[[int], MarketEvent]


class _Digits:
    """A number as a sequence of choices. One draw makes a whole step, which keeps long histories cheap."""

    def __init__(self, number: int) -> None:
        self._number = number

    def below(self, count: int) -> int:
        self._number, choice = divmod(self._number, count)
        return choice

    def of(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def price(self, low: int = 85, high: int = 115) -> Decimal:
        return low + Decimal(self.below(2 * (high - low) + 1)) / 2


def _step(number: int) -> Step:
    digits = _Digits(number)
    return digits.of([_order, _candle, _order, _quote, _trade, _order, _candle, _cancel, _amend, _funding])(digits)


def _order(digits: _Digits) -> Step:
    kind, side = digits.of(list(OrderType)), digits.of(list(Side))
    limited, protected = kind in LIMIT_TYPES, digits.below(2) == 1
    forces = list(TimeInForce) if limited else [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]
    low, high = digits.price(85, 98), digits.price(102, 115)
    stop, target = (low, high) if side is Side.BUY else (high, low)
    return Place(
        OrderTerms(
            digits.of(_SYMBOLS),
            side,
            kind,
            digits.of(_QUANTITIES),
            digits.price(95, 105) if limited else None,
            digits.price(95, 105) if kind in TRIGGER_TYPES else None,
            digits.of([Decimal(1), Decimal(5)]) if kind is OrderType.TRAILING_STOP else None,
            digits.of([TimeInForce.GTC, TimeInForce.GTC, *forces]),
            reduce_only=not protected and digits.below(3) == 1,
            stop_loss=stop if protected else None,
            take_profit=target if protected and digits.below(2) else None,
        ),
    )


def _candle(digits: _Digits) -> Step:
    symbol, volume = digits.of(_SYMBOLS), digits.of(_VOLUMES)
    drawn = [float(digits.price()) for _ in range(4)]
    return lambda now: Candle(symbol, MINUTE, now, drawn[0], max(drawn), min(drawn), drawn[1], volume)


def _quote(digits: _Digits) -> Step:
    symbol, bid, spread = digits.of(_SYMBOLS), float(digits.price()), digits.of([0.0, 0.5, 3.0])
    bid_size, ask_size = digits.of(_VOLUMES), digits.of(_VOLUMES)
    return lambda now: Quote(symbol, now + SECOND, bid, bid_size, bid + spread, ask_size)


def _trade(digits: _Digits) -> Step:
    symbol, price, size = digits.of(_SYMBOLS), float(digits.price()), digits.of(_VOLUMES)
    return lambda now: Trade(symbol, now + SECOND, price, size, Side.BUY)


def _funding(digits: _Digits) -> Step:
    symbol, rate = digits.of(_SYMBOLS), digits.of([0.0001, -0.003, 0.02])
    return lambda now: FundingRate(symbol, now, rate)


def _cancel(digits: _Digits) -> Step:
    return Cancel(digits.below(100))


def _amend(digits: _Digits) -> Step:
    which = digits.below(100)
    quantity, limit_price, trigger_price = digits.of(_QUANTITIES), digits.price(), digits.price()
    asked = digits.of([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)])
    return Amend(
        which,
        quantity if asked[0] else None,
        limit_price if asked[1] else None,
        trigger_price if asked[2] else None,
    )


settings = st.builds(
    VenueSettings,
    slippage=st.sampled_from(
        [NoSlippage(), FixedTicks(1), BasisPoints(Decimal(7)), VolumeImpact(Decimal("0.02"))],
    ),
    latency=st.sampled_from([Latency(), Latency(fixed=SECOND), Latency(fixed=SECOND, jitter=30 * SECOND, seed=1)]),
    limit_fill=st.sampled_from(LimitFill),
    participation=st.sampled_from([None, None, Decimal("0.5")]),
    default_leverage=st.sampled_from([Decimal(2), Decimal(10), Decimal(50)]),
    funding=st.sampled_from([None, FixedFunding(Decimal("0.001"), interval=10 * MINUTE)]),
)
steps = st.lists(st.integers(0, 2**80).map(_step), min_size=12, max_size=50)
histories = st.tuples(settings, steps)


class Run:
    """A venue that is taken through steps. Every report is checked as it comes."""

    def __init__(self, venue_settings: VenueSettings) -> None:
        self.settings = venue_settings
        self.venue = Venue(INSTRUMENTS, BALANCES, venue_settings)
        self.reader = ReportReader(INSTRUMENTS, BALANCES)
        self.reports: list[Report] = []
        self.now = 0
        for symbol in _SYMBOLS:
            self.venue.on_market(Quote(symbol, 0, 100.0, 1.0, 100.0, 1.0))

    def take(self, todo: Sequence[Step], after_each: Callable[[Run], None] = lambda _: None) -> Run:
        for step in todo:
            for report in self._take(step):
                self.reader.read(report)
                self.reports.append(report)
            after_each(self)
        return self

    def _take(self, step: Step) -> Sequence[Report]:
        if isinstance(step, Place):
            link_id = f"o{len(self.reader.orders)}"
            self.reader.sent(link_id, step.terms)
            return self.venue.place(link_id, step.terms, self.now)
        if isinstance(step, Cancel):
            return self.venue.cancel(self._name(step.which), self.now)
        if isinstance(step, Amend):
            return self.venue.amend(
                self._name(step.which),
                self.now,
                quantity=step.quantity,
                limit_price=step.limit_price,
                trigger_price=step.trigger_price,
            )
        event = step(self.now)
        self.now = max(self.now, event.time)
        return self.venue.on_market(event)

    def _name(self, which: int) -> str:
        known = [link_id for link_id, order in self.reader.orders.items() if order.is_open]
        return known[which % len(known)] if known else "nobody"
