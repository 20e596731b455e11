"""Owns the rules about how large an entry may be: by what it can lose, and by what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.market import Side
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused
from quarterdeck.plugin import AccountView


class PositionRisk:
    """What one instrument loses if everything runs to its stop, as a part of equity.

    Counts what is at risk there already and what the entry adds: quantity times the distance to its stop. An entry
    without a stop adds its whole notional, as the account counts it afterwards, or is refused with `require_stop`.
    """

    name: ClassVar[str] = "position-risk"

    __slots__ = ("_limit", "_require_stop")

    def __init__(self, max_position_risk: Decimal, require_stop: bool) -> None:
        self._limit = max_position_risk
        self._require_stop = require_stop

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """Refuse what would put too much at risk, and a stop that does not limit anything."""
        terms = draft.terms
        stop = terms.stop_loss
        if stop is None:
            if self._require_stop:
                return Refused(self.name, "NO_STOP")
            unit_loss = draft.reference_price
        elif terms.side is Side.BUY:
            unit_loss = draft.reference_price - stop
        else:
            unit_loss = stop - draft.reference_price
        if unit_loss <= 0:
            return Refused(self.name, "STOP_SIDE", draft.reference_price, stop)
        limit = self._limit * view.equity
        if limit <= 0:
            return Refused(self.name, "NO_EQUITY", ZERO, limit)
        at_risk = view.open_risk(terms.symbol) + terms.quantity * unit_loss
        if at_risk > limit:
            return Refused(self.name, "POSITION_RISK_TOO_LARGE", limit, at_risk)
        return None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """What an instrument may lose, in money; how much of it is used depends on the instrument, so none is shown."""
        return (LimitStatus(self.name, "max_position_risk", max(self._limit * view.equity, ZERO), None),)


class Notional:
    """What an order is worth, against equity and in money, and what everything is worth with it. None is no limit."""

    name: ClassVar[str] = "notional"

    __slots__ = ("_absolute", "_exposure", "_multiple")

    def __init__(self, multiple: Decimal | None, absolute: Decimal | None, exposure: Decimal | None) -> None:
        self._multiple = multiple
        self._absolute = absolute
        self._exposure = exposure

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """Refuse an order that is too large, or one too many."""
        notional = draft.notional
        if self._absolute is not None and notional > self._absolute:
            return Refused(self.name, "NOTIONAL_TOO_LARGE", self._absolute, notional)
        equity = view.equity
        if equity <= 0:
            return Refused(self.name, "NO_EQUITY", ZERO, equity)
        if self._multiple is not None and notional > self._multiple * equity:
            return Refused(self.name, "NOTIONAL_TOO_LARGE", self._multiple * equity, notional)
        if self._exposure is not None and view.exposure_notional + notional > self._exposure * equity:
            return Refused(self.name, "EXPOSURE_TOO_LARGE", self._exposure * equity, view.exposure_notional + notional)
        return None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """Each limit in money; only exposure is used up between orders."""
        equity = max(view.equity, ZERO)
        found = []
        if self._multiple is not None:
            found.append(LimitStatus(self.name, "max_notional_multiple", self._multiple * equity, None))
        if self._absolute is not None:
            found.append(LimitStatus(self.name, "max_notional", self._absolute, None))
        if self._exposure is not None:
            used = view.exposure_notional
            found.append(LimitStatus(self.name, "max_exposure_multiple", self._exposure * equity, used))
        return found
