"""Owns the instruments a simulator lists where nobody names others: filters and fees as Bybit has them."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.instrument import Instrument, InstrumentKind

_MAKER, _TAKER, _SPOT_FEE = Decimal("0.0002"), Decimal("0.00055"), Decimal("0.001")


def perpetual(base: str, tick: str, lot: str, most: str) -> Instrument:
    """A perpetual contract on a coin, settled in USDT."""
    return Instrument(
        f"{base.lower()}usdt", f"{base}USDT", InstrumentKind.LINEAR, base, "USDT", "USDT",
        Decimal(tick), Decimal(lot), Decimal(lot), Decimal(most), Decimal(5), Decimal(100),
        Decimal("0.005"), _MAKER, _TAKER,
    )  # fmt: skip


def spot(base: str, tick: str, lot: str, most: str) -> Instrument:
    """A coin against USDT."""
    return Instrument(
        f"{base.lower()}usdt-spot", f"{base}USDT", InstrumentKind.SPOT, base, "USDT", "USDT",
        Decimal(tick), Decimal(lot), Decimal(lot), Decimal(most), Decimal(1), Decimal(1),
        maker_fee_rate=_SPOT_FEE, taker_fee_rate=_SPOT_FEE,
    )  # fmt: skip


BTC = perpetual("BTC", "0.1", "0.001", "1190")
BTC_SPOT = spot("BTC", "0.01", "0.000001", "71")
ETH = perpetual("ETH", "0.01", "0.01", "7240")
ETH_SPOT = spot("ETH", "0.01", "0.00001", "1200")

#: By our names, each with a price that a made-up market begins at.
CATALOG: dict[str, tuple[Instrument, float]] = {
    BTC.symbol: (BTC, 50_000.0),
    BTC_SPOT.symbol: (BTC_SPOT, 50_000.0),
    ETH.symbol: (ETH, 2_500.0),
    ETH_SPOT.symbol: (ETH_SPOT, 2_500.0),
}
