"""Owns the one gate every order passes: reference price, size, the core's hard limits, then every risk rule.

Nothing here records or sends. `evaluate` is what a submitted order, a strategy's signal, an amendment and a dry run all
go through, so what ComputeSize answers is what an order gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from quarterdeck.domain.amounts import ONE, ZERO, ceil_to, floor_to, is_multiple
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.deciders import RiskRule, Scaler, Sizer
from quarterdeck.domain.errors import InvalidRequest, NotFound
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import LIMIT_TYPES, TRIGGER_TYPES, Order, OrderRole, OrderTerms, OrderType, TimeInForce
from quarterdeck.domain.risk import Approved, LimitStatus, OrderDraft, Refused, TradingState
from quarterdeck.domain.sizing import Sizing, SizingRefused, SizingRequest, SizingStep
from quarterdeck.engine.inputs import SubmitOrder
from quarterdeck.engine.view import View

CORE = "core"
SIZING = "sizing"


@dataclass(frozen=True, slots=True)
class HardLimits:
    """Limits of the core itself, beyond which no plugin and no setting of a plugin can go.

    `max_risk_ratio` is the fraction of equity one sized order may risk; `max_leverage` the total notional of positions
    and pending entries over equity; `max_open_orders` what the account may have working.
    """

    max_risk_ratio: Decimal = Decimal("0.05")
    max_leverage: Decimal = Decimal(20)
    max_open_orders: int = 1000


@dataclass(slots=True)
class Deciders:
    """What the gate asks: the plugins' parts, the core's limits and what the venue can do."""

    sizer: Sizer
    scalers: Sequence[Scaler] = ()
    rules: Sequence[RiskRule] = ()
    limits: HardLimits = field(default_factory=HardLimits)
    venue: Capabilities = field(default_factory=Capabilities)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the gate makes of an order. `verdict` is the approved draft, or why not."""

    draft: OrderDraft
    sizing: Sizing | None
    verdict: Approved[OrderDraft] | Refused


def evaluate(order: SubmitOrder, view: View, deciders: Deciders, basis: Decimal | None = None) -> Evaluation:
    """Take an order through the whole gate.

    `basis` replaces the money that sizing starts from (a what-if); None takes the smaller of wallet and equity, so that
    profit not yet realised is never risked and a loss not yet realised already counts.

    Raises:
        NotFound: no such instrument.
        InvalidRequest: a price is off the tick, a quantity off the lot, or the terms contradict each other.
    """
    instrument = view.instrument(order.symbol)
    if instrument is None:
        raise NotFound("instrument", order.symbol)
    _check_venue(order, deciders.venue)
    _check_terms(order, instrument, "order.")
    role = OrderRole.EXIT if order.reduce_only else OrderRole.ENTRY
    reference = order.limit_price or order.trigger_price or view.mark(order.symbol)
    if reference is None:
        draft = OrderDraft(_terms(order, order.quantity or ZERO), role, order.bot_id, ZERO)
        return Evaluation(draft, None, Refused(CORE, "NO_MARK"))
    _check_protection(order, reference, "order.")
    sizing: Sizing | None = None
    quantity = order.quantity
    if quantity is None:
        sized = _size(order, instrument, reference, view, deciders, basis)
        if isinstance(sized, Refused):
            return Evaluation(OrderDraft(_terms(order, ZERO), role, order.bot_id, reference), None, sized)
        sizing, quantity = sized, sized.quantity
    draft = OrderDraft(_terms(order, quantity), role, order.bot_id, reference)
    refused = _hard_limits(draft, sizing, instrument, view, deciders.limits)
    return Evaluation(draft, sizing, refused or check(draft, view, deciders.rules))


def core_limits(view: View, limits: HardLimits) -> tuple[LimitStatus, ...]:
    """The core's own limits and how much of each is used, for people to read."""
    equity = view.equity
    leverage = view.exposure_notional / equity if equity > 0 else ZERO
    return (
        LimitStatus(CORE, "max_leverage", limits.max_leverage, leverage),
        LimitStatus(CORE, "max_open_orders", Decimal(limits.max_open_orders), Decimal(view.open_order_count)),
        LimitStatus(CORE, "max_risk_ratio", limits.max_risk_ratio, None),
    )


def check(draft: OrderDraft, view: View, rules: Sequence[RiskRule]) -> Approved[OrderDraft] | Refused:
    """Ask every rule. No rules, or a rule that raises or answers nonsense, is a refusal.

    An order that can only reduce is approved without asking: no rule may trap a position.
    """
    if not draft.increases_exposure:
        return Approved(draft, ())
    if not rules:
        return Refused(CORE, "NO_RISK_RULES")
    for rule in rules:
        try:
            refusal = rule.check(draft, view)
        except KeyboardInterrupt:  # somebody's at the terminal, no plugin's
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises, even SystemExit, the answer is no
            return Refused(rule.name, f"RULE_FAILED: {type(error).__name__}: {error}"[:200])
        if refusal is not None:
            if not isinstance(refusal, Refused):
                return Refused(rule.name, f"RULE_FAILED: answered {type(refusal).__name__}")
            return refusal
    return Approved(draft, tuple([rule.name for rule in rules]))


def recheck(
    order: Order,
    terms: OrderTerms,
    instrument: Instrument,
    view: View,
    deciders: Deciders,
) -> Approved[OrderDraft] | Refused:
    """Take the new terms of a working order through the gate, judging what they add to what was approved.

    A rule is asked about the smallest order that would add as much, so that no change of a price adds risk unseen.

    Raises:
        InvalidRequest: a price is off the tick or a quantity off the lot.
    """
    changed = SubmitOrder(
        order.order_id,
        terms.symbol,
        terms.side,
        terms.type,
        terms.quantity,
        terms.limit_price,
        terms.trigger_price,
        terms.trailing_distance,
        terms.time_in_force,
        terms.reduce_only,
        terms.stop_loss,
        terms.take_profit,
        order.bot_id,
    )
    _check_terms(changed, instrument, "")
    reference = terms.limit_price or terms.trigger_price or order.reference_price
    if order.role is not OrderRole.ENTRY:
        held = abs(view.share_quantity(terms.symbol, order.bot_id))
        if terms.quantity > max(held, order.terms.quantity):
            return Refused(CORE, "MORE_THAN_HELD", held, terms.quantity)
        return Approved(OrderDraft(terms, order.role, order.bot_id, reference), ())
    _check_protection(changed, reference, "")
    refused = _venue_filters(replace(terms, quantity=terms.quantity - order.filled_quantity), reference, instrument)
    if refused is not None:
        return refused
    added = _added(order, terms, reference)
    smallest = max(instrument.min_quantity, instrument.lot_size)
    judged = replace(terms, quantity=max(ceil_to(added, instrument.lot_size), smallest))
    draft = OrderDraft(judged, order.role, order.bot_id, reference)
    if added > 0:
        refused = _account_limits(draft, None, instrument, view, deciders.limits)
    return refused or check(draft, view, deciders.rules)


def _added(order: Order, terms: OrderTerms, reference: Decimal) -> Decimal:
    """What a change adds to an order in quantity, notional or risk, whichever is most, as a quantity at its new terms.

    Not above zero when the order becomes smaller in all three.
    """
    before = order.terms
    price = before.limit_price or before.trigger_price or order.reference_price
    old, new = before.quantity - order.filled_quantity, terms.quantity - order.filled_quantity
    risk = terms.unit_risk(reference)
    return max(
        new - old,
        (new * reference - old * price) / reference,
        (new * risk - old * before.unit_risk(price)) / risk,
    )


def _terms(order: SubmitOrder, quantity: Decimal) -> OrderTerms:
    return OrderTerms(
        order.symbol,
        order.side,
        order.type,
        quantity,
        order.limit_price,
        order.trigger_price,
        order.trailing_distance,
        order.time_in_force,
        order.reduce_only,
        order.stop_loss,
        order.take_profit,
    )


def _check_venue(order: SubmitOrder, venue: Capabilities) -> None:
    if order.type not in venue.order_types:
        raise _unsupported("order.type", order.type)
    if order.type in venue.reducing_types and not order.reduce_only:
        raise _unsupported("order.reduce_only", f"{order.type} orders that are not reduce-only")
    if order.time_in_force not in venue.times_in_force:
        raise _unsupported("order.time_in_force", order.time_in_force)
    if not venue.attached_protection and (order.stop_loss is not None or order.take_profit is not None):
        raise _unsupported("order.stop_loss", "attached protection")


def _unsupported(field: str, feature: str) -> InvalidRequest:
    return InvalidRequest(field, f"the exchange does not know {feature}", "UNSUPPORTED", feature=feature)


def _check_terms(order: SubmitOrder, instrument: Instrument, at: str) -> None:
    """`at` is what a caller's field names begin with."""
    for name in ("limit_price", "trigger_price", "trailing_distance", "stop_loss", "take_profit"):
        price = getattr(order, name)
        if price is None:
            continue
        if price <= 0:
            raise InvalidRequest(f"{at}{name}", f"must be above zero, was {price}")
        if not is_multiple(price, instrument.tick_size):
            raise InvalidRequest(f"{at}{name}", f"{price} is not a multiple of the tick size {instrument.tick_size}")
    quantity = order.quantity
    if quantity is None:
        if order.stop_loss is None:
            raise InvalidRequest(f"{at}quantity", "give a quantity, or a stop_loss to size the order by")
    elif quantity <= 0:
        raise InvalidRequest(f"{at}quantity", f"must be above zero, was {quantity}")
    elif not is_multiple(quantity, instrument.lot_size):
        raise InvalidRequest(f"{at}quantity", f"{quantity} is not a multiple of the lot size {instrument.lot_size}")
    if order.reduce_only and (order.stop_loss is not None or order.take_profit is not None):
        raise InvalidRequest(f"{at}reduce_only", "an order that only reduces can't carry protection")
    kind = order.type
    if (kind in LIMIT_TYPES) != (order.limit_price is not None):
        raise InvalidRequest(f"{at}limit_price", f"is given exactly for limit orders; type is {kind}")
    if (kind in TRIGGER_TYPES) != (order.trigger_price is not None):
        raise InvalidRequest(f"{at}trigger_price", f"is given exactly for stops and take-profits; type is {kind}")
    if (kind is OrderType.TRAILING_STOP) != (order.trailing_distance is not None):
        raise InvalidRequest(f"{at}trailing_distance", f"is given exactly for trailing stops; type is {kind}")
    if order.time_in_force is TimeInForce.POST_ONLY and kind is not OrderType.LIMIT:
        raise InvalidRequest(f"{at}time_in_force", f"POST_ONLY needs a LIMIT order; type is {kind}")


def _check_protection(order: SubmitOrder, reference: Decimal, at: str) -> None:
    """A stop on the wrong side of the entry would trigger at once; so would a target."""
    sign = order.side.sign
    if order.stop_loss is not None and (reference - order.stop_loss) * sign <= 0:
        side = "below" if sign > 0 else "above"
        raise InvalidRequest(f"{at}stop_loss", f"must be {side} the entry price {reference}, was {order.stop_loss}")
    if order.take_profit is not None and (order.take_profit - reference) * sign <= 0:
        side = "above" if sign > 0 else "below"
        raise InvalidRequest(
            f"{at}take_profit",
            f"must be {side} the entry price {reference}, was {order.take_profit}",
        )


def _size(
    order: SubmitOrder,
    instrument: Instrument,
    entry: Decimal,
    view: View,
    deciders: Deciders,
    basis: Decimal | None,
) -> Sizing | Refused:
    stop = order.stop_loss
    if stop is None:
        return Refused(SIZING, "NO_STOP")
    if basis is None:
        basis = min(view.wallet, view.equity)
    request = SizingRequest(instrument, order.side, entry, stop, basis)
    asked = "SIZER_FAILED"
    try:
        sized = deciders.sizer.size(request, view)
        quantity, steps = sized.quantity, list(sized.steps)
        if quantity.is_infinite():
            raise ValueError(f"a quantity of {quantity}")
        lots = floor_to(quantity, instrument.lot_size)
        for scaler in deciders.scalers:
            asked = f"SCALER_FAILED: {scaler.name}"
            factor = scaler.factor(request, view).factor
            if not ZERO <= factor <= ONE:
                return Refused(SIZING, f"SCALER_OUT_OF_RANGE: {scaler.name}", ONE, factor)
            steps.append(SizingStep(f"scaler {scaler.name}", quantity, quantity * factor, (("factor", factor),)))
            quantity *= factor
            lots = floor_to(quantity, instrument.lot_size)
    except SizingRefused as refused:
        return Refused(SIZING, f"{refused.reason}: {refused}"[:200])
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises, there is no size
        return Refused(SIZING, f"{asked}: {type(error).__name__}: {error}"[:200])
    steps.append(SizingStep("round down to lot", quantity, lots, (("lot_size", instrument.lot_size),)))
    if instrument.max_quantity and lots > instrument.max_quantity:
        steps.append(SizingStep("venue's maximum", lots, instrument.max_quantity))
        lots = instrument.max_quantity
    distance = abs(entry - stop)
    return Sizing(
        lots,
        lots * distance,
        sized.risk_ratio,
        sized.tier,
        basis,
        entry,
        stop,
        lots * entry,
        tuple(steps),
    )


def _hard_limits(
    draft: OrderDraft,
    sizing: Sizing | None,
    instrument: Instrument,
    view: View,
    limits: HardLimits,
) -> Refused | None:
    if not draft.increases_exposure:
        return _venue_filters(draft.terms, None, instrument) or _reduce_limits(draft, view)
    return _venue_filters(draft.terms, draft.reference_price, instrument) or _account_limits(
        draft, sizing, instrument, view, limits
    )


def _venue_filters(terms: OrderTerms, entry: Decimal | None, instrument: Instrument) -> Refused | None:
    """What the venue would refuse anyway; it asks nothing of the notional of an order that only reduces."""
    quantity = terms.quantity
    if quantity < instrument.min_quantity or quantity <= 0:
        return Refused(CORE, "BELOW_MIN_QUANTITY", instrument.min_quantity, quantity)
    if instrument.max_quantity and quantity > instrument.max_quantity:
        return Refused(CORE, "ABOVE_MAX_QUANTITY", instrument.max_quantity, quantity)
    if entry is not None and quantity * entry < instrument.min_notional:
        return Refused(CORE, "BELOW_MIN_NOTIONAL", instrument.min_notional, quantity * entry)
    return None


def _account_limits(
    draft: OrderDraft,
    sizing: Sizing | None,
    instrument: Instrument,
    view: View,
    limits: HardLimits,
) -> Refused | None:
    """What the account may not take on."""
    terms = draft.terms
    if view.trading_state is not TradingState.ACTIVE:
        return Refused(CORE, f"TRADING_{view.trading_state}")
    if instrument.reduce_only:
        return Refused(CORE, "INSTRUMENT_REDUCE_ONLY")
    obstacle = view.obstacle(terms.symbol)
    if obstacle is not None:
        return Refused(CORE, str(obstacle)[:200])
    if view.unknown_orders(terms.symbol):
        return Refused(CORE, "UNKNOWN_ORDER", ZERO, Decimal(view.unknown_orders(terms.symbol)))
    if view.open_order_count >= limits.max_open_orders:
        return Refused(CORE, "MAX_OPEN_ORDERS", Decimal(limits.max_open_orders), Decimal(view.open_order_count))
    held = view.position_quantity(terms.symbol) or view.pending_quantity(terms.symbol)
    if held and (held > 0) != (terms.side is Side.BUY):
        # The account holds one net position per instrument; trading against it would close somebody's share unseen.
        return Refused(CORE, "AGAINST_POSITION", ZERO, held)
    if instrument.kind is InstrumentKind.SPOT and terms.side is Side.SELL:
        return Refused(CORE, "NO_SHORT_ON_SPOT")
    equity = view.equity
    if equity <= 0:
        return Refused(CORE, "NO_EQUITY", ZERO, equity)
    exposure = view.exposure_notional + draft.notional
    if exposure > limits.max_leverage * equity:
        return Refused(CORE, "MAX_LEVERAGE", limits.max_leverage, exposure / equity)
    if sizing is not None and sizing.risk_amount > limits.max_risk_ratio * equity:
        return Refused(CORE, "MAX_RISK_RATIO", limits.max_risk_ratio, sizing.risk_amount / equity)
    return None


def _reduce_limits(draft: OrderDraft, view: View) -> Refused | None:
    """An order that only reduces may not take more than its owner holds: the rest would be another's."""
    held = view.share_quantity(draft.terms.symbol, draft.bot_id)
    if not held or (held > 0) == (draft.terms.side is Side.BUY):
        return Refused(CORE, "NOTHING_TO_REDUCE", ZERO, held)
    if draft.terms.quantity > abs(held):
        return Refused(CORE, "MORE_THAN_HELD", abs(held), draft.terms.quantity)
    return None
