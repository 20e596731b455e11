"""Owns bots: their commands, and the way of a candle through a strategy to an order."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from quarterdeck.domain.amounts import from_observation, nearest_to
from quarterdeck.domain.bot import BotState
from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.errors import AlreadyExists, CallerError, InvalidRequest, NotFound, RefusedByState
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle
from quarterdeck.domain.order import OrderRole, OrderType
from quarterdeck.domain.signal import Action, Signal
from quarterdeck.engine import events as e
from quarterdeck.engine.inputs import CreateBot, FailBot, PauseBot, StartBot, StopBot, SubmitOrder
from quarterdeck.engine.orders import closable, close_share, next_order_id, record, request_cancel
from quarterdeck.engine.pipeline import Deciders, evaluate
from quarterdeck.engine.state import BotRecord, State
from quarterdeck.engine.turn import Turn
from quarterdeck.engine.view import View

_PRICE_END = 10**19


class Roster:
    """The live strategies, by the candles they want. Strategies are not state: they are rebuilt and warmed up."""

    __slots__ = ("_listeners", "_strategies")

    def __init__(self) -> None:
        self._strategies: dict[str, Strategy] = {}
        self._listeners: dict[tuple[str, int], list[tuple[BotRecord, Strategy]]] = {}

    def attach(self, bot: BotRecord, strategy: Strategy) -> None:
        """Feed a strategy from the next candle on."""
        self.detach(bot)
        self._strategies[bot.spec.bot_id] = strategy
        self._listeners.setdefault((bot.spec.symbol, bot.spec.interval), []).append((bot, strategy))

    def detach(self, bot: BotRecord) -> None:
        """Stop feeding a bot."""
        if self._strategies.pop(bot.spec.bot_id, None) is not None:
            key = (bot.spec.symbol, bot.spec.interval)
            self._listeners[key] = [pair for pair in self._listeners[key] if pair[0] is not bot]

    def clear(self) -> None:
        """Stop feeding all of them. What the bots are does not change: they go on with the next start."""
        self._strategies.clear()
        self._listeners.clear()

    def listeners(self, candle: Candle) -> list[tuple[BotRecord, Strategy]] | None:
        """Who wants this candle."""
        return self._listeners.get((candle.symbol, candle.interval))

    def __contains__(self, bot_id: object) -> bool:
        return bot_id in self._strategies


# ---------------------------------------------------------------- commands


def create(turn: Turn, command: CreateBot, view: View, roster: Roster) -> None:
    """Record a new bot, and run it if its strategy came with it.

    Raises:
        AlreadyExists: its id is taken.
        NotFound: no such instrument.
    """
    spec = command.spec
    if spec.bot_id in turn.state.bots:
        raise AlreadyExists("BOT_ID_TAKEN", f"bot {spec.bot_id!r} exists", {"name": spec.bot_id})
    if view.instrument(spec.symbol) is None:
        raise NotFound("instrument", spec.symbol)
    if spec.interval <= 0:
        raise InvalidRequest("bot.interval", f"must be above zero, was {spec.interval} ns")
    turn.emit(e.BotCreated(spec), spec.bot_id)
    if command.strategy is not None:
        start(turn, StartBot(spec.bot_id, command.strategy), roster)


def start(turn: Turn, command: StartBot, roster: Roster) -> None:
    """Run a bot. One that runs already is left as it is; a paused one resumes with the strategy it has.

    Raises:
        NotFound: no such bot.
        RefusedByState: it needs a strategy object and got none.
    """
    bot = known(turn.state, command.bot_id)
    if command.bot_id not in roster:
        if command.strategy is None:
            raise _wrong_state(bot, "has no strategy")
        roster.attach(bot, command.strategy)
    if bot.state is not BotState.RUNNING:
        turn.emit(e.BotStateChanged(command.bot_id, BotState.RUNNING), command.bot_id)


def pause(turn: Turn, command: PauseBot) -> None:
    """Keep a running bot from entering.

    Raises:
        NotFound: no such bot.
        RefusedByState: it does not run.
    """
    bot = known(turn.state, command.bot_id)
    if bot.state is BotState.PAUSED:
        return
    if bot.state is not BotState.RUNNING:
        raise _wrong_state(bot, "does not run")
    turn.emit(e.BotStateChanged(command.bot_id, BotState.PAUSED), command.bot_id)


def stop(turn: Turn, command: StopBot, roster: Roster, view: View) -> None:
    """Stop feeding a bot, cancel its working entries, and close its position when asked to.

    Raises:
        NotFound: no such bot.
    """
    bot = known(turn.state, command.bot_id)
    roster.detach(bot)
    if bot.state is not BotState.STOPPED:
        turn.emit(e.BotStateChanged(command.bot_id, BotState.STOPPED), command.bot_id)
    _withdraw(turn, bot)
    if command.flatten:
        share = turn.state.share(bot.spec.symbol, bot.spec.bot_id)
        if share.quantity:
            close_share(turn, bot.spec.bot_id, share, view)


def fail(turn: Turn, command: FailBot, roster: Roster) -> None:
    """A bot can't go on: its entries are withdrawn, its position keeps its stops."""
    bot = known(turn.state, command.bot_id)
    roster.detach(bot)
    if bot.state is not BotState.FAILED:
        turn.emit(e.BotStateChanged(command.bot_id, BotState.FAILED, command.failure), command.bot_id)
    _withdraw(turn, bot)


def known(state: State, bot_id: str) -> BotRecord:
    """A bot by id.

    Raises:
        NotFound: no such bot.
    """
    bot = state.bots.get(bot_id)
    if bot is None:
        raise NotFound("bot", bot_id)
    return bot


def _wrong_state(bot: BotRecord, problem: str) -> RefusedByState:
    name = bot.spec.bot_id
    return RefusedByState("BOT_STATE", f"bot {name} {problem}: it is {bot.state}", {"name": name, "state": bot.state})


def _withdraw(turn: Turn, bot: BotRecord) -> None:
    for order in list(turn.state.orders_of(bot.spec.symbol, bot.spec.bot_id)):
        if order.role is OrderRole.ENTRY:
            request_cancel(turn, order)


# ---------------------------------------------------------------- from candle to order


def wishes_of(strategy: Strategy, bot: BotRecord, candle: Candle) -> Sequence[Signal]:
    """Show a strategy a candle.

    Raises:
        TypeError: it answered something that is no signal.
        Exception: whatever the strategy raises.
    """
    wishes = tuple(strategy.on_candle(candle, bot.holding))
    for wish in wishes:
        if not isinstance(wish, Signal):
            raise TypeError(f"signalled {wish!r}, which is no Signal")
    return wishes


def signal(turn: Turn, bot: BotRecord, wish: Signal, view: View, deciders: Deciders) -> None:
    """Follow one signal: record it, and drop it with a reason or take it through the gate."""
    spec = bot.spec
    instrument = turn.instruments[spec.symbol]
    share = turn.state.share(spec.symbol, spec.bot_id)
    stop_price = _on_tick(wish.stop, instrument)
    take_profit = _on_tick(wish.take_profit, instrument)
    order_id = next_order_id(turn.state, spec.bot_id)
    raised = turn.emit(
        e.SignalRaised(spec.bot_id, spec.symbol, wish.action, stop_price, take_profit, wish.reason),
        order_id,
    )

    def drop(reason: str) -> None:
        turn.emit(e.SignalDropped(spec.bot_id, spec.symbol, wish.action, reason), order_id, raised.sequence)

    dropped = _drop_reason(bot, wish, closable(turn, share))
    if dropped:
        drop(dropped)
        return
    if wish.action is Action.EXIT:
        if not close_share(turn, spec.bot_id, share, view, order_id):
            drop("EXIT_WORKING")
        return
    limit = _on_tick(wish.limit, instrument)
    order = SubmitOrder(
        "",
        spec.symbol,
        wish.action.side,
        OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=limit,
        stop_loss=stop_price,
        take_profit=take_profit,
        bot_id=spec.bot_id,
    )
    try:
        evaluation = evaluate(order, view, deciders)
    except CallerError as error:
        drop(str(error))
        return
    record(turn, order_id, evaluation.draft, evaluation.sizing, evaluation.verdict, view)


def _drop_reason(bot: BotRecord, wish: Signal, held: Decimal) -> str:
    """Why a signal comes to nothing, or an empty text."""
    if wish.action is Action.EXIT:
        return "" if held else "NOTHING_HELD"
    for name, price in (("stop", wish.stop), ("take_profit", wish.take_profit), ("limit", wish.limit)):
        if price is not None and not _is_price(price):
            return f"INVALID_PRICE: {name} {price}"
    if bot.state is BotState.PAUSED:
        return "PAUSED"
    if bot.holding.busy:
        return "ORDER_WORKING"
    return "HOLDING" if held else ""


def _is_price(seen: float) -> bool:
    """Whether a strategy's price is one the contract can spell; NaN, which compares to nothing, is not."""
    return 0 < seen < _PRICE_END


def _on_tick(seen: float | None, instrument: Instrument) -> Decimal | None:
    if seen is None or not _is_price(seen):
        return None
    return nearest_to(from_observation(seen), instrument.tick_size)
