"""Owns the feed's settings: whose market is followed, and what of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from quarterdeck.plugin import Settings
from quarterdeck.plugin.fields import interval_ns
from quarterdeck_exchange_bybit.codec.words import INTERVAL_WORDS
from quarterdeck_exchange_bybit.market.listener import TOP
from quarterdeck_exchange_bybit.settings import Environment, Site


class BybitFeedSettings(Settings):
    """`[feed.settings]` of a daemon that lives on Bybit's market."""

    environment: Environment = Environment.LIVE
    """Whose market. The demo's is the live one."""
    symbols: Annotated[tuple[str, ...], Field(min_length=1, max_length=200)]
    intervals: Annotated[tuple[str, ...], Field(min_length=1)] = ("1m",)
    """Candle lengths, such as `1m`, `5m`, `1h`; those that Bybit makes."""
    history: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Candles of each kind fetched at the start, for strategies to warm up on."""
    quotes: bool = True
    """Whether the best bid and ask are followed, too."""
    depth: Literal[1, 50, 200, 500, 1000] = 1
    """Levels of the order book that are followed. With 1 there are quotes, and no book."""
    tickers: bool = True
    """Whether mark price, index, funding rate and open interest of perpetuals are followed."""
    trades: bool = False
    """Whether every trade on the tape is followed."""
    bad_print_band: Annotated[float, Field(gt=0, le=1)] = 0.1
    """How far a price may jump, as a part of it, before it is held back until others confirm it."""
    simulator: Site | None = None
    """Stands in for Bybit, on this machine only."""

    @field_validator("intervals")
    @classmethod
    def _are_made(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if interval_ns(text) not in INTERVAL_WORDS:
                raise ValueError(f"{text!r} is no candle that Bybit makes")
        return value

    @property
    def depths(self) -> tuple[int, ...]:
        """Of the order book's topics: quotes come from the quickest."""
        top = (TOP,) if self.quotes else ()
        return top if self.depth == TOP else (*top, self.depth)
