"""Owns the rules that end the entering when too much has been lost: daily loss and drawdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from quarterdeck.domain.amounts import ONE, ZERO
from quarterdeck.domain.risk import LimitStatus, OrderDraft, Refused
from quarterdeck.plugin import AccountView
from quarterdeck_risk_limits.parts import part_of


class LossLimit:
    """No more entries once equity has fallen by `limit`, a part of some earlier equity. Reaching it is too much."""

    __slots__ = ("_limit", "_reached", "_reference", "_setting", "name")

    def __init__(
        self, name: str, setting: str, reached: str, limit: Decimal, reference: Callable[[AccountView], Decimal]
    ) -> None:
        self.name = name
        self._setting = setting
        self._reached = reached
        self._limit = limit
        self._reference = reference

    def check(self, draft: OrderDraft, view: AccountView) -> Refused | None:
        """Refuse, whatever the order, when the loss has reached the limit or there is nothing to measure it from."""
        reference = self._reference(view)
        if reference <= 0:
            return Refused(self.name, "NO_REFERENCE_EQUITY", ZERO, reference)
        loss = reference - view.equity
        if loss >= self._limit * reference:
            return Refused(self.name, self._reached, self._limit, part_of(loss, reference))
        return None

    def limits(self, view: AccountView) -> Sequence[LimitStatus]:
        """The part that may be lost, and the part that is; all of it when there is nothing to measure from."""
        reference = self._reference(view)
        if reference <= 0:
            lost = ONE
        else:
            loss = reference - view.equity
            lost = part_of(loss, reference) if loss > 0 else ZERO
        return (LimitStatus(self.name, self._setting, self._limit, lost),)


def daily_loss(limit: Decimal) -> LossLimit:
    """Measured from the equity at the day's first record, UTC. Entries are allowed again the next day."""
    return LossLimit("daily-loss", "max_daily_loss", "DAILY_LOSS_REACHED", limit, lambda view: view.day_start_equity)


def drawdown(limit: Decimal) -> LossLimit:
    """Measured from the highest equity. Open positions may win it back; nothing else brings entries back."""
    return LossLimit("drawdown", "max_drawdown", "DRAWDOWN_REACHED", limit, lambda view: view.peak_equity)
