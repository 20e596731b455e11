"""Owns one run: a venue, a market, callers, and a daemon that is ended and started again, under faults of a seed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from uuid import UUID

import structlog

from quarterdeck.daemon import failpoints
from quarterdeck.daemon.config import BotSection, Config, Mode, OnStop, PluginChoice, ReconcileSection
from quarterdeck.daemon.core import Core
from quarterdeck.daemon.deck import DaemonDeck
from quarterdeck.daemon.journal import Entry, Journal, JournalDamaged
from quarterdeck.daemon.parts import Parts
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.market import MINUTE
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.inputs import ReleaseKillSwitch
from quarterdeck.engine.pipeline import Deciders, HardLimits
from quarterdeck.plugin.loader import Plugins, build, choose, load
from quarterdeck.simulation.callers import Caller, Wish
from quarterdeck.simulation.dice import dice
from quarterdeck.simulation.disk import Disk, SimulatedDatabase
from quarterdeck.simulation.exchange import BulkExchange, SimulatedExchange, Wire
from quarterdeck.simulation.faults import Faults
from quarterdeck.simulation.loop import SECOND, Process, VirtualLoop
from quarterdeck.simulation.market import EPOCH, INSTRUMENTS, STEPS, Market, SimulatedFeed
from quarterdeck.simulation.plan import Plan
from quarterdeck.simulation.plugins import with_moods
from quarterdeck.simulation.readers import Reader, Streams
from quarterdeck.simulation.strangers import Stranger
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
    lost: list[list[Entry]] = field(default_factory=list)
    """Journals that a copy from before took the place of."""
    wishes: list[Wish] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What processes died of when no fault was injected."""
    processes: int = 0
    core: Core | None = None
    """The daemon that runs at the end, settled."""
    venue: SimulatedVenue | None = None
    broken: str = ""
    """What is wrong with the chain of the journal; empty if it is whole."""
    unnoticed: Sequence[str] = ()
    """Damage that a start should have found and did not."""
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
        kind = BulkExchange if world.plan.has_bulk else SimulatedExchange
        self._exchange = kind(world.wire, world.disk, self.process, is_immediate=world.plan.is_immediate)

    async def main(self) -> None:
        """Run until it can't."""
        world = self._world
        parts = _parts(self._exchange, self.feed, world)
        self.core = core = await Core.open(world.config, parts, clock=world, journal=self._journal)
        core.tick_seconds = core.pulse.every = 120.0
        core.lease.ttl = world.plan.lease
        self.streams = Streams(core.deck)
        await core.take_up(persistently=True)
        self.is_up = True
        world.attend("down", is_away=False)
        await core.ended()
        if self.stopping is not None:
            await self.stopping

    async def stop(self, policy: OnStop) -> None:
        """End in order."""
        assert self.core is not None
        await self.core.close("asked to", policy)

    def _journal(self, config: Config) -> Journal:
        if self._world.plan.keep_events:
            self._world.keep()
        database = SimulatedDatabase(self._world.disk, self.process)
        database.lead(self._world.now(), alone=self._world.leads_alone)
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
            self.market,
            self.faults,
            lambda: self.loop.now,
            plan.balance,
            plan.window,
            plan.visibility,
            reuses_links=plan.reuses_links,
        )
        self.wire = Wire(self.loop, self.faults, self.venue, dice(plan.seed, "wire"))
        self.operator = Caller("operator", self, dice(plan.seed, "operator"), 0.0)
        """Somebody who looks after the account, and does what a scenario says."""
        self.node: Node | None = None
        self.is_trading = True
        self.processes = 0
        self.failures: list[str] = []
        self.armed: tuple[str, int, Callable[[Node], None]] | None = None
        """A failpoint, after how many hits of it something happens, and what."""
        self._gone: asyncio.Future[None] | None = None
        self.leads_alone = True
        """Whether no process before the one that starts can still be there."""
        self.power_lost = False
        """The process that ends took the machine with it."""
        self.lost: list[list[Entry]] = []
        """Journals that were replaced by an older copy."""
        self.damaged = ""
        """How what is on the disk was damaged."""
        self.unnoticed: list[str] = []
        """What a process did that should have noticed it."""
        self.config = CONFIG
        if plan.keep_events:
            kept = CONFIG.journal.model_copy(update={"keep_events": plan.keep_events})
            self.config = CONFIG.model_copy(update={"journal": kept})
        self._kept: list[Entry] = []
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

    def run(self, troubles: Iterable[Coroutine[Any, Any, None]] = ()) -> Evidence:
        """Run it to its end, with these going on beside."""
        use_money_context()
        with _quiet_logs(), self._failpoints():
            try:
                return self.loop.run(self._main(troubles))
            finally:
                self.loop.close()

    async def _main(self, troubles: Iterable[Coroutine[Any, Any, None]]) -> Evidence:
        plan = self.plan
        per_caller = plan.wishes_per_hour / plan.callers
        callers = [
            Caller(f"caller{number}", self, dice(plan.seed, f"caller {number}"), per_caller)
            for number in range(plan.callers)
        ]
        operator = self.operator
        readers = [
            Reader(self, self.disk, dice(plan.seed, f"reader {number}"), plan.slow_readers)
            for number in range(plan.readers)
        ]
        self.begin(self._supervise())
        self._minute(0)
        for caller in callers:
            self.begin(caller.live())
        for reader in readers:
            self.begin(reader.live())
        stranger = Stranger(self, dice(plan.seed, "stranger"), plan.strangers_per_hour)
        if plan.strangers_per_hour:
            self.begin(stranger.live())
        self.begin(self._operate(operator))
        for trouble in troubles:
            self.begin(trouble)
        await asyncio.sleep(plan.hours * 3600)
        self.is_trading = False
        self._calm()
        await asyncio.sleep(plan.quiet / SECOND)
        self._is_frozen = True
        await asyncio.sleep(60)
        mark = self.disk.head
        for _ in range(self.dice.choice((1, 1, 2))):
            if self.node is not None:
                self.kill(self.node)
            await asyncio.sleep(90)
        told = [*self.loop.complaints, *stranger.complaints, *(each for one in readers for each in one.complaints)]
        return await self._evidence([*callers, operator], readers, mark, told)

    def _calm(self) -> None:
        self.faults.are_on = False
        self.wire.is_out = False
        self.disk.is_full = False
        self.armed = None
        if self.process is not None and self.process.is_paused:
            self.resume(self.process)

    async def _evidence(
        self, callers: list[Caller], readers: list[Reader], mark: int, complaints: list[str]
    ) -> Evidence:
        node = self.node
        core = None if node is None or not node.is_up or not node.process.is_alive else node.core
        if core is not None:
            await core.deck.settled()
        evidence = Evidence(
            self.plan,
            self.venue.truth,
            wishes=[wish for caller in callers for wish in caller.wishes],
            transcripts=[reader.transcript for reader in readers],
            complaints=complaints,
            failures=self.failures,
            processes=self.processes,
            core=core,
            venue=self.venue,
            mark=mark,
        )
        self.keep()
        evidence.entries, evidence.lost, evidence.unnoticed = self._kept, self.lost, self.unnoticed
        evidence.broken = self._broken_chain()
        return evidence

    def keep(self) -> None:
        """Keep what a start may forget: all that the journal ever held, and holds."""
        entries = self.disk.entries()
        if self.plan.keep_events and entries:
            entries = [one for one in self._kept if one.sequence < entries[0].sequence] + entries
        self._kept = entries

    def _broken_chain(self) -> str:
        """What is wrong with the chain of what the disk holds; empty if it is whole."""
        journal = Journal(SimulatedDatabase(self.disk, Process("auditor")), CONFIG.account.id, turns=lambda _: None)
        try:
            deque(journal.iterate(journal.oldest - 1), maxlen=0)
        except JournalDamaged as error:
            return str(error)
        return ""

    def look_at_damaged(self, node: Node) -> None:
        """Look at what a process made of a damaged journal."""
        if node.core is None or not node.core.deck.damage:
            self.unnoticed.append(f"{node.process.name} did not notice that the journal is damaged ({self.damaged})")
        if any(one.process == node.process.name for one in self.venue.truth.sent):
            self.unnoticed.append(f"{node.process.name} sent requests with a damaged journal ({self.damaged})")

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something go on in the world."""
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
            self.attend("down", is_away=True)
            self.attend("paused", is_away=False)
            node = self.node = Node(self, self.processes)
            gone = self._gone = self.loop.create_future()
            task = self.loop.start(node.process, node.main())
            task.add_done_callback(partial(self._exited, node))
            await gone
            if self.power_lost:
                self.disk.lose_power()
                self.power_lost = False
            await asyncio.sleep(1 + 15 * self.dice.random())

    def _exited(self, node: Node, task: asyncio.Task[None]) -> None:
        if node is self.node and node.process.is_alive:
            error = task.exception()
            is_asked = node.stopping is not None and error is None  # maybe while faults were on
            if not (self.faults.are_on or is_asked):
                self.failures.append(f"{node.process.name} ended: {error!r}")
            self.kill(node)

    def attend(self, reason: str, *, is_away: bool) -> None:
        """Note from when until when the daemon can't know what happens."""
        self.venue.truth.attention.set(reason, self.now(), is_away=is_away)

    def pause(self, process: Process) -> None:
        """Have a process stand still."""
        process.is_paused = True
        self.attend("paused", is_away=True)

    def resume(self, process: Process) -> None:
        """Let it go on."""
        self.loop.resume(process)
        if process is self.process:
            self.attend("paused", is_away=False)

    def leave(self, node: Node) -> None:
        """Let another process begin, while this one stands still and is not known to have ended."""
        node.process.is_paused = True
        self.leads_alone = False
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def kill(self, node: Node) -> None:
        """End the process at once."""
        node.process.end()
        if node is self.node:
            self.attend("down", is_away=True)
            if self.wire.stream is not None and self.wire.stream.process is node.process:
                self.wire.stream = None
            if self._gone is not None and not self._gone.done():
                self._gone.set_result(None)

    def _hit(self, name: str) -> None:
        node = self.node
        if self.armed is None or node is None or self.armed[0] != name or not node.process.is_alive:
            return
        _, left, action = self.armed
        if left > 1:
            self.armed = (name, left - 1, action)
        else:
            self.armed = None
            action(node)

    @contextmanager
    def _failpoints(self) -> Iterator[None]:
        failpoints.install(self._hit)
        try:
            yield
        finally:
            failpoints.install(None)

    async def _operate(self, operator: Caller) -> None:
        """Somebody looks after it: what was restricted or halted is released after a while."""
        while self.is_trading:
            await asyncio.sleep(180)
            deck = self.deck
            if deck is None or deck.state.trading_state is TradingState.ACTIVE or self.plan.steps:
                continue
            if deck.state.trading_state is TradingState.REDUCING or operator.draw() < 0.3:
                await operator.wish(ReleaseKillSwitch("the operator has looked"))


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


#: The plugins that decide in a world; its venue and its market are the simulation's own.
PLUGINS = ("quarterdeck-sizer-speed-demon", "quarterdeck-risk-limits", "quarterdeck-strategy-sma-cross")


@cache
def _plugins() -> Plugins:
    return load(only=PLUGINS)


def _parts(exchange: SimulatedExchange, feed: SimulatedFeed, world: World) -> Parts:
    plugins = _plugins()
    sizer = choose(plugins.sizers, CONFIG.sizing.plugin, "sizer")
    limits = choose(plugins.risk_rules, "limits", "risk rule")
    rules = build(limits, {"max_daily_loss": "0.9", "max_drawdown": "0.9", "price_band": "0.2"}, "risk")
    if "plugin-fails" in world.plan.rates:
        plugins, rules = with_moods(plugins, rules, world.faults, world.venue.truth)
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
