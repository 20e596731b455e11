"""Owns stand-ins for what deciders are shown: an account you fill in by hand, and instruments to trade on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.risk import TradingState

#: A perpetual with the filters and fees of a large venue.
BTCUSDT = Instrument(
    symbol="btcusdt",
    venue_symbol="BTCUSDT",
    kind=InstrumentKind.LINEAR,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1_190),
    min_notional=Decimal(5),
    max_leverage=Decimal(100),
    maintenance_margin_rate=Decimal("0.005"),
    maker_fee_rate=Decimal("0.0002"),
    taker_fee_rate=Decimal("0.00055"),
)

#: A coin worth so little that its price has more places than digits.
PEPEUSDT_SPOT = Instrument(
    symbol="pepeusdt-spot",
    venue_symbol="PEPEUSDT",
    kind=InstrumentKind.SPOT,
    base="PEPE",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.0000000001"),
    lot_size=Decimal("0.1"),
    min_quantity=Decimal("0.1"),
    maker_fee_rate=Decimal("0.001"),
    taker_fee_rate=Decimal("0.001"),
)

_TEN_THOUSAND = Decimal(10_000)


@dataclass(slots=True)
class FakeView:
    """An account as deciders see it, in which everything can be set. Implements `domain.deciders.AccountView`.

    Untouched, it is flat, holds 10 000 and has seen no price. `open_positions` and `exposure_notional` follow from
    `positions`, `pending` and `marks`, so a test can't contradict itself; what has no mark counts nothing there.
    """

    now: int = 1_700_000_000_000_000_000
    trading_state: TradingState = TradingState.ACTIVE
    wallet: Decimal = _TEN_THOUSAND
    equity: Decimal = _TEN_THOUSAND
    day_start_equity: Decimal = _TEN_THOUSAND
    peak_equity: Decimal = _TEN_THOUSAND
    instruments: Sequence[Instrument] = (BTCUSDT, PEPEUSDT_SPOT)
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    positions: Mapping[str, Decimal] = field(default_factory=dict)
    """Signed quantities held, by symbol."""
    pending: Mapping[str, Decimal] = field(default_factory=dict)
    """Signed quantities of entries that may still fill, by symbol."""
    open_risks: Mapping[str, Decimal] = field(default_factory=dict)
    entry_times: Sequence[int] = ()
    """When entries were approved, in nanoseconds."""

    @property
    def open_positions(self) -> int:
        """Instruments with a position or an entry that may still fill."""
        return sum(self.is_held_or_pending(symbol) for symbol in {*self.positions, *self.pending})

    @property
    def exposure_notional(self) -> Decimal:
        """Absolute notional of all positions and pending entries at their marks."""
        total = ZERO
        for quantities in (self.positions, self.pending):
            for symbol, quantity in quantities.items():
                total += abs(quantity) * self.marks.get(symbol, ZERO)
        return total

    def instrument(self, symbol: str) -> Instrument | None:
        """An instrument by id."""
        return next((known for known in self.instruments if known.symbol == symbol), None)

    def mark(self, symbol: str) -> Decimal | None:
        """Latest price seen, or None before the first observation."""
        return self.marks.get(symbol)

    def position_quantity(self, symbol: str) -> Decimal:
        """Signed position of the account in an instrument."""
        return self.positions.get(symbol, ZERO)

    def pending_quantity(self, symbol: str) -> Decimal:
        """Signed quantity of entries that may still fill."""
        return self.pending.get(symbol, ZERO)

    def open_risk(self, symbol: str) -> Decimal:
        """Settle currency lost if every position and pending entry of the instrument ran to its stop."""
        return self.open_risks.get(symbol, ZERO)

    def is_held_or_pending(self, symbol: str) -> bool:
        """Whether the instrument counts among `open_positions`."""
        return bool(self.position_quantity(symbol) or self.pending_quantity(symbol))

    def entries_since(self, time: int) -> int:
        """How many entry orders were approved at or after `time`."""
        return sum(entered >= time for entered in self.entry_times)
