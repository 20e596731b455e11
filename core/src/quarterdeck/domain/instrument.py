"""Owns what can be traded: an instrument and the filters its venue enforces on orders."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from quarterdeck.domain.amounts import ZERO, floor_to


class InstrumentKind(StrEnum):
    """What a holding of the instrument is."""

    SPOT = "SPOT"
    """The base currency itself; it can't be sold short."""
    LINEAR = "LINEAR"
    """A perpetual contract on the base, margined and settled in the quote currency."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable thing. Prices are in `quote` per unit of `base`, quantities in units of `base`.

    `symbol` is Quarterdeck's own id (lower case letters, digits and dashes, such as `btcusdt`); `venue_symbol` is the
    exchange's spelling. Rates are fractions: 0.00055 is 0.055 %. A `max_quantity` or `min_notional` of zero means that
    the venue states none. With `reduce_only` what is held can be taken back and nothing added: it is being delisted.
    """

    symbol: str
    venue_symbol: str
    kind: InstrumentKind
    base: str
    quote: str
    settle: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal = ZERO
    min_notional: Decimal = ZERO
    max_leverage: Decimal = Decimal(1)
    maintenance_margin_rate: Decimal = ZERO
    maker_fee_rate: Decimal = ZERO
    taker_fee_rate: Decimal = ZERO
    reduce_only: bool = False

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{self.symbol}: {name} must be above zero, was {getattr(self, name)}")

    def takes_in_kind(self, currency: str) -> bool:
        """Whether a fee in this currency comes out of what is traded itself."""
        return self.kind is InstrumentKind.SPOT and currency == self.base

    def closable(self, held: Decimal) -> Decimal:
        """How much of a holding an order can close. Of a pair, whose fees leave crumbs, whole lots; maybe none."""
        quantity = abs(held)
        if self.kind is not InstrumentKind.SPOT:
            return quantity
        lots = floor_to(quantity, self.lot_size)
        return lots if lots >= self.min_quantity else ZERO

    def is_crumbs(self, held: Decimal) -> bool:
        """Whether a holding is what a fee in kind has left: no whole lots, and too little to be sold."""
        return bool(held % self.lot_size) and not self.closable(held)
