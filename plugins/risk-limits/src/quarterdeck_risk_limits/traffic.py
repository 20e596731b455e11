"""Owns the rules against runaway trading: order rate, open positions, and prices far from the market."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from quarterdeck.domain.market import MINUTE
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused
from quarterdeck.plugin import AccountView
from quarterdeck_risk_limits.parts import part_of


class OrderRate:
    """At most so many entries in any sixty seconds, this one included."""

    name: ClassVar[str] = "order-rate"

    __slots__ = ("_limit",)

    def __init__(self, max_entries_per_minute: int) -> None:
        self._limit = max_entries_per_minute

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """Refuse the entry, whatever it is, that would be one too many."""
        entries = view.entries_since(view.now - MINUTE + 1)
        if entries >= self._limit:
            return Refused(self.name, "ORDER_RATE_REACHED", Decimal(self._limit), Decimal(entries + 1))
        return None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """Entries allowed and made in the last sixty seconds."""
        made = Decimal(view.entries_since(view.now - MINUTE + 1))
        return (LimitStatus(self.name, "max_entries_per_minute", Decimal(self._limit), made),)


class OpenPositions:
    """At most so many instruments at once. More of one that is held already is another rule's matter."""

    name: ClassVar[str] = "open-positions"

    __slots__ = ("_limit",)

    def __init__(self, max_open_positions: int) -> None:
        self._limit = max_open_positions

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """Refuse to enter one more instrument."""
        if view.is_held_or_pending(draft.terms.symbol):
            return None
        held = view.open_positions
        if held >= self._limit:
            return Refused(self.name, "OPEN_POSITIONS_REACHED", Decimal(self._limit), Decimal(held + 1))
        return None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """Instruments allowed and in use."""
        return (LimitStatus(self.name, "max_open_positions", Decimal(self._limit), Decimal(view.open_positions)),)


class PriceBand:
    """An order is priced within a band around the mark: a slipped digit is not a trade."""

    name: ClassVar[str] = "price-band"

    __slots__ = ("_limit",)

    def __init__(self, price_band: Decimal) -> None:
        self._limit = price_band

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """Refuse a price outside of the band, or any price when there is no mark to compare with."""
        mark = view.mark(draft.terms.symbol)
        if mark is None or mark <= 0:
            return Refused(self.name, "NO_MARK")
        away = abs(draft.reference_price - mark)
        if away > self._limit * mark:
            return Refused(self.name, "PRICE_OUT_OF_BAND", self._limit, part_of(away, mark))
        return None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """How far an order may be from the mark; between orders nothing is used."""
        return (LimitStatus(self.name, "price_band", self._limit, None),)
