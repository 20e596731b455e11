"""What the tests of the daemon's shell share: an engine, a committer that obeys, a venue that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from core.tests.engine.deciders import RatioSizer, Rule
from core.tests.engine.desk import IDS, INSTRUMENTS, MORNING, order
from quarterdeck.daemon.clock import ReplayClock
from quarterdeck.daemon.loop import Loop
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.capabilities import Capabilities
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import MINUTE, Candle, Side
from quarterdeck.domain.order import Order, OrderType
from quarterdeck.domain.report import Acked, Filled, Liquidity, Opened, Outcome
from quarterdeck.engine.effects import Effect
from quarterdeck.engine.events import Recorded
from quarterdeck.engine.inputs import OpenAccount, Sending
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.pipeline import Deciders
from quarterdeck.engine.state import State
from quarterdeck.plugin import Activity, AmendOrder, CancelOrder, Deliver, PlaceOrder, VenueOrder, VenuePosition


@dataclass
class HeldCommits:
    """A committer whose commits end when the test says so."""

    durable: list[Recorded] = field(default_factory=list)
    waiting: list[tuple[Sequence[Recorded], Callable[[BaseException | None], None]]] = field(default_factory=list)
    hold: bool = False

    def commit(self, events: Sequence[Recorded], done: Callable[[BaseException | None], None]) -> None:
        self.waiting.append((events, done))
        if not self.hold:
            asyncio.get_running_loop().call_soon(self.release)

    def release(self, failure: BaseException | None = None) -> None:
        events, done = self.waiting.pop(0)
        if failure is None:
            self.durable += events
        done(failure)


@dataclass
class Venue:
    """A venue that answers what the test gave it."""

    outcome: Callable[[PlaceOrder], Outcome] = lambda order: Acked(order.link_id, "x", MORNING)
    placed: list[PlaceOrder] = field(default_factory=list)
    canceled: list[CancelOrder] = field(default_factory=list)
    amended: list[AmendOrder] = field(default_factory=list)
    known: dict[str, VenueOrder] = field(default_factory=dict)
    trades: dict[str, list[Filled]] = field(default_factory=dict)
    held: list[VenuePosition] = field(default_factory=list)
    working: list[VenueOrder] = field(default_factory=list)
    money: dict[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(10_000)})
    fails: Exception | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)

    async def open(self, deliver: Deliver) -> None:
        self.deliver = deliver

    async def close(self) -> None:
        pass

    async def instruments(self) -> Sequence[Instrument]:
        return tuple(INSTRUMENTS.values())

    async def place(self, order: PlaceOrder) -> Outcome:
        self.placed.append(order)
        if self.fails:
            raise self.fails
        return self.outcome(order)

    async def cancel(self, order: CancelOrder) -> None:
        self.canceled.append(order)
        if self.fails:
            raise self.fails

    async def amend(self, order: AmendOrder) -> None:
        self.amended.append(order)
        if self.fails:
            raise self.fails

    async def find_order(self, link_id: str, symbol: str) -> VenueOrder | None:
        return self.known.get(link_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        return self.working

    async def positions(self) -> Sequence[VenuePosition]:
        return self.held

    async def balances(self) -> Mapping[str, Decimal]:
        return self.money

    async def fills(self, link_id: str, symbol: str) -> Sequence[Filled]:
        return self.trades.get(link_id, [])

    async def history(self, since: int) -> Sequence[Activity]:
        trades = [fill for fills in self.trades.values() for fill in fills]
        return sorted((fill for fill in trades if fill.time >= since), key=lambda fill: fill.time)


class Bridge:
    """An engine on its loop, with an open account that has seen a price of 50 000."""

    def __init__(self) -> None:
        use_money_context()
        self.machine = Machine(State(), dict(INSTRUMENTS), Deciders(RatioSizer(), rules=[Rule()]), IDS)
        self.commits = HeldCommits()
        self.clock = ReplayClock(MORNING)
        self.loop = Loop(self.machine, self.commits, self.clock)
        self.effects: list[Effect] = []
        self.doubted: list[str] = []
        self.published: list[Recorded] = []
        self.loop.connect(self.effects.extend, [self.published.extend])

    async def open(self) -> Bridge:
        await self.loop.ask(OpenAccount("paper", "USDT", (("USDT", Decimal(10_000)),)))
        self.loop.take(candle(50_000.0))
        await self.loop.idle()
        return self

    @property
    def state(self) -> State:
        return self.machine.state


async def placed(bridge: Bridge, order_id: str, *, sent: bool = True) -> Order:
    """A limit order, sent or only prepared."""
    await bridge.loop.ask(order("0.1", order_id=order_id, type=OrderType.LIMIT, limit_price="49000"))
    found = bridge.state.order(order_id)
    assert found is not None
    if sent:
        bridge.loop.post(Sending(found.link_id))
        await bridge.loop.idle()
    return found


async def opened(bridge: Bridge, order_id: str) -> Order:
    """A limit order that works."""
    found = await placed(bridge, order_id)
    bridge.loop.post(Acked(found.link_id, "x", bridge.clock.now()))
    bridge.loop.post(Opened(found.link_id, "x", bridge.clock.now()))
    await bridge.loop.idle()
    return found


def traded(found: Order, bridge: Bridge, trade_id: str = "t1") -> Filled:
    """All of an order, traded at its price."""
    taker, now = Liquidity.TAKER, bridge.clock.now()
    price, fee = Decimal(49_000), Decimal("2.7")
    return Filled(found.link_id, trade_id, "btcusdt", Side.BUY, Decimal("0.1"), price, fee, "USDT", taker, now)


def candle(close: float, at: int = MORNING) -> Candle:
    """A closed candle that never moved."""
    return Candle("btcusdt", MINUTE, at - MINUTE, close, close, close, close, 1.0)


@pytest.fixture
async def bridge() -> Bridge:
    return await Bridge().open()


@pytest.fixture
def venue() -> Venue:
    return Venue()
