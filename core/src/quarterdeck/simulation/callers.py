"""Owns the people and programs that ask things of a simulated daemon: they retry, repeat themselves and forge.

What each was told is written down; the invariants compare it with the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from random import Random
from typing import Any, Protocol

from quarterdeck.daemon.deck import DaemonDeck
from quarterdeck.domain.amounts import floor_to, from_observation, nearest_to
from quarterdeck.domain.errors import AlreadyExists, CallerError, QuarterdeckError
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Side
from quarterdeck.domain.order import OrderType, TimeInForce
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.inputs import (
    AmendOrder,
    CancelAllOrders,
    CancelOrder,
    ClosePosition,
    Command,
    EngageKillSwitch,
    PauseBot,
    ReleaseKillSwitch,
    Request,
    StartBot,
    StopBot,
    SubmitOrder,
)
from quarterdeck.simulation.loop import SECOND, Process, VirtualLoop
from quarterdeck.simulation.market import INSTRUMENTS, Market

#: Seconds a caller waits for an answer before asking again.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. `kind` is `ok`, `fail` (certain that nothing was done) or `info` (nobody knows)."""

    time: int
    kind: str
    sequence: int = 0
    reason: str = ""


@dataclass(slots=True)
class Wish:
    """One command, however often it was asked for."""

    request: Request
    command: Command
    answers: list[Answer] = field(default_factory=list)
    is_forged: bool = False
    """The same request id as an earlier wish, with other content."""


class Line(Protocol):
    """The way to the daemon that runs now."""

    loop: VirtualLoop
    market: Market

    @property
    def deck(self) -> DaemonDeck | None:
        """The daemon that can be reached, if any."""

    @property
    def process(self) -> Process | None:
        """Its process."""

    @property
    def streams(self) -> Any:  # noqa: ANN401 - what readers make of it
        """Its streams, once it is up."""

    @property
    def is_trading(self) -> bool:
        """Whether the run still goes on."""


class Caller:
    """One who trades through the daemon."""

    def __init__(self, name: str, line: Line, dice: Random, per_hour: float) -> None:
        self.name = name
        self.wishes: list[Wish] = []
        self._line = line
        self._dice = dice
        self._per_hour = per_hour

    async def live(self) -> None:
        """Ask for things as long as the run goes on."""
        dice = self._dice
        while self._line.is_trading:
            await asyncio.sleep(dice.expovariate(self._per_hour / 3600))
            command = self._something()
            if command is not None and self._line.is_trading:
                await self.wish(command)

    async def wish(self, command: Command) -> Wish:
        """Ask for something until it is certain what came of it, with one request id."""
        wish = Wish(self._request(command), command)
        self.wishes.append(wish)
        for attempt in range(40):
            answer = await self.ask(wish)
            if answer.kind != "info":
                break
            await asyncio.sleep(min(60.0, 0.5 * 2**attempt) * (0.5 + self._dice.random()))
        if self._dice.random() < 0.1:
            await self.ask(wish)
        if self._dice.random() < 0.05 and isinstance(command, SubmitOrder):
            other = ClosePosition(command.symbol)
            forged = Wish(Request(wish.request.request_id, _digest(other)), other, is_forged=True)
            self.wishes.append(forged)
            await self.ask(forged)
        return wish

    async def ask(self, wish: Wish) -> Answer:
        """Ask once."""
        line, loop = self._line, self._line.loop
        deck, process = line.deck, line.process
        waiting: asyncio.Future[Recorded | QuarterdeckError | None] = loop.create_future()

        def hear(result: Recorded | QuarterdeckError | None) -> None:
            if not waiting.done():
                waiting.set_result(result)

        async def handle() -> None:
            assert deck is not None
            result: Recorded | QuarterdeckError | None
            try:
                if isinstance(wish.command, StartBot):
                    result = await deck.start_bot(wish.command.bot_id, wish.request)
                else:
                    result = await deck.submit(wish.command, wish.request)
            except QuarterdeckError as error:
                result = error
            loop.outside(_latency(self._dice), hear, result)

        if deck is not None and process is not None and process.is_alive:
            loop.outside(_latency(self._dice), _arrive, loop, process, handle)
        timeout = loop.call_later(PATIENCE, hear, QuarterdeckError("TIMEOUT", "no answer"))
        result = await waiting
        timeout.cancel()
        answer = _answer(loop.now, result)
        wish.answers.append(answer)
        return answer

    def draw(self) -> float:
        """A number of its own, from 0 to 1."""
        return self._dice.random()

    # --- what they want

    def _request(self, command: Command) -> Request:
        return Request(f"{self.name}-{len(self.wishes)}-{self._dice.getrandbits(48):012x}", _digest(command))

    def _something(self) -> Command | None:
        dice, deck = self._dice, self._line.deck
        instrument = dice.choice(INSTRUMENTS)
        draw = dice.random()
        if draw < 0.55:
            return self._order(instrument)
        orders = [] if deck is None else list(deck.state.open_orders)
        if draw < 0.70:
            return CancelOrder(dice.choice(orders)) if orders else None
        if draw < 0.78:
            return self._amendment(deck, orders) if deck is not None and orders else None
        if draw < 0.86:
            return ClosePosition(instrument.symbol)
        if draw < 0.89:
            return CancelAllOrders(instrument.symbol)
        if draw < 0.92:
            return EngageKillSwitch("a caller wants it", flatten=dice.random() < 0.5)
        if draw < 0.96:
            return ReleaseKillSwitch("a caller has looked")
        bots = [] if deck is None else list(deck.state.bots)
        if not bots:
            return None
        bot = dice.choice(bots)
        choices: list[Command] = [PauseBot(bot), StopBot(bot, flatten=dice.random() < 0.5), StartBot(bot, None)]
        return dice.choice(choices)

    def _order(self, instrument: Instrument) -> SubmitOrder:
        dice = self._dice
        mark = from_observation(self._line.market.price(instrument.symbol))
        side = dice.choice((Side.BUY, Side.SELL))
        tick, lot = instrument.tick_size, instrument.lot_size
        notional = Decimal(dice.randint(20, 3000))
        quantity = max(floor_to(notional / mark, lot), lot)
        kind = dice.choice((OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP))
        limit = trigger = None
        entry = mark
        if kind is OrderType.LIMIT:
            entry = limit = nearest_to(mark * (1 - side.sign * Decimal(dice.randint(-10, 60)) / 10_000), tick)
        elif kind is OrderType.STOP:
            entry = trigger = nearest_to(mark * (1 + side.sign * Decimal(dice.randint(5, 60)) / 10_000), tick)
        protects = dice.random() < 0.8
        stop = nearest_to(entry * (1 - side.sign * Decimal(dice.randint(30, 300)) / 10_000), tick) if protects else None
        target = nearest_to(entry * (1 + side.sign * Decimal(dice.randint(30, 300)) / 10_000), tick)
        in_force = TimeInForce.GTC
        if kind is OrderType.LIMIT:
            in_force = dice.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.POST_ONLY))
        reduces = dice.random() < 0.15
        return SubmitOrder(
            "",
            instrument.symbol,
            side,
            kind,
            quantity,
            limit,
            trigger,
            None,
            in_force,
            reduces,
            None if reduces else stop,
            target if stop is not None and not reduces and dice.random() < 0.5 else None,
        )

    def _amendment(self, deck: DaemonDeck, orders: Sequence[str]) -> AmendOrder | None:
        order = deck.state.open_orders[self._dice.choice(orders)]
        tick = next(one.tick_size for one in INSTRUMENTS if one.symbol == order.terms.symbol)
        factor = 1 + Decimal(self._dice.randint(-20, 20)) / 10_000
        if order.terms.limit_price is not None:
            return AmendOrder(order.order_id, limit_price=nearest_to(order.terms.limit_price * factor, tick))
        if order.terms.trigger_price is not None:
            return AmendOrder(order.order_id, trigger_price=nearest_to(order.terms.trigger_price * factor, tick))
        return None


def _arrive(loop: VirtualLoop, process: Process, handle: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if process.is_alive:
        _ = loop.start(process, handle())


def _latency(dice: Random) -> int:
    return round((0.001 + 0.05 * dice.random()) * SECOND)


def _digest(command: Command) -> str:
    return blake2b(repr(command).encode(), digest_size=16).hexdigest()


def _answer(time: int, result: Recorded | QuarterdeckError | None) -> Answer:
    match result:
        case Recorded():
            return Answer(time, "ok", result.sequence)
        case None:
            return Answer(time, "ok")
        case AlreadyExists() | CallerError():
            return Answer(time, "fail", reason=result.reason)
        case _:
            return Answer(time, "info", reason=result.reason)


def scripted(order: Mapping[str, str], market: Market) -> SubmitOrder:
    """An order as a scenario writes it: prices are parts of the price now, such as `stop_loss = "0.99"`."""
    instrument = next(one for one in INSTRUMENTS if one.symbol == order["symbol"])
    mark = from_observation(market.price(instrument.symbol))

    def price(name: str) -> Decimal | None:
        return nearest_to(mark * Decimal(order[name]), instrument.tick_size) if name in order else None

    return SubmitOrder(
        order.get("order_id", ""),
        instrument.symbol,
        Side(order["side"]),
        OrderType(order.get("type", "MARKET")),
        Decimal(order["quantity"]),
        price("limit_price"),
        price("trigger_price"),
        None,
        TimeInForce(order.get("time_in_force", "GTC")),
        order.get("reduce_only") == "yes",
        price("stop_loss"),
        price("take_profit"),
    )
