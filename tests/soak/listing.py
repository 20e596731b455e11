"""Owns what a soak trades: the catalog of the simulator and two perpetuals more, each with the price it begins at."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck_bybit_simulator.catalog import CATALOG, perpetual

LISTING = {
    "btcusdt": CATALOG["btcusdt"],
    "ethusdt": CATALOG["ethusdt"],
    "btcusdt-spot": CATALOG["btcusdt-spot"],
    "solusdt": (perpetual("SOL", "0.01", "0.1", "79770"), 150.0),
    "xrpusdt": (perpetual("XRP", "0.0001", "0.1", "1964655"), 2.5),
}
SYMBOLS = tuple(LISTING)


def about(symbol: str, worth: float) -> str:
    """A quantity of an instrument that is worth about so much where its market begins."""
    instrument, price = LISTING[symbol]
    lots = max(round(worth / price / float(instrument.lot_size)), 1)
    return f"{Decimal(lots) * instrument.lot_size:f}"
