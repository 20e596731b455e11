"""Owns what can be traded on the paper exchange: the instruments listed by default, and tables that add or change some.

Filters and fees of the default list resemble Bybit's for an account without discounts; they are not kept up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.plugin import Settings

_SPOT_SUFFIX = "-spot"
_PERPETUAL_FEES = Decimal("0.0002"), Decimal("0.00055")  # maker, taker
_SPOT_FEES = Decimal("0.001"), Decimal("0.001")

Positive = Annotated[Decimal, Field(gt=0)]
NotNegative = Annotated[Decimal, Field(ge=0)]
Rate = Annotated[Decimal, Field(gt=-1, lt=1)]


class InstrumentTable(Settings):
    """An instrument to add, or what to change of one that is listed. What is not given stays as it is."""

    kind: Literal["spot", "linear"] | None = None
    venue_symbol: str | None = None
    base: str | None = None
    quote: str | None = None
    tick_size: Positive | None = None
    lot_size: Positive | None = None
    min_quantity: NotNegative | None = None
    max_quantity: NotNegative | None = None
    min_notional: NotNegative | None = None
    max_leverage: Annotated[Decimal, Field(ge=1)] | None = None
    maintenance_margin_rate: Annotated[Decimal, Field(ge=0, lt=1)] | None = None
    maker_fee_rate: Rate | None = None
    taker_fee_rate: Rate | None = None


def list_instruments(
    tables: Mapping[str, InstrumentTable],
    maker_fee_rate: Decimal | None = None,
    taker_fee_rate: Decimal | None = None,
) -> tuple[Instrument, ...]:
    """The default list with `tables` applied; a fee rate given here holds for all that have none in their table.

    Raises:
        ValueError: a new instrument lacks its tick or lot size, or its currencies can't be told from its symbol.
    """
    listed = dict(_DEFAULT)
    for symbol, table in tables.items():
        if symbol not in listed:
            listed[symbol] = _new(symbol, table)
    nothing = InstrumentTable()
    return tuple(
        _changed(_with_fees(instrument, maker_fee_rate, taker_fee_rate), tables.get(symbol, nothing))
        for symbol, instrument in listed.items()
    )


def _with_fees(instrument: Instrument, maker: Decimal | None, taker: Decimal | None) -> Instrument:
    return replace(
        instrument,
        maker_fee_rate=instrument.maker_fee_rate if maker is None else maker,
        taker_fee_rate=instrument.taker_fee_rate if taker is None else taker,
    )


def _new(symbol: str, table: InstrumentTable) -> Instrument:
    if table.tick_size is None or table.lot_size is None:
        raise ValueError(f"instruments.{symbol}: it is not listed by default, so it needs tick_size and lot_size")
    venue_symbol = table.venue_symbol or symbol.removesuffix(_SPOT_SUFFIX).upper()
    quote = table.quote or "USDT"
    base = table.base or venue_symbol.removesuffix(quote)
    if not base or (table.base is None and base == venue_symbol):
        raise ValueError(f"instruments.{symbol}: {venue_symbol} does not end with {quote}; give base and quote")
    spot = table.kind == "spot" or (table.kind is None and symbol.endswith(_SPOT_SUFFIX))
    make = _spot if spot else _perpetual
    return replace(make(base, table.tick_size, table.lot_size, symbol=symbol), venue_symbol=venue_symbol, quote=quote)


def _changed(instrument: Instrument, table: InstrumentTable) -> Instrument:
    changes = {name: value for name, value in table.model_dump().items() if value is not None}
    if "kind" in changes:
        changes["kind"] = InstrumentKind(changes["kind"].upper())
    if "quote" in changes:
        changes["settle"] = changes["quote"]
    return Instrument(**(asdict(instrument) | changes))


def _perpetual(
    base: str,
    tick_size: Decimal,
    lot_size: Decimal,
    *,
    symbol: str = "",
    max_quantity: Decimal = Decimal(0),
    max_leverage: Decimal = Decimal(25),
    maintenance_margin_rate: Decimal = Decimal("0.02"),
) -> Instrument:
    return Instrument(
        symbol=symbol or f"{base.lower()}usdt",
        venue_symbol=f"{base}USDT",
        kind=InstrumentKind.LINEAR,
        base=base,
        quote="USDT",
        settle="USDT",
        tick_size=tick_size,
        lot_size=lot_size,
        min_quantity=lot_size,
        max_quantity=max_quantity,
        min_notional=Decimal(5),
        max_leverage=max_leverage,
        maintenance_margin_rate=maintenance_margin_rate,
        maker_fee_rate=_PERPETUAL_FEES[0],
        taker_fee_rate=_PERPETUAL_FEES[1],
    )


def _spot(
    base: str, tick_size: Decimal, lot_size: Decimal, *, symbol: str = "", max_quantity: Decimal = Decimal(0)
) -> Instrument:
    return Instrument(
        symbol=symbol or f"{base.lower()}usdt{_SPOT_SUFFIX}",
        venue_symbol=f"{base}USDT",
        kind=InstrumentKind.SPOT,
        base=base,
        quote="USDT",
        settle="USDT",
        tick_size=tick_size,
        lot_size=lot_size,
        min_quantity=lot_size,
        max_quantity=max_quantity,
        min_notional=Decimal(5),
        maker_fee_rate=_SPOT_FEES[0],
        taker_fee_rate=_SPOT_FEES[1],
    )


def _by_symbol(*instruments: Instrument) -> dict[str, Instrument]:
    return {instrument.symbol: instrument for instrument in instruments}


_DEFAULT = _by_symbol(
    _perpetual(
        "BTC",
        Decimal("0.1"),
        Decimal("0.001"),
        max_quantity=Decimal(1_190),
        max_leverage=Decimal(100),
        maintenance_margin_rate=Decimal("0.005"),
    ),
    _perpetual(
        "ETH",
        Decimal("0.01"),
        Decimal("0.01"),
        max_quantity=Decimal(7_240),
        max_leverage=Decimal(100),
        maintenance_margin_rate=Decimal("0.005"),
    ),
    _perpetual(
        "SOL",
        Decimal("0.01"),
        Decimal("0.1"),
        max_quantity=Decimal(79_770),
        max_leverage=Decimal(50),
        maintenance_margin_rate=Decimal("0.01"),
    ),
    _perpetual(
        "XRP",
        Decimal("0.0001"),
        Decimal("0.1"),
        max_quantity=Decimal(2_500_000),
        max_leverage=Decimal(50),
        maintenance_margin_rate=Decimal("0.01"),
    ),
    _spot("BTC", Decimal("0.01"), Decimal("0.000001"), max_quantity=Decimal(71)),
    _spot("ETH", Decimal("0.01"), Decimal("0.00001"), max_quantity=Decimal(1_200)),
)
