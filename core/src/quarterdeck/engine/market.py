"""Owns what was last seen on the market: prices, and what positions are valued at. Observations, never journaled."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.amounts import from_observation


class Market:
    """The latest price per instrument, as seen and as an exact number."""

    __slots__ = ("_exact", "_values", "prices", "version")

    def __init__(self) -> None:
        self.prices: dict[str, float] = {}
        self.version = 0
        """Rises with every price; what was valued at one version holds while it stays."""
        self._exact: dict[str, tuple[float, Decimal]] = {}
        self._values: dict[str, Decimal] = {}

    def see(self, symbol: str, price: float) -> None:
        """Take note of a price."""
        self.prices[symbol] = price
        self.version += 1

    def value(self, symbol: str, price: float | None) -> None:
        """Take note of what the venue itself values an instrument at; None when it does not say any more."""
        if price is None:
            self._values.pop(symbol, None)
        else:
            self._values[symbol] = from_observation(price)
        self.version += 1

    def worth(self, symbol: str) -> Decimal | None:
        """What positions are valued at: the venue's mark price, the latest price where it states none."""
        return self._values.get(symbol) or self.mark(symbol)

    def mark(self, symbol: str) -> Decimal | None:
        """The latest price as a decimal; None before the first observation."""
        seen = self.prices.get(symbol)
        if seen is None:
            return None
        exact = self._exact.get(symbol)
        if exact is None or exact[0] != seen:
            exact = self._exact[symbol] = (seen, from_observation(seen))
        return exact[1]
