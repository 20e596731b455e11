"""Owns one run: a venue, a market, callers, and a daemon that is ended and started again, under faults of a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, partial
from random import Random
from typing import Any
from uuid import UUID

import structlog

from quarterdeck.daemon import failpoints
from quarterdeck.daemon.config import BotSection, Config, Mode, OnStop, PluginChoice, ReconcileSection
from quarterdeck.daemon.core import Core
from quarterdeck.daemon.deck import DaemonDeck
from quarterdeck.daemon.journal import Entry, Journal
from quarterdeck.daemon.parts import Parts
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.market import MINUTE, Side
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.inputs import CancelAllOrders, ClosePosition, EngageKillSwitch, ReleaseKillSwitch, Request
from quarterdeck.engine.pipeline import Deciders, HardLimits
from quarterdeck.plugin.loader import Plugins, build, choose, load
from quarterdeck.simulation.callers import Caller, Wish, scripted
from quarterdeck.simulation.dice import dice
from quarterdeck.simulation.disk import Disk, SimulatedDatabase
from quarterdeck.simulation.exchange import SimulatedExchange, Wire
from quarterdeck.simulation.faults import FAULTS, Faults
from quarterdeck.simulation.loop import SECOND, Crash, Process, VirtualLoop
from quarterdeck.simulation.market import EPOCH, INSTRUMENTS, STEPS, Market, SimulatedFeed
from quarterdeck.simulation.plan import Plan, Step
from quarterdeck.simulation.readers import Reader, Streams
from quarterdeck.simulation.truth import Truth
from quarterdeck.simulation.venue import SimulatedVenue
from quarterdeck.testing.stream_laws import Transcript


@dataclass(slots=True)
class Evidence:
    """What a run has left behind, for the invariants."""

    plan: Plan
    truth: Truth
    entries: list[Entry] = field(default_factory=list)
    """The journal at the end."""
    lost: list[Entry] = field(default_factory=list)
    """A journal that a copy from before took the place of."""
    wishes: list[Wish] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What processes died of when no fault was injected."""
    processes: int = 0
    core: Core | None = None
    """The daemon that runs at the end, settled."""
    venue: SimulatedVenue | None = None
    mark: int = 0
    """The journal's head when all was quiet; after it the daemon was only killed and started again."""


class Node:
    """One process of the daemon."""

    def __init__(self, world: World, number: int) -> None:
        self.process = Process(f"daemon-{number}")
        self.feed = SimulatedFeed(world.market, world.loop, world.faults, self.process)
        self.core: Core | None = None
        self.streams: Streams | None = None
        self.is_up = False
        self.stopping: asyncio.Task[None] | None = None
        self._world = world
        self._exchange = SimulatedExchange(world.wire, world.disk, self.process)

    async def main(self) -> None:
        """Run until it can't."""
        world = self._world
        parts = _parts(self._exchange, self.feed)
        self.core = core = await Core.open(CONFIG, parts, clock=world, journal=self._journal)
        core.tick_seconds = core.pulse.every = 120.0
        core.lease.ttl = 3_600.0
        self.streams = Streams(core.deck)
        await core.take_up(persistently=True)
        self.is_up = True
        await core.ended()
        if self.stopping is not None:
            await self.stopping

    async def stop(self, policy: OnStop) -> None:
        """End in order."""
        assert self.core is not None
        await self.core.close("asked to", policy)

    def _journal(self, config: Config) -> Journal:
        database = SimulatedDatabase(self._world.disk, self.process)
        return Journal(database, config.account.id, turns=database.turns)


class World:
    """Everything of one run. Also the daemon's clock."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dice = dice(plan.seed, "world")
        self.loop = VirtualLoop(dice(plan.seed, "order"))
        self.faults = Faults(plan.seed, plan.rates)
        self.market = Market(plan.seed)
        self.disk = Disk(self.loop, self.faults, UUID(int=dice(plan.seed, "journal").getrandbits(128), version=4))
        self.venue = SimulatedVenue(
            self.market, self.faults, lambda: self.loop.now, plan.balance, plan.window, plan.visibility
        )
        self.wire = Wire(self.loop, self.faults, self.venue, dice(plan.seed, "wire"))
        self.node: Node | None = None
        self.is_trading = True
        self.processes = 0
        self.failures: list[str] = []
        self._armed: tuple[str, int, Callable[[Node], None]] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._power_lost = False
        self._backup = b""
        self._lost: list[Entry] = []
        self._is_frozen = False
        self._tasks: list[asyncio.Task[None]] = []

    def now(self) -> int:
        """Nanoseconds since the epoch: what the daemon's clock shows."""
        return EPOCH + self.loop.now

    @property
    def deck(self) -> DaemonDeck | None:
        """The daemon that can be reached, if any."""
        node = self.node
        return None if node is None or node.core is None or not node.process.is_alive else node.core.deck

    @property
    def process(self) -> Process | None:
        """The daemon's process."""
        return None if self.node is None else self.node.process

    @property
    def streams(self) -> Streams | None:
        """The daemon's streams, once it is reachable."""
        return None if self.node is None else self.node.streams

    # --- the run

    def run(self) -> Evidence:
        """Run it to its end."""
        use_money_context()
        with _quiet_logs(), self._failpoints():
            try:
                return self.loop.run(self._main())
            finally:
                self.loop.close()

    async def _main(self) -> Evidence:
        plan = self.plan
        per_caller = plan.wishes_per_hour / plan.callers
        callers = [
            Caller(f"caller{number}", self, dice(plan.seed, f"caller {number}"), per_caller)
            for number in range(plan.callers)
        ]
        self.operator = operator = Caller("operator", self, dice(plan.seed, "operator"), 0.0)
        readers = [Reader(self, self.disk, dice(plan.seed, f"reader {number}")) for number in range(plan.readers)]
        self._begin(self._supervise())
        self._minute(0)
        for caller in callers:
            self._begin(caller.live())
        for reader in readers:
            self._begin(reader.live())
        for name, fault in FAULTS.items():
            if fault.timed and name in plan.rates:
                self._begin(self._nemesis(name, plan.rates[name]))
        self._begin(self._operate(operator))
        for step in plan.steps:
            self._begin(self._play(step))
        await asyncio.sleep(plan.hours * 3600)
        self.is_trading = False
        self._calm()
        await asyncio.sleep(plan.quiet / SECOND)
        self._is_frozen = True
        await asyncio.sleep(60)
        mark = self.disk.head
        for _ in range(2):
            if self.node is not None:
                self.kill(self.node)
            await asyncio.sleep(90)
        return await self._evidence([*callers, operator], readers, mark)

    def _calm(self) -> None:
        self.faults.are_on = False
        self.wire.is_out = False
        self._armed = None
        if self.process is not None and self.process.is_paused:
            self.loop.resume(self.process)

    async def _evidence(self, callers: list[Caller], readers: list[Reader], mark: int) -> Evidence:
        node = self.node
        core = None if node is None or not node.is_up or not node.process.is_alive else node.core
        if core is not None:
            await core.deck.settled()
        evidence = Evidence(
            self.plan,
            self.venue.truth,
            wishes=[wish for caller in callers for wish in caller.wishes],
            transcripts=[reader.transcript for reader in readers],
            complaints=self.loop.complaints,
            failures=self.failures,
            processes=self.processes,
            core=core,
            venue=self.venue,
            mark=mark,
        )
        evidence.entries, evidence.lost = self._entries(), self._lost
        return evidence

    def _entries(self) -> list[Entry]:
        journal = Journal(SimulatedDatabase(self.disk, Process("auditor")), CONFIG.account.id, turns=lambda _: None)
        return list(journal.iterate(0))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self.loop.create_task(work))

    # --- the market

    def _minute(self, step: int) -> None:
        """Called a few times a minute."""
        if step and not self._is_frozen:
            self.market.step()
            self.venue.see_market()
            if step % STEPS == 0:
                for candle in self.market.close_minute(self.now()):
                    if self.node is not None:
                        self.node.feed.show(candle)
        self.loop.outside(MINUTE // STEPS, self._minute, step + 1)

    # --- the process

    async def _supervise(self) -> None:
        while True:
            self.processes += 1
            node = self.node = Node(self, self.processes)
            gone = self._gone = self.loop.create_future()
            task = self.loop.start(node.process, node.main())
            task.add_done_callback(partial(self._exited, node))
            await gone
            if self._power_lost:
                self.disk.lose_power()
                self._power_lost = False
            await asyncio.sleep(1 + 15 * self.dice.random())

    def _exited(self, node: Node, task: asyncio.Task[None]) -> None:
        if node is self.node and node.process.is_alive:
            error = task.exception()
            if not self.faults.are_on:
                self.failures.append(f"{node.process.name} ended: {error!r}")
            self.kill(node)

    def kill(self, node: Node) -> None:
        """End the process at once."""
        node.process.end()
        if node is self.node:
            if self.wire.stream is not None and self.wire.stream.process is node.process:
                self.wire.stream = None
            if self._gone is not None and not self._gone.done():
                self._gone.set_result(None)

    def _hit(self, name: str) -> None:
        node = self.node
        if self._armed is None or node is None or self._armed[0] != name or not node.process.is_alive:
            return
        _, left, action = self._armed
        if left > 1:
            self._armed = (name, left - 1, action)
        else:
            self._armed = None
            action(node)

    def _crash_here(self, node: Node) -> None:
        self.faults.hits("crash-at-failpoint")
        self.kill(node)
        raise Crash(node.process.name)

    def _halt_here(self, node: Node) -> None:
        """Somebody pulls the kill switch at this very moment."""
        if node.core is not None:
            wish = node.core.deck.submit(EngageKillSwitch("at this very moment"), Request())
            self._tasks.append(self.loop.start(node.process, _to_its_end(wish)))

    @contextmanager
    def _failpoints(self) -> Iterator[None]:
        failpoints.install(self._hit)
        try:
            yield
        finally:
            failpoints.install(None)

    # --- what a scenario does

    async def _operate(self, operator: Caller) -> None:
        """Somebody looks after it: what was restricted or halted is released after a while."""
        while self.is_trading:
            await asyncio.sleep(180)
            deck = self.deck
            if deck is None or deck.state.trading_state is TradingState.ACTIVE or self.plan.steps:
                continue
            if deck.state.trading_state is TradingState.REDUCING or operator.draw() < 0.3:
                await operator.wish(ReleaseKillSwitch("the operator has looked"))

    async def _play(self, step: Step) -> None:
        await asyncio.sleep(step.at)
        action = getattr(self, "_do_" + step.do.replace("-", "_"), None)
        if action is None:
            raise ConfigError(f"{self.plan.scenario}: nothing here can do {step.do!r}")
        await action(**step.arguments)

    async def _do_crash(self) -> None:
        await self._crash(self.dice)

    async def _do_power_loss(self) -> None:
        await self._power_loss(self.dice)

    async def _do_crash_at(self, failpoint: str, hit: int = 1) -> None:
        self._armed = (failpoint, hit, self._crash_here)

    async def _do_kill_switch_at(self, failpoint: str, hit: int = 1) -> None:
        self._armed = (failpoint, hit, self._halt_here)

    async def _do_crash_loop(self, failpoints: list[str]) -> None:
        """Kill it once at each of these, one after the other."""
        for name in failpoints:
            self._armed = (name, 1, self._crash_here)
            if self.process is not None and self.process.is_alive and not name.startswith("start."):
                await asyncio.sleep(60)
            else:
                await self._crash(self.dice)
            for _ in range(120):
                if self._armed is None:
                    break
                await asyncio.sleep(1)

    async def _do_pause(self, seconds: float) -> None:
        process = self.process
        if process is not None:
            process.is_paused = True
            await asyncio.sleep(seconds)
            self.loop.resume(process)

    async def _do_restart(self) -> None:
        await self._restart(self.dice)

    async def _do_cut_stream(self) -> None:
        self.wire.cut()

    async def _do_rate(self, fault: str, rate: float) -> None:
        self.faults.rates[fault] = rate

    async def _do_outage(self, seconds: float) -> None:
        self.wire.is_out = True
        await asyncio.sleep(seconds)
        self.wire.is_out = False

    async def _do_kill_switch(self, flatten: bool = False) -> None:
        await self.operator.wish(EngageKillSwitch("the scenario wants it", flatten=flatten))

    async def _do_release(self) -> None:
        await self.operator.wish(ReleaseKillSwitch("the scenario wants it"))

    async def _do_order(self, **order: str) -> None:
        await self.operator.wish(scripted(order, self.market))

    async def _do_cancel_all(self, symbol: str) -> None:
        await self.operator.wish(CancelAllOrders(symbol))

    async def _do_close(self, symbol: str) -> None:
        await self.operator.wish(ClosePosition(symbol))

    async def _do_trade_by_hand(self, symbol: str, side: str, quantity: str) -> None:
        self.venue.trade_by_hand(symbol, Side(side), Decimal(quantity))

    async def _do_cancel_by_hand(self) -> None:
        self.venue.cancel_by_hand(self.dice.choice)

    async def _do_jump(self, symbol: str, part: float) -> None:
        self.market.jump(symbol, part)
        self.venue.see_market()

    async def _do_back_up(self) -> None:
        self._backup = self.disk.copy()

    async def _do_restore(self) -> None:
        """The machine is lost, and the daemon begins again from the copy."""
        await self._crash(self.dice)
        self._lost += self._entries()
        self.disk.restore(self._backup)

    # --- what goes wrong by the clock

    async def _nemesis(self, name: str, per_hour: float) -> None:
        dice = self.faults.dice(name)
        strike: Callable[[Random], Coroutine[Any, Any, bool]] = getattr(self, "_" + name.replace("-", "_"))
        while True:
            await asyncio.sleep(dice.expovariate(per_hour / 3600))
            if not self.faults.are_on:
                return
            if await strike(dice):
                self.faults.hits(name)

    async def _outage(self, dice: Random) -> bool:
        self.wire.is_out = True
        await asyncio.sleep(2 + dice.expovariate(1 / 30))
        self.wire.is_out = False
        return True

    async def _cut_stream(self, dice: Random) -> bool:
        self.wire.cut()
        return True

    async def _crash(self, dice: Random) -> bool:
        if self.node is not None and self.node.process.is_alive:
            self.kill(self.node)
            return True
        return False

    async def _restart(self, dice: Random) -> bool:
        node = self.node
        if node is None or not node.is_up or not node.process.is_alive or node.stopping is not None:
            return False
        node.stopping = self.loop.start(node.process, node.stop(dice.choice(list(OnStop))))
        return True

    async def _pause(self, dice: Random) -> bool:
        process = self.process
        if process is None or not process.is_alive or process.is_paused:
            return False
        process.is_paused = True
        await asyncio.sleep(dice.choice((5, 60, 600)) * (0.5 + dice.random()))
        self.loop.resume(process)
        return True

    async def _power_loss(self, dice: Random) -> bool:
        self._power_lost = True
        return await self._crash(dice)

    async def _crash_at_failpoint(self, dice: Random) -> bool:
        self._armed = (dice.choice(failpoints.NAMES), dice.randint(1, 3), self._crash_here)
        return False  # counted when it is hit

    async def _manual_order(self, dice: Random) -> bool:
        instrument = dice.choice(INSTRUMENTS)
        quantity = instrument.lot_size * dice.randint(1, 20)
        self.venue.trade_by_hand(instrument.symbol, dice.choice((Side.BUY, Side.SELL)), quantity)
        return True

    async def _manual_cancel(self, dice: Random) -> bool:
        return self.venue.cancel_by_hand(dice.choice)

    async def _transfer(self, dice: Random) -> bool:
        self.venue.transfer(Decimal(dice.randint(-500_000, 500_000)) / 100)
        return True

    async def _funding(self, dice: Random) -> bool:
        self.venue.settle_funding(dice.uniform(-0.001, 0.001))
        return True

    async def _jump(self, dice: Random) -> bool:
        self.market.jump(dice.choice(INSTRUMENTS).symbol, dice.uniform(-0.05, 0.05))
        self.venue.see_market()
        return True


async def _to_its_end(work: Coroutine[Any, Any, object]) -> None:
    await work


CONFIG = Config(
    mode=Mode.TESTNET,
    exchange=PluginChoice(plugin="simulated"),
    feed=PluginChoice(plugin="simulated"),
    reconcile=ReconcileSection(every="300s"),
    bots=tuple(
        BotSection(
            id=f"bot-{instrument.base.lower()}",
            strategy="sma-cross",
            instrument=instrument.symbol,
            interval="1m",
            settings={"fast": 4, "slow": 12, "allow_short": True, "stop_percent": 0.8},
        )
        for instrument in INSTRUMENTS
    ),
)


@cache
def _plugins() -> Plugins:
    return load()


def _parts(exchange: SimulatedExchange, feed: SimulatedFeed) -> Parts:
    plugins = _plugins()
    sizer = choose(plugins.sizers, CONFIG.sizing.plugin, "sizer")
    limits = choose(plugins.risk_rules, "limits", "risk rule")
    rules = build(limits, {"max_daily_loss": "0.9", "max_drawdown": "0.9", "price_band": "0.2"}, "risk")
    deciders = Deciders(build(sizer, {}, "sizing"), rules=list(rules), limits=HardLimits(), venue=exchange.capabilities)
    return Parts(plugins, exchange, feed, deciders, ())


@contextmanager
def _quiet_logs() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(_logger: object, _method: str, _event: object) -> Any:  # noqa: ANN401 - never returns
    raise structlog.DropEvent
