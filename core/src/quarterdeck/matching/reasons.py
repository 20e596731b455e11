"""Owns the reasons a venue gives for refusing, cancelling or expiring an order."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why. Each name is what a report's `reason` says."""

    # The order can't be understood or breaks one of the instrument's filters.
    DUPLICATE_LINK_ID = "DUPLICATE_LINK_ID"
    """The link id stands for an order with other terms, or for protection it would open."""
    LINK_ID_TOO_LONG = "LINK_ID_TOO_LONG"
    """At most 36 characters, protection's suffix included."""
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    QUANTITY_NOT_ON_LOT = "QUANTITY_NOT_ON_LOT"
    QUANTITY_TOO_SMALL = "QUANTITY_TOO_SMALL"
    QUANTITY_TOO_LARGE = "QUANTITY_TOO_LARGE"
    QUANTITY_BELOW_FILLED = "QUANTITY_BELOW_FILLED"
    """An amendment to no more than what is filled; cancel instead."""
    NOTIONAL_TOO_SMALL = "NOTIONAL_TOO_SMALL"
    PRICE_NOT_ON_TICK = "PRICE_NOT_ON_TICK"
    """A price is not above zero or not a whole number of ticks."""
    LIMIT_PRICE_MISMATCH = "LIMIT_PRICE_MISMATCH"
    """The type needs a limit price and has none, or has one it does not use."""
    TRIGGER_PRICE_MISMATCH = "TRIGGER_PRICE_MISMATCH"
    TRAILING_DISTANCE_MISMATCH = "TRAILING_DISTANCE_MISMATCH"
    TIME_IN_FORCE_MISMATCH = "TIME_IN_FORCE_MISMATCH"
    """POST_ONLY without a limit price."""
    PROTECTION_MISMATCH = "PROTECTION_MISMATCH"
    """Stop-loss or take-profit on the wrong side of the price, on a reduce-only order, or for a short on spot."""

    # The account can't carry it.
    NO_PRICE = "NO_PRICE"
    """A market order that can't be valued yet: the instrument has not shown a price."""
    INSUFFICIENT_MARGIN = "INSUFFICIENT_MARGIN"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    NOTHING_TO_REDUCE = "NOTHING_TO_REDUCE"
    """Reduce-only without a position on the other side; also why such orders end when the position closes."""
    REDUCES_TOO_MUCH = "REDUCES_TOO_MUCH"
    """An amendment of a reduce-only order to more than the position."""

    # Its life at the venue.
    POST_ONLY_WOULD_CROSS = "POST_ONLY_WOULD_CROSS"
    CANCELED_ON_REQUEST = "CANCELED_ON_REQUEST"
    OTHER_SIDE_FILLED = "OTHER_SIDE_FILLED"
    """The stop-loss filled, so the take-profit ended, or the other way round."""
    PROTECTION_ENDED = "PROTECTION_ENDED"
    """The stop-loss or take-profit of what an entry has filled was triggered or ended, and with it the entry's rest."""
    LIQUIDATION = "LIQUIDATION"
    """The account is being liquidated."""
    NOT_FILLED_AT_ONCE = "NOT_FILLED_AT_ONCE"
    """IOC or FOK found no more to trade with."""
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    ORDER_CLOSED = "ORDER_CLOSED"

    # Money.
    TRANSFER = "TRANSFER"
    """It was put into the account or taken out."""
    INSURANCE_FUND = "INSURANCE_FUND"
    """After a liquidation beyond bankruptcy the venue covers what is missing."""
