"""Owns the step from a risk to a quantity: what may be lost, divided by what one unit loses at the stop."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

from quarterdeck.domain.market import Side
from quarterdeck.domain.sizing import RiskRatio, Sized, SizingRefused, SizingRequest, SizingStep
from quarterdeck.plugin import AccountView
from quarterdeck_sizer_speed_demon.curve import Curve
from quarterdeck_sizer_speed_demon.settings import SpeedDemonSettings

# A context of its own, so that whoever calls, in whatever precision, gets the same quantity. A hundred digits hold each
# sum and product here exactly; only the division rounds, and it rounds down.
_DOWN = Context(prec=100, rounding=ROUND_FLOOR, traps=[InvalidOperation, DivisionByZero, Overflow])
_FINEST = Decimal("1E-18")  # the finest number the contract can spell; lots are coarser by far


class SpeedDemon:
    """Sizes by stop distance: quantity = risk / |entry - stop|, where risk = basis * ratio(basis).

    With `include_fees` one unit also loses a taker fee at the entry price and one at the stop price. Implements
    `quarterdeck.plugin.Sizer`.
    """

    __slots__ = ("_curve", "_include_fees", "_parameters")

    def __init__(self, settings: SpeedDemonSettings) -> None:
        self._curve = Curve(settings)
        self._include_fees = settings.include_fees
        small = (("small_balance", settings.small_balance), ("max_ratio", settings.max_ratio))
        large = (("large_balance", settings.large_balance), ("min_ratio", settings.min_ratio))
        self._parameters = {"small": small, "medium": (*small, *large, ("decay", settings.decay)), "large": large}

    def risk_ratio(self, basis: Decimal) -> RiskRatio:
        """The curve at `basis`."""
        ratio, tier = self._curve.at(basis)
        return RiskRatio(ratio, tier, (SizingStep("speed-demon.ratio", basis, ratio, self._parameters[tier]),))

    def size(self, request: SizingRequest, view: AccountView) -> Sized:  # the interface; basis is enough
        """The quantity that loses `basis * ratio` when the stop is hit.

        Raises:
            SizingRefused: NO_BASIS, NO_PRICE, STOP_AT_ENTRY or STOP_SIDE.
        """
        basis, entry, stop = request.basis, request.entry_price, request.stop_price
        if basis <= 0:
            raise SizingRefused("NO_BASIS", f"basis {basis:f} must be above zero")
        distance = _stop_distance(request.side, entry, stop)
        ratio, tier = self._curve.at(basis)
        risk_amount = _DOWN.multiply(basis, ratio)
        steps = [
            SizingStep("speed-demon.ratio", basis, ratio, self._parameters[tier]),
            SizingStep("speed-demon.risk_amount", basis, risk_amount, (("ratio", ratio),)),
            SizingStep("speed-demon.stop_distance", entry, distance, (("stop_price", stop),)),
        ]
        unit_loss = distance
        if self._include_fees:
            rate = request.instrument.taker_fee_rate
            unit_loss = _DOWN.add(distance, _DOWN.multiply(rate, _DOWN.add(entry, stop)))
            steps.append(SizingStep("speed-demon.fees", distance, unit_loss, (("taker_fee_rate", rate),)))
        quantity = _DOWN.normalize(_DOWN.quantize(_DOWN.divide(risk_amount, unit_loss), _FINEST))
        steps.append(SizingStep("speed-demon.quantity", risk_amount, quantity, (("unit_loss", unit_loss),)))
        return Sized(quantity, risk_amount, ratio, tier, tuple(steps))


def _stop_distance(side: Side, entry: Decimal, stop: Decimal) -> Decimal:
    """How far the price must move against the entry to reach the stop; above zero."""
    if entry <= 0 or stop <= 0:
        raise SizingRefused("NO_PRICE", f"entry {entry:f} and stop {stop:f} must both be above zero")
    distance = _DOWN.subtract(entry, stop) if side is Side.BUY else _DOWN.subtract(stop, entry)
    if distance > 0:
        return distance
    if not distance:
        raise SizingRefused(
            "STOP_AT_ENTRY", f"stop {stop:f} is at the entry: the risk has no distance to be divided by"
        )
    where = "below" if side is Side.BUY else "above"
    raise SizingRefused("STOP_SIDE", f"stop {stop:f} must be {where} entry {entry:f} to {side.lower()}")
