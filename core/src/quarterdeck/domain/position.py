"""Owns positions: a fold of fills into signed quantity, exact cost and realised profit."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from quarterdeck.domain.amounts import ZERO, settle
from quarterdeck.domain.market import Side


class PositionChange(NamedTuple):
    """What one fill does to a position."""

    quantity: Decimal
    cost: Decimal
    realized_pnl: Decimal


def position_after(quantity: Decimal, cost: Decimal, side: Side, filled: Decimal, price: Decimal) -> PositionChange:
    """Apply a fill to a signed position.

    `quantity` is positive when long, negative when short; `cost` is what is tied up in it, quantity times entry price,
    with the same sign. Profit is realised on the part that is closed, against its share of the cost; crossing through
    zero closes all of the old position and opens the rest at `price`. Nothing is lost to rounding: whatever cost the
    closed part does not take stays with what remains.
    """
    signed = filled if side is Side.BUY else -filled
    if not quantity or (quantity > 0) == (signed > 0):
        return PositionChange(quantity + signed, cost + signed * price, ZERO)
    remainder = quantity + signed
    if not remainder:
        return PositionChange(ZERO, ZERO, quantity * price - cost)
    if (remainder > 0) == (quantity > 0):
        share = settle(cost * -signed / quantity)
        return PositionChange(remainder, cost - share, -signed * price - share)
    return PositionChange(remainder, remainder * price, quantity * price - cost)


def position_adjusted(quantity: Decimal, cost: Decimal, change: Decimal, price: Decimal) -> PositionChange:
    """Apply a change of quantity that nobody saw traded: nothing is realised; what is added ties up `price` each."""
    after = quantity + change
    if not after:
        return PositionChange(ZERO, ZERO, ZERO)
    if not quantity or (quantity > 0) == (change > 0):
        return PositionChange(after, cost + change * price, ZERO)
    if (after > 0) == (quantity > 0):
        return PositionChange(after, cost - settle(cost * -change / quantity), ZERO)
    return PositionChange(after, after * price, ZERO)


@dataclass(slots=True)
class Position:
    """One holding. Written only by the engine's fold; `realized_pnl` is before fees and funding."""

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    update_time: int = 0

    @property
    def average_price(self) -> Decimal | None:
        """Mean entry price of what is held now; None when flat."""
        return self.cost / self.quantity if self.quantity else None

    def unrealized_pnl(self, mark: Decimal) -> Decimal:
        """Profit if all of it were closed at `mark`, before fees."""
        return self.quantity * mark - self.cost

    def apply(self, side: Side, filled: Decimal, price: Decimal, fee: Decimal, time: int) -> Decimal:
        """Fold one fill in; returns the profit it realised."""
        change = position_after(self.quantity, self.cost, side, filled, price)
        self.become(change, fee, time)
        return change.realized_pnl

    def become(self, change: PositionChange, fee: Decimal, time: int) -> None:
        """Take in what one fill does to it."""
        self.quantity, self.cost, realized = change
        self.realized_pnl += realized
        self.fees += fee
        self.update_time = time


def changes_by_fill(
    share: Position,
    whole: Position,
    side: Side,
    filled: Decimal,
    price: Decimal,
) -> tuple[PositionChange, PositionChange]:
    """What an owner's fill does to the owner's share and to the whole position; mostly the two are the same."""
    change = position_after(share.quantity, share.cost, side, filled, price)
    if share.quantity == whole.quantity and share.cost == whole.cost:
        return change, change
    return change, position_after(whole.quantity, whole.cost, side, filled, price)
