"""Owns orders on their way to Bybit and back: requests from terms, and rows of orders from REST and streams alike.

Attached protection is placed in `Partial` mode: Bybit then opens one stop or take-profit order for what this order
fills, names it by `parentOrderLinkId`, and leaves the protection of other orders on the same position alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from quarterdeck.domain.amounts import amount_text, plain
from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderRole, OrderState, OrderTerms, OrderType, TimeInForce
from quarterdeck.domain.report import Amended, Canceled, CancelRejected, ChildOpened, Expired, Opened, Rejected, Report
from quarterdeck.domain.report import Triggered as TriggeredReport
from quarterdeck.domain.venue import VenueOrder
from quarterdeck_exchange_bybit.codec import words
from quarterdeck_exchange_bybit.codec.listing import Listing, category_of
from quarterdeck_exchange_bybit.codec.row import Row

#: The body of a request: texts, and the few things Bybit wants as numbers or flags.
Params = dict[str, str | int | bool]

_RISES, _FALLS = 1, 2
_ONE_WAY = 0
_SUFFIXES = {OrderRole.STOP_LOSS: "-sl", OrderRole.TAKE_PROFIT: "-tp"}


def decimal_text(value: Decimal) -> str:
    """A number as Bybit takes it: plain digits, never an exponent."""
    return amount_text(plain(value))


# ---------------------------------------------------------------- out


def create_params(instrument: Instrument, terms: OrderTerms, link_id: str) -> Params:
    """The body of `/v5/order/create`. A trailing stop is none: see `trailing_params`."""
    is_spot = instrument.kind is InstrumentKind.SPOT
    has_limit = terms.limit_price is not None
    params: Params = {
        "category": category_of(instrument.kind),
        "symbol": instrument.venue_symbol,
        "side": words.SIDE_WORDS[terms.side],
        "orderType": "Limit" if has_limit else "Market",
        "qty": decimal_text(terms.quantity),
        "timeInForce": words.TIME_IN_FORCE_WORDS[terms.time_in_force if has_limit else TimeInForce.IOC],
        "orderLinkId": link_id,
    }
    if terms.limit_price is not None:
        params["price"] = decimal_text(terms.limit_price)
    if is_spot:
        params["orderFilter"] = "Order" if terms.trigger_price is None else "StopOrder"
        if not has_limit:
            params["marketUnit"] = "baseCoin"
    else:
        params |= {"positionIdx": _ONE_WAY, "reduceOnly": terms.reduce_only}
    if terms.trigger_price is not None:
        params["triggerPrice"] = decimal_text(terms.trigger_price)
        if not is_spot:
            params |= {"triggerDirection": _direction(terms), "triggerBy": "LastPrice"}
            if terms.reduce_only:
                params["closeOnTrigger"] = True
    return params | _protection(terms, is_spot=is_spot)


def _direction(terms: OrderTerms) -> int:
    """Which way the price has to go to reach the trigger."""
    is_stop = terms.type in (OrderType.STOP, OrderType.STOP_LIMIT)
    return _RISES if is_stop is (terms.side is Side.BUY) else _FALLS


def _protection(terms: OrderTerms, *, is_spot: bool) -> Params:
    params: Params = {}
    if terms.stop_loss is not None:
        params |= {"stopLoss": decimal_text(terms.stop_loss), "slOrderType": "Market"}
    if terms.take_profit is not None:
        params |= {"takeProfit": decimal_text(terms.take_profit), "tpOrderType": "Market"}
    if params and not is_spot:
        params["tpslMode"] = "Partial"
    return params


def trailing_params(instrument: Instrument, distance: Decimal) -> Params:
    """The body of `/v5/position/trading-stop` for a trailing stop, which Bybit keeps on the position itself."""
    return {
        "category": category_of(instrument.kind),
        "symbol": instrument.venue_symbol,
        "tpslMode": "Full",
        "positionIdx": _ONE_WAY,
        "trailingStop": decimal_text(distance),
    }


def cancel_params(instrument: Instrument, link_id: str, exchange_order_id: str = "") -> Params:
    """The body of `/v5/order/cancel`; what the venue opened itself has no link id of ours and goes by its own id."""
    return _target(instrument, link_id, exchange_order_id)


def amend_params(
    instrument: Instrument,
    link_id: str,
    exchange_order_id: str = "",
    *,
    quantity: Decimal | None = None,
    limit_price: Decimal | None = None,
    trigger_price: Decimal | None = None,
) -> Params:
    """The body of `/v5/order/amend`; what is None stays."""
    params = _target(instrument, link_id, exchange_order_id)
    for name, value in (("qty", quantity), ("price", limit_price), ("triggerPrice", trigger_price)):
        if value is not None:
            params[name] = decimal_text(value)
    return params


def _target(instrument: Instrument, link_id: str, exchange_order_id: str) -> Params:
    params: Params = {"category": category_of(instrument.kind), "symbol": instrument.venue_symbol}
    return params | ({"orderId": exchange_order_id} if exchange_order_id else {"orderLinkId": link_id})


# ---------------------------------------------------------------- back


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as Bybit tells it. `state` is None for a status that is not known here: then it has to be asked about.

    `link_id` is ours, a foreign one, or for what Bybit opened itself a name made of its parent's or its own id.
    """

    order: VenueOrder
    status: str
    state: OrderState | None
    role: OrderRole | None
    reject_reason: str
    cancel_type: str
    create_time: int

    @property
    def was_changed(self) -> bool:
        """Whether anything has happened to it since it was made."""
        return self.order.update_time > self.create_time


def read_order(row: Row, listing: Listing, category: str = "") -> OrderRow:
    """One row of the order topic, `/v5/order/realtime` or `/v5/order/history`.

    Raises:
        Malformed: something is missing, or it is about an instrument that is not traded here.
    """
    instrument = listing.of(row, category)
    order_id, status = row.text("orderId"), row.text("orderStatus")
    stop_type = row.text_or("stopOrderType")
    role = words.PROTECTION.get(stop_type)
    if role is None and row.text_or("createType") in words.TAKEN_OVER:
        role = OrderRole.LIQUIDATION
    parent = row.text_or("parentOrderLinkId")
    terms = _terms(row, instrument, stop_type)
    trigger_seen = terms.trigger_price is not None and status not in words.UNTRIGGERED
    order = VenueOrder(
        link_id=_link(row.text_or("orderLinkId"), parent, role, order_id),
        exchange_order_id=order_id,
        terms=terms,
        state=words.STATES.get(status, OrderState.UNKNOWN),
        filled_quantity=row.number_or("cumExecQty") or Decimal(0),
        parent_link_id=parent,
        triggered=trigger_seen,
        update_time=row.time("updatedTime"),
        reason=_reason(row),
    )
    return OrderRow(
        order,
        status,
        words.STATES.get(status),
        role,
        row.text_or("rejectReason"),
        row.text_or("cancelType"),
        row.time("createdTime"),
    )


def child_link(parent_link_id: str, role: OrderRole) -> str:
    """What the protection of one of our orders is called here; Bybit gives it no link id."""
    return f"{parent_link_id}{_SUFFIXES[role]}"


def _link(link_id: str, parent: str, role: OrderRole | None, order_id: str) -> str:
    if link_id:
        return link_id
    if parent and role in _SUFFIXES:
        return child_link(parent, role)
    return f"liq-{order_id}"[:36] if role is OrderRole.LIQUIDATION else ""


def _terms(row: Row, instrument: Instrument, stop_type: str) -> OrderTerms:
    side = words.side(row)
    limit = row.price_or("price") if row.text("orderType") == "Limit" else None
    trigger, in_force = row.price_or("triggerPrice"), row.text_or("timeInForce")
    kind = words.PROTECTION_TYPES.get(stop_type) or _type(limit, trigger, _is_stop(row, side))
    if kind is OrderType.TAKE_PROFIT and limit is not None:
        kind = OrderType.TAKE_PROFIT_LIMIT
    elif kind is OrderType.STOP and limit is not None:
        kind = OrderType.STOP_LIMIT
    return OrderTerms(
        symbol=instrument.symbol,
        side=side,
        type=kind,
        quantity=plain(row.number("qty")),
        limit_price=limit,
        trigger_price=trigger,
        time_in_force=TimeInForce.GTC if limit is None else words.TIMES_IN_FORCE.get(in_force, TimeInForce.GTC),
        reduce_only=row.flag("reduceOnly"),
        stop_loss=row.price_or("stopLoss"),
        take_profit=row.price_or("takeProfit"),
    )


def _is_stop(row: Row, side: Side) -> bool:
    """Whether a conditional order's trigger lies against its side, as a stop's does. Without a direction, it does."""
    direction = row.raw("triggerDirection") or 0
    return direction in (0, _RISES if side is Side.BUY else _FALLS)


def _type(limit: Decimal | None, trigger: Decimal | None, is_stop: bool) -> OrderType:
    if trigger is None:
        return OrderType.MARKET if limit is None else OrderType.LIMIT
    if is_stop:
        return OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return OrderType.TAKE_PROFIT if limit is None else OrderType.TAKE_PROFIT_LIMIT


def _reason(row: Row) -> str:
    for name in ("rejectReason", "cancelType"):
        reason = row.text_or(name)
        if reason not in words.NO_REASON:
            return reason
    return ""


def opened_by_venue(news: OrderRow, role: OrderRole) -> ChildOpened:
    """The claim that an order exists which nobody here placed."""
    order = news.order
    return ChildOpened(
        order.link_id, order.parent_link_id, order.exchange_order_id, role, order.terms, order.update_time
    )


def order_reports(news: OrderRow) -> Iterator[Report]:
    """What a row of the order topic claims of an order that is known here; see `opened_by_venue` for others.

    Fills are told by executions alone, so `Filled` by itself claims none.
    """
    order, link = news.order, news.order.link_id
    time = order.update_time
    is_child = news.role is not None
    match news.state:
        case OrderState.OPEN | OrderState.PARTIALLY_FILLED:
            if not is_child:
                yield Opened(link, order.exchange_order_id, time)
            if order.triggered:
                yield TriggeredReport(link, time)
            if news.was_changed and not is_child:
                terms = order.terms
                yield Amended(link, time, terms.quantity, terms.limit_price, terms.trigger_price)
        case OrderState.FILLED:
            if news.reject_reason in words.TOO_LATE:
                yield CancelRejected(link, news.reject_reason, time)
        case OrderState.CANCELED:
            if news.reject_reason in words.TIMED_OUT:
                yield Expired(link, news.reject_reason, time)
            else:
                yield Canceled(link, order.reason or news.status, time)
        case OrderState.REJECTED:
            yield Rejected(link, order.reason or news.status, time)
        case _:
            return
