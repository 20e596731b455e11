"""Owns the instruments Bybit lists: their filters, and the way between Bybit's names and ours.

Bybit's `BTCUSDT` is two things: the linear perpetual, `btcusdt` here, and the spot pair, `btcusdt-spot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck_exchange_bybit.codec.row import Malformed, Row

LINEAR = "linear"
SPOT = "spot"

_SPOT_SUFFIX = "-spot"
_KINDS = {LINEAR: InstrumentKind.LINEAR, SPOT: InstrumentKind.SPOT}
_CATEGORIES = {kind: category for category, kind in _KINDS.items()}

#: The contract types of what Bybit calls linear that have no end date.
_PERPETUAL = "LinearPerpetual"
_TRADING = "Trading"


def category_of(kind: InstrumentKind) -> str:
    """What Bybit calls a kind of instrument."""
    return _CATEGORIES[kind]


def symbol_of(category: str, venue_symbol: str) -> str:
    """Our name for what Bybit lists; its characters are made fit for ours."""
    plain = "".join(each if each.isalnum() else "-" for each in venue_symbol.lower())
    return plain + _SPOT_SUFFIX if category == SPOT else plain


def category_in(symbol: str) -> str:
    """What Bybit calls the kind of what our name stands for."""
    return SPOT if symbol.endswith(_SPOT_SUFFIX) else LINEAR


def venue_symbol_of(symbol: str) -> str:
    """Bybit's name for what ours stands for, as far as ours keeps it."""
    return symbol.removesuffix(_SPOT_SUFFIX).upper()


class Listing:
    """What can be traded, found by either name."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_symbol: dict[str, Instrument] = {}
        self._by_venue: dict[tuple[str, str], Instrument] = {}
        self.update(instruments)

    def update(self, instruments: Iterable[Instrument]) -> None:
        """Know these by other rules than before."""
        for one in instruments:
            self._by_symbol[one.symbol] = self._by_venue[category_of(one.kind), one.venue_symbol] = one

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_symbol.values())

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._by_symbol

    def __getitem__(self, symbol: str) -> Instrument:
        """By our name. Raises KeyError."""
        return self._by_symbol[symbol]

    @property
    def categories(self) -> tuple[str, ...]:
        """Bybit's categories of what is traded."""
        return tuple(sorted({category for category, _ in self._by_venue}))

    def find(self, category: str, venue_symbol: str) -> Instrument | None:
        """By Bybit's name; None for what is not traded here."""
        return self._by_venue.get((category, venue_symbol))

    def of(self, row: Row, category: str = "") -> Instrument:
        """The instrument a row is about; most rows of the streams name their category themselves.

        Raises:
            Malformed: it is none of ours.
        """
        venue_symbol = row.text("symbol")
        found = self.find(category or row.text("category"), venue_symbol)
        if found is None:
            raise Malformed(f"{row.where}.symbol", venue_symbol, "an instrument that is traded here")
        return found


def read_instrument(row: Row, category: str) -> Instrument | None:
    """One row of instruments-info; None for what can't be traded here: futures with an end, pre-listings, halts.

    Fees are the account's and come from elsewhere; zero here.
    """
    if row.text("status") != _TRADING or (category == LINEAR and row.text("contractType") != _PERPETUAL):
        return None
    venue_symbol, base, quote = row.text("symbol"), row.text("baseCoin"), row.text("quoteCoin")
    lots, prices = row.row("lotSizeFilter"), row.row("priceFilter")
    if category == SPOT:
        settle, lot, least = quote, lots.positive("basePrecision"), lots.number_or("minOrderAmt")
        leverage = Decimal(1)
        most = _smallest(lots, "maxMarketOrderQty", "maxLimitOrderQty", "maxOrderQty")
    else:
        settle, lot, least = row.text("settleCoin"), lots.positive("qtyStep"), lots.number_or("minNotionalValue")
        leverage = row.row("leverageFilter").positive("maxLeverage")
        most = _smallest(lots, "maxMktOrderQty", "maxOrderQty")
    return Instrument(
        symbol=symbol_of(category, venue_symbol),
        venue_symbol=venue_symbol,
        kind=_KINDS[category],
        base=base,
        quote=quote,
        settle=settle,
        tick_size=prices.positive("tickSize"),
        lot_size=lot,
        min_quantity=max(lots.number_or("minOrderQty") or lot, lot),
        max_quantity=most,
        min_notional=least or Decimal(0),
        max_leverage=leverage,
    )


def _smallest(row: Row, *names: str) -> Decimal:
    """The tightest of several limits; zero if none is stated."""
    stated = [value for name in names if (value := row.number_or(name))]
    return min(stated, default=Decimal(0))
