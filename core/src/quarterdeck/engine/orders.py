"""Owns commands on orders: submit, cancel, amend, cancel all, close a position."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from quarterdeck.domain.amounts import settle
from quarterdeck.domain.errors import AlreadyExists, InvalidRequest, NotFound, RefusedByState
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import LIMIT_TYPES, TRIGGER_TYPES, Order, OrderRole, OrderState, OrderTerms, OrderType
from quarterdeck.domain.position import Position
from quarterdeck.domain.risk import Approved, OrderDraft, Refused, TradingState
from quarterdeck.domain.sizing import Sizing
from quarterdeck.engine import events as e
from quarterdeck.engine.effects import AmendAtVenue, CancelAtVenue, QueueOrder, SendOrder
from quarterdeck.engine.inputs import AmendOrder, CancelAllOrders, CancelOrder, ClosePosition, ResolveOrder, SubmitOrder
from quarterdeck.engine.pipeline import Deciders, evaluate, recheck
from quarterdeck.engine.state import State
from quarterdeck.engine.turn import Turn
from quarterdeck.engine.view import View

#: Order ids may have 63 characters; this leaves room for a number and for `-sl`.
STEM_LENGTH = 40

#: What the link id begins with that we give to somebody else's order without one. The venue does not know it.
WITHOUT_LINK = "x-"


def submit(turn: Turn, command: SubmitOrder, view: View, deciders: Deciders) -> None:
    """Take an order from a caller through the gate, and record what came of it.

    Raises:
        AlreadyExists: the order id is taken.
        NotFound, InvalidRequest: see `pipeline.evaluate`; nothing is recorded.
    """
    if command.order_id and turn.state.order(command.order_id) is not None:
        raise AlreadyExists("ORDER_ID_TAKEN", f"order {command.order_id!r} exists", {"name": command.order_id})
    if command.bot_id:
        bot = turn.state.bots.get(command.bot_id)
        if bot is None:
            raise NotFound("bot", command.bot_id)
        if bot.spec.symbol != command.symbol:
            raise InvalidRequest("order.bot", f"bot {command.bot_id} trades {bot.spec.symbol}, not {command.symbol}")
    evaluation = evaluate(command, view, deciders)
    record(turn, command.order_id, evaluation.draft, evaluation.sizing, evaluation.verdict, view)


def record(
    turn: Turn,
    order_id: str,
    draft: OrderDraft,
    sizing: Sizing | None,
    verdict: Approved[OrderDraft] | Refused,
    view: View,
) -> bool:
    """Record the gate's verdict; an approved order is queued for the venue. Returns whether it was approved.

    Without an `order_id` one is minted. The id is also what everything that follows is correlated by.
    """
    correlation = order_id = order_id or next_order_id(turn.state, draft.bot_id)
    if isinstance(verdict, Refused):
        turn.emit(e.OrderRefused(order_id, draft.terms, draft.role, draft.bot_id, verdict), correlation)
        return False
    link = turn.ids.mint(turn.state.next_order_number, draft.role, verdict.item.terms)
    turn.emit(
        e.OrderPrepared(
            order_id,
            link,
            verdict.item.terms,
            draft.role,
            draft.bot_id,
            draft.reference_price,
            sizing,
            verdict.rules,
        ),
        correlation,
    )
    if turn.sends_at_once:
        announce(turn, link, view)
    else:
        turn.effects.append(QueueOrder(link))
    return True


def next_order_id(state: State, bot_id: str) -> str:
    """The id that the next order of a bot, or of nobody, gets."""
    return state.free_order_id(f"{bot_id[:STEM_LENGTH] or 'order'}-{state.next_order_number}")


def announce(turn: Turn, link: str, view: View) -> None:
    """Say that an order is being sent, and have it sent once that is durable: from then on it may exist at the venue.

    The last look before it leaves: while it waited for its turn it may have been cancelled, or a reason may have come
    up not to take risk.
    """
    order = turn.state.order_by_link(link)
    if order is None or order.state is not OrderState.PREPARED:
        return
    why = hindrance(order, view)
    if why:
        turn.emit(e.OrderNotSent(order.order_id, why[:200]), order.correlation_id, order.last_sequence)
        return
    turn.emit(e.OrderSent(order.order_id, order.attempts + 1), order.correlation_id, order.last_sequence)
    turn.effects.append(SendOrder(link, order.terms))


def hindrance(order: Order, view: View) -> str:
    """Why an order may not leave now; empty if it may. Asked when it is announced, and again just before it is sent."""
    if order.cancel_requested:
        return "cancelled before it was sent"
    return _in_the_way(order.terms.symbol, view) if order.role is OrderRole.ENTRY else ""


def _in_the_way(symbol: str, view: View) -> str:
    """Why an entry may not leave now; empty if it may."""
    if view.trading_state is not TradingState.ACTIVE:
        return f"trading is {view.trading_state}"
    if view.unknown_orders(symbol):
        return f"what became of another order of {symbol} is unknown"
    instrument = view.instrument(symbol)
    if instrument is not None and instrument.reduce_only:
        return f"{symbol} can only be reduced"
    return str(view.obstacle(symbol) or "")


def cancel(turn: Turn, command: CancelOrder) -> None:
    """Ask for one order to end. Asking again while an answer is awaited changes nothing.

    Raises:
        NotFound: no such order in memory.
        RefusedByState: it has ended already.
    """
    request_cancel(turn, _open_order(turn, command.order_id))


def resolve(turn: Turn, command: ResolveOrder) -> None:
    """Believe a person that an order whose outcome is unknown never arrived.

    Raises:
        NotFound: no such order in memory.
        RefusedByState: it has ended already, or its outcome is not in question.
    """
    order = _open_order(turn, command.order_id)
    if order.state is not OrderState.UNKNOWN:
        raise RefusedByState(
            "ORDER_STATE",
            f"order {order.order_id} is {order.state}; only one whose outcome is UNKNOWN can be settled by hand",
            {"name": order.order_id, "state": order.state},
        )
    settled = e.OrderAbsent(order.order_id, f"settled by hand: {command.reason}")
    turn.emit(settled, order.correlation_id, order.last_sequence)


def cancel_all(turn: Turn, command: CancelAllOrders) -> None:
    """Ask for every working entry and exit to end; protection stays."""
    for order in list(turn.state.orders_of(command.symbol, command.bot_id)):
        if order.role in (OrderRole.ENTRY, OrderRole.EXIT):
            request_cancel(turn, order)


def request_cancel(turn: Turn, order: Order) -> None:
    """Record the wish and tell the venue, unless that is under way."""
    if order.cancel_requested:
        return
    turn.emit(e.OrderCancelRequested(order.order_id), order.correlation_id, order.last_sequence)
    if order.state is not OrderState.PREPARED:  # a queued order is dropped when its turn to be sent comes
        turn.effects.append(cancel_at_venue(order))


def cancel_at_venue(order: Order) -> CancelAtVenue:
    """The request that ends an order."""
    if order.link_id.startswith(WITHOUT_LINK):
        return CancelAtVenue("", order.terms.symbol, order.exchange_order_id)
    return CancelAtVenue(order.link_id, order.terms.symbol)


def emptied(state: State, symbols: Collection[str]) -> frozenset[str]:
    """Of these instruments, those in whose books nothing of the account's rests that was not asked to end.

    What may still be on its way counts. A market order never rests; what waits for a trigger does not yet.
    """
    kept = {each.terms.symbol for each in state.orders_of() if not each.cancel_requested and _may_rest(each)}
    return frozenset(symbols) - kept


def _may_rest(order: Order) -> bool:
    kind = order.terms.type
    return kind is OrderType.LIMIT or (kind in LIMIT_TYPES and order.triggered)


def amend(turn: Turn, command: AmendOrder, view: View, deciders: Deciders) -> None:
    """Ask for a working order to change; the new terms pass the same gate.

    Raises:
        NotFound, RefusedByState: as for `cancel`.
        InvalidRequest: nothing to change, or a price or quantity the order can't have.
    """
    order = _open_order(turn, command.order_id)
    if not deciders.venue.amend:
        raise RefusedByState(
            "UNSUPPORTED",
            "the exchange can't change a working order; cancel it and place another",
            {"feature": "amend"},
        )
    if order.state not in (OrderState.OPEN, OrderState.PARTIALLY_FILLED, OrderState.ACKED):
        raise RefusedByState(
            "ORDER_CLOSED",
            f"order {order.order_id} is {order.state}; only a working order can be amended",
            {"name": order.order_id, "state": order.state},
        )
    change = e.OrderAmendRequested(order.order_id, command.quantity, command.limit_price, command.trigger_price)
    instrument = view.instrument(order.terms.symbol)
    if instrument is None:
        raise NotFound("instrument", order.terms.symbol)
    _check_change(order, change)
    terms = order.terms.amended(change.quantity, change.limit_price, change.trigger_price)
    verdict = recheck(order, terms, instrument, view, deciders)
    if isinstance(verdict, Refused):
        turn.emit(
            e.OrderRefused(order.order_id, terms, order.role, order.bot_id, verdict),
            order.correlation_id,
            order.last_sequence,
        )
        return
    turn.emit(change, order.correlation_id, order.last_sequence)
    turn.effects.append(
        AmendAtVenue(order.link_id, terms.symbol, change.quantity, change.limit_price, change.trigger_price),
    )


def close_position(turn: Turn, command: ClosePosition, view: View) -> None:
    """Close what one owner, or every owner, holds of an instrument with a reduce-only market order each.

    Raises:
        RefusedByState: nobody asked for holds any.
    """
    held = {
        owner: share
        for owner, share in turn.state.shares.get(command.symbol, {}).items()
        if closable(turn, share) and command.bot_id in (None, owner)
    }
    if not held:
        raise RefusedByState("NO_POSITION", f"nothing of {command.symbol} is held", {"name": command.symbol})
    for owner, share in held.items():
        close_share(turn, owner, share, view)


def close_share(
    turn: Turn, bot_id: str, share: Position, view: View, order_id: str = "", quantity: Decimal | None = None
) -> bool:
    """Send the order that closes an owner's share, or as much of it as is given, unless one is on its way.

    Returns whether it was sent: of less than a lot nothing can be.
    """
    closed = closable(turn, share) if quantity is None else quantity
    if not closed:
        return False
    working = turn.state.orders_of(share.symbol, bot_id)
    if any(order.role is OrderRole.EXIT and order.terms.type is OrderType.MARKET for order in working):
        return False
    terms = OrderTerms(
        share.symbol,
        Side.SELL if share.quantity > 0 else Side.BUY,
        OrderType.MARKET,
        closed,
        reduce_only=True,
    )
    reference = view.mark(share.symbol) or settle(abs(share.cost / share.quantity))  # a mean price has no end
    draft = OrderDraft(terms, OrderRole.EXIT, bot_id, reference)
    return record(turn, order_id, draft, None, Approved(draft, ()), view)


def closable(turn: Turn, share: Position) -> Decimal:
    """How much of a share an order can close."""
    instrument = turn.instruments.get(share.symbol)
    return instrument.closable(share.quantity) if instrument else abs(share.quantity)


def flatten_all(turn: Turn, view: View) -> None:
    """Close every share of every position."""
    for shares in turn.state.shares.values():
        for owner, share in shares.items():
            if share.quantity:
                close_share(turn, owner, share, view)


def _open_order(turn: Turn, order_id: str) -> Order:
    order = turn.state.order(order_id)
    if order is None:
        raise NotFound("order", order_id)
    if not order.is_open:
        raise RefusedByState(
            "ORDER_CLOSED",
            f"order {order_id} has ended: {order.state}",
            {"name": order_id, "state": order.state},
        )
    return order


def _check_change(order: Order, change: e.OrderAmendRequested) -> None:
    if (change.quantity, change.limit_price, change.trigger_price) == (None, None, None):
        raise InvalidRequest("quantity", "nothing to change: give a quantity, limit_price or trigger_price")
    if change.limit_price is not None and order.terms.type not in LIMIT_TYPES:
        raise InvalidRequest("limit_price", f"a {order.terms.type} order has none")
    if change.trigger_price is not None and order.terms.type not in TRIGGER_TYPES:
        raise InvalidRequest("trigger_price", f"a {order.terms.type} order has none")
    if change.quantity is not None and change.quantity <= order.filled_quantity:
        raise InvalidRequest("quantity", f"must be above the {order.filled_quantity} already filled")
