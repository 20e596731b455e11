"""Owns whether an order makes sense and keeps the instrument's filters, whatever the account holds."""

from __future__ import annotations

from decimal import Decimal

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import LIMIT_TYPES, TRIGGER_TYPES, OrderTerms, OrderType, TimeInForce
from quarterdeck.matching.book import Amendment
from quarterdeck.matching.order import BookOrder
from quarterdeck.matching.reasons import Reason

LINK_ID_LENGTH = 36
STOP_LOSS_SUFFIX = "-sl"
TAKE_PROFIT_SUFFIX = "-tp"


def order_refusal(link_id: str, terms: OrderTerms, instrument: Instrument, reference: Decimal | None) -> Reason | None:
    """What is wrong with a new order, or None. `reference` is what it is expected to trade at, where that is known."""
    protected = terms.stop_loss is not None or terms.take_profit is not None
    if len(link_id) + (len(STOP_LOSS_SUFFIX) if protected else 0) > LINK_ID_LENGTH:
        return Reason.LINK_ID_TOO_LONG
    if (terms.limit_price is None) == (terms.type in LIMIT_TYPES):
        return Reason.LIMIT_PRICE_MISMATCH
    if terms.time_in_force is TimeInForce.POST_ONLY and terms.limit_price is None:
        return Reason.TIME_IN_FORCE_MISMATCH
    trails = terms.type is OrderType.TRAILING_STOP
    if (terms.trailing_distance is None) is trails:
        return Reason.TRAILING_DISTANCE_MISMATCH
    if not trails and (terms.trigger_price is None) == (terms.type in TRIGGER_TYPES):
        return Reason.TRIGGER_PRICE_MISMATCH
    return (
        _price_refusal(terms, instrument)
        or _quantity_refusal(terms.quantity, instrument, reference, reduces=terms.reduce_only)
        or (_protection_refusal(terms, instrument, reference) if protected else None)
        or (Reason.NOTHING_TO_REDUCE if terms.reduce_only and _is_spot_buy(terms, instrument) else None)
    )


def amendment_refusal(order: BookOrder, change: Amendment, instrument: Instrument) -> Reason | None:
    """What is wrong with a change of an order, or None."""
    if change.limit_price is not None and not order.is_limit:
        return Reason.LIMIT_PRICE_MISMATCH
    if change.trigger_price is not None and not order.awaits_trigger:
        return Reason.TRIGGER_PRICE_MISMATCH
    for price in (change.limit_price, change.trigger_price):
        if price is not None and (price <= 0 or price % instrument.tick_size):
            return Reason.PRICE_NOT_ON_TICK
    if change.quantity is not None and change.quantity <= order.filled:
        return Reason.QUANTITY_BELOW_FILLED
    quantity = change.quantity or order.quantity
    reference = change.limit_price or order.limit_price or change.trigger_price or order.trigger_price
    return _quantity_refusal(quantity, instrument, reference, reduces=order.terms.reduce_only)


def _price_refusal(terms: OrderTerms, instrument: Instrument) -> Reason | None:
    tick = instrument.tick_size
    for price in (
        terms.limit_price,
        terms.trigger_price,
        terms.trailing_distance,
        terms.stop_loss,
        terms.take_profit,
    ):
        if price is not None and (price <= 0 or price % tick):
            return Reason.PRICE_NOT_ON_TICK
    return None


def _quantity_refusal(
    quantity: Decimal, instrument: Instrument, reference: Decimal | None, *, reduces: bool
) -> Reason | None:
    """Closing may be smaller than the least order, or nobody could get rid of a remainder."""
    if quantity <= 0 or quantity % instrument.lot_size:
        return Reason.QUANTITY_NOT_ON_LOT
    if instrument.max_quantity and quantity > instrument.max_quantity:
        return Reason.QUANTITY_TOO_LARGE
    if reduces:
        return None
    if quantity < instrument.min_quantity:
        return Reason.QUANTITY_TOO_SMALL
    if reference is not None and quantity * reference < instrument.min_notional:
        return Reason.NOTIONAL_TOO_SMALL
    return None


def _protection_refusal(terms: OrderTerms, instrument: Instrument, reference: Decimal | None) -> Reason | None:
    sells_spot = instrument.kind is InstrumentKind.SPOT and terms.side is Side.SELL
    if terms.reduce_only or sells_spot:
        return Reason.PROTECTION_MISMATCH
    if reference is None:
        return None
    sign = terms.side.sign
    loses = terms.stop_loss is None or sign * (reference - terms.stop_loss) > 0
    gains = terms.take_profit is None or sign * (terms.take_profit - reference) > 0
    return None if loses and gains else Reason.PROTECTION_MISMATCH


def _is_spot_buy(terms: OrderTerms, instrument: Instrument) -> bool:
    return instrument.kind is InstrumentKind.SPOT and terms.side is Side.BUY
