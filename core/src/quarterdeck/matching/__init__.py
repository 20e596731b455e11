"""A venue as a pure fold: the same orders and the same market data always give the same reports.

Owns what an exchange does with an order: when it fills, at what price and fee, what margin it needs, when positions are
liquidated. Paper trading, backtests and simulations share it. Must not know: clocks, randomness, files, networks, the
exchange interface of plugins. Money is exact; compute in a thread that called `domain.amounts.use_money_context`.

Reading order: settings, reasons, order, ladder, book, account, filters, execution, protection, path, matcher, snapshot,
venue. The last is the way in; the others are its parts.
"""

from quarterdeck.matching.order import exchange_order_id
from quarterdeck.matching.reasons import Reason
from quarterdeck.matching.settings import (
    BasisPoints,
    FixedFunding,
    FixedTicks,
    Latency,
    LimitFill,
    NoSlippage,
    Slippage,
    VenueSettings,
    VolumeImpact,
)
from quarterdeck.matching.snapshot import OrderSnapshot, PositionSnapshot, VenueSnapshot, cost_of
from quarterdeck.matching.venue import Venue

__all__ = [
    "BasisPoints",
    "FixedFunding",
    "FixedTicks",
    "Latency",
    "LimitFill",
    "NoSlippage",
    "OrderSnapshot",
    "PositionSnapshot",
    "Reason",
    "Slippage",
    "Venue",
    "VenueSettings",
    "VenueSnapshot",
    "VolumeImpact",
    "cost_of",
    "exchange_order_id",
]
