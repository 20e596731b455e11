"""Owns one account's daemon without its network: journal, engine, venue, feed and bots, and the order they come up in.

The gRPC server, signals and everything else about being a process is `app.py`. A simulation runs this very class, on a
clock and a disk of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Self

import structlog

from quarterdeck.daemon.bots import check_section, take_up_bots
from quarterdeck.daemon.clock import Clock, ReplayClock, SystemClock
from quarterdeck.daemon.config import Config, OnStop
from quarterdeck.daemon.crashes import Crashes
from quarterdeck.daemon.deck import DaemonDeck, Phase
from quarterdeck.daemon.disk import Disk
from quarterdeck.daemon.doctor import Doctor, steady_drift
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.feed_link import FeedLink
from quarterdeck.daemon.intake import Intake, MakeNotary, open_journal, quarantine_unopened, take_in
from quarterdeck.daemon.journal import Frames, Journal, JournalBroken, JournalDamaged
from quarterdeck.daemon.keeper import History
from quarterdeck.daemon.lease import Lease
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.market_data import MarketData
from quarterdeck.daemon.market_watch import MarketWatch
from quarterdeck.daemon.order_link import OrderLink
from quarterdeck.daemon.parts import Parts
from quarterdeck.daemon.pulse import Pulse
from quarterdeck.daemon.reconcile import Reconciler, venue_account
from quarterdeck.daemon.records import Records
from quarterdeck.daemon.relisting import Relisting
from quarterdeck.daemon.resolver import Resolver
from quarterdeck.daemon.steps import Persistently, once
from quarterdeck.daemon.stop_waits import StopWaits
from quarterdeck.daemon.stopping import stand_down
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND
from quarterdeck.domain.report import Report, StreamDown, StreamUp
from quarterdeck.domain.risk import TradingState
from quarterdeck.engine.effects import Effect
from quarterdeck.engine.ids import LinkIds
from quarterdeck.engine.inputs import (
    ClearObstacle,
    EngageKillSwitch,
    OpenAccount,
    SetObstacle,
    StartDaemon,
    StopDaemon,
    Timer,
)
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.obstacles import LEASE, STOPPING, Obstacle
from quarterdeck.engine.state import State
from quarterdeck.plugin.exchange import EmbeddedExchange, FrameSource, Reminded
from quarterdeck.plugin.fields import interval_ns

log = structlog.get_logger(__name__)

#: How often the clock is shown to the engine when no market event does, unless `Core.tick_seconds` is set.
TICK_SECONDS = 1.0

#: Seconds that answers of the venue are waited for when the daemon stops, of a longer `daemon.stop_within`.
ANSWERS_WITHIN = 10.0

#: Seconds that requests under way may still take after that, and the venue to be let go of.
DRAINED_WITHIN, CLOSED_WITHIN = 5.0, 3.0

VERSION = version("quarterdeck")

_YEAR_2024 = 1_704_067_200 * SECOND


@dataclass(frozen=True, slots=True)
class _Opened:
    """What opening an account gives. `instruments` are the machine's own, and empty until the venue has said them."""

    clock: Clock
    intake: Intake
    machine: Machine
    instruments: dict[str, Instrument]
    venue: AsyncExitStack
    """Closes the venue, once."""
    undo: AsyncExitStack


class Core:
    """One account. `open` reads its journal, `take_up` brings everything up in order, `close` takes it down."""

    def __init__(self, config: Config, parts: Parts, opened: _Opened) -> None:
        self._config = config
        self._parts = parts
        self._clock = clock = opened.clock
        self._journal = journal = opened.intake.journal
        self._keeper = keeper = opened.intake.keeper
        self._machine = machine = opened.machine
        self._instruments = opened.instruments
        self._venue = opened.venue
        self._undo = opened.undo
        events = EventLog(journal)
        self._loop = loop = Loop(machine, Records(journal, events, config.account.id), clock)
        window = parts.exchange.capabilities.admission_window / SECOND
        ttl = None if isinstance(clock, ReplayClock) else interval_ns(config.journal.lease) / SECOND
        self.lease = Lease(journal, loop, machine.obstacles, ttl, window, self._agree_again)
        """The right to send."""
        self._resolver = Resolver(machine.state, parts.exchange, loop, clock, may_send=self.lease.may_send)
        self._reconciler = Reconciler(machine, parts.exchange, loop, clock, self._resolver)
        self._relisting = Relisting(parts.exchange, loop)
        self._link = OrderLink(parts.exchange, loop, clock, self._resolver.ask, self.lease.may_send)
        kept = config.journal
        self._frames = Frames(journal, clock.now, days=kept.keep_frames_days, most=kept.keep_frames)
        waits = StopWaits(machine.state)
        self._held: list[Effect] = []
        """What the kill switch asked of the venue before it was connected."""
        self._publish = [
            lambda news: keeper.note(machine.state, news),
            self._resolver.hear,
            self._reconciler.hear,
            waits.hear,
            self._relisting.hear,
        ]
        loop.connect(self._held.extend, self._publish)
        loop.broken.add_done_callback(self._broke)
        self._market_watch = MarketWatch(parts.feed, loop, machine.obstacles)
        self._watches = (
            self._market_watch,
            Disk(journal, loop, machine.obstacles),
            Crashes(config.daemon, machine.state, loop, clock, machine.obstacles),
        )
        market_data = MarketData()
        self._feed_link = FeedLink(parts.feed, parts.exchange, loop, clock, market_data)
        self.pulse = Pulse(loop, lambda: journal.head, lambda: bool(self.lease.trouble))
        """Whether it is alive. It beats while the daemon runs."""
        self.deck = DaemonDeck(
            config=config,
            version=VERSION,
            parts=parts,
            machine=machine,
            loop=loop,
            events=events,
            market_data=market_data,
            history=History(journal, keeper, loop, machine.state),
            feed_link=self._feed_link,
            market_watch=self._market_watch,
            clock=clock,
            journal=journal,
            keeper=keeper,
            pulse=self.pulse,
            unclean_start=not machine.state.clean,
            lease_remaining=lambda: self.lease.remaining,
            journal_trouble=lambda: self.lease.trouble,
            reconciler=self._reconciler,
            doctor=Doctor(machine, loop, journal, keeper, self.pulse, parts.exchange, clock, waits, steady_drift()),
            damage=opened.intake.damage,
        )
        """What callers see of it."""
        self.tick_seconds = TICK_SECONDS
        """How often the clock is shown to the engine, and the tables are brought up to date."""
        self._background: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._has_begun = False
        self._has_asked = False
        self._is_wound_up = False

    @classmethod
    async def open(
        cls,
        config: Config,
        parts: Parts,
        *,
        clock: Clock | None = None,
        journal: Callable[[Config], Journal] = open_journal,
        notary: MakeNotary = lambda *_: None,
    ) -> Self:
        """Read the account's journal; nothing is sent yet. Time is the feed's own in a replay, else `clock`'s.

        What can be checked without the journal is checked before it is touched. With a `notary` its heads are signed. A
        damaged journal is quarantined: it can be looked at as far as it is intact, and nothing is done.

        Raises:
            ConfigError: the configuration, a plugin, the data or the journal can't be used; nothing is left open.
        """
        use_money_context()
        async with AsyncExitStack() as undo:
            venue = await undo.enter_async_context(AsyncExitStack())
            venue.push_async_callback(parts.exchange.close)
            undo.push_async_callback(parts.feed.close)
            instruments: dict[str, Instrument] = {}
            try:
                await _survey(config, parts, instruments)
            except ConfigError:
                raise
            except Exception as error:  # noqa: BLE001 - the account can be looked at without its venue; taking up asks again
                log.warning("venue_away", error=repr(error))
            failpoint("start.parts")
            try:
                opened = await asyncio.to_thread(journal, config)
            except JournalDamaged as error:
                intake = await asyncio.to_thread(quarantine_unopened, config, str(error))
            else:
                undo.push_async_callback(asyncio.to_thread, opened.close)
                failpoint("start.journal")
                intake = await asyncio.to_thread(take_in, opened, config, notary)
            undo.push_async_callback(asyncio.to_thread, intake.undo.close)
            state = intake.state
            failpoint("start.fold")
            if not state.is_new and state.mode != config.mode:
                name, kept = intake.journal.name, state.mode
                raise ConfigError(f"mode: the journal {name} was kept in mode {kept!r}, not {config.mode.value!r}")
            time = ReplayClock(state.time) if parts.feed.is_replay else clock or SystemClock()
            ids = LinkIds(intake.journal.journal_id.bytes, max(intake.journal.epoch, _epoch(state, time)))
            machine = Machine(state, instruments, parts.deciders, ids)
            return cls(config, parts, _Opened(time, intake, machine, instruments, venue, undo.pop_all()))

    @property
    def feed_events(self) -> int:
        """Market events delivered so far."""
        return self._feed_link.events

    @property
    def head(self) -> int:
        """The journal's last durable sequence."""
        return self._journal.head

    @property
    def broken(self) -> asyncio.Future[BaseException]:
        """Done, with what it was, once the journal or the engine has failed and nothing is taken any more."""
        return self._loop.broken

    async def ended(self) -> None:
        """Wait until the feed has come to its end, or the daemon has to stop.

        Raises:
            BaseException: what broke it.
        """
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    # ------------------------------------------------------------ start

    async def take_up(self, *, persistently: bool = False) -> None:
        """Agree with the venue, take up the bots, and let the market in; from then on commands are taken.

        A daemon whose journal is damaged does nothing of that: it only answers questions.

        The gate opens last. A step that fails ends the start; `persistently` it is tried again, later each time, and
        until it succeeds the daemon's status says SAFE and why.

        Raises:
            ConfigError: the configuration turns out to be wrong, now that the venue can be asked.
        """
        after = self._machine.state.time
        self._background.append(asyncio.create_task(self.pulse.beat(), name="pulse"))
        if self.deck.damage:
            return
        await self.lease.begin()
        self._background.append(asyncio.create_task(self.lease.keep(), name="lease"))
        done = Persistently(self._loop, self._machine.obstacles) if persistently else once
        await self._begin()
        await done("reading the venue's instruments", self._survey)
        await done("opening the account", self._open_account)
        failpoint("start.restore")
        await self._begin()
        self._watch()
        failpoint("start.begun")
        await self._wait_out()
        await done("connecting to the venue", self._connect)
        failpoint("start.exchange")
        await done("agreeing with the venue", self._agree)
        await self._halt_again()
        failpoint("start.account")
        await done("taking up the bots", self._take_up_bots)
        failpoint("start.bots")
        await self._loop.settled()
        self._keeper.keep(self._machine.state)
        self._background.append(asyncio.create_task(self._feed(after), name="feed"))
        self._background.append(asyncio.create_task(self._tick(), name="tick"))
        if not isinstance(self._clock, ReplayClock):
            every = interval_ns(self._config.reconcile.every) / SECOND
            self._background.append(asyncio.create_task(self._reconciler.keep(every), name="reconcile"))
            self._background.append(asyncio.create_task(self._relisting.keep(), name="relisting"))
        self.deck.phase = Phase.RUNNING

    async def _begin(self) -> None:
        """Record the start, before anything of this daemon's is: at once, or after a new account's opening."""
        if not self._has_begun and not self._machine.state.is_new:
            await self._loop.ask(StartDaemon(VERSION, self._config.mode, self._parts.names))
            self._has_begun = True

    async def _wait_out(self) -> None:
        """Let whatever the daemon before may have under way arrive at the venue, before the venue is asked."""
        if seconds := self.lease.to_wait:
            why = f"the daemon that led before may still live: waiting {seconds:g} s for its lease to end"
            log.warning("waiting_out", seconds=seconds)
            self._loop.post(SetObstacle(Obstacle(LEASE, why)))
            await asyncio.sleep(seconds)
            self._loop.post(ClearObstacle(LEASE))

    async def _survey(self) -> None:
        if not self._instruments:
            await _survey(self._config, self._parts, self._instruments)

    async def _open_account(self) -> None:
        config, state, exchange = self._config, self._machine.state, self._parts.exchange
        if state.is_new:
            if isinstance(self._clock, ReplayClock):
                self._clock.advance(self._parts.feed.start_time)
            balances = tuple(sorted((await exchange.balances()).items()))
            await self._loop.ask(OpenAccount(config.mode, config.account.settle, balances))
        elif isinstance(exchange, EmbeddedExchange):
            try:
                exchange.restore(venue_account(state))
            except ValueError as error:
                raise ConfigError(f"exchange: {error}") from error

    async def _connect(self) -> None:
        """From now on the venue reports, and hears what the kill switch may have asked of it meanwhile."""
        exchange = self._parts.exchange
        sources = [each for each in (exchange, self._parts.feed) if isinstance(each, FrameSource)]
        if sources:
            await asyncio.to_thread(self._frames.load)
        for source in sources:
            source.record_frames(self._frames.note)
        if isinstance(exchange, Reminded):
            exchange.remind(self._machine.state.venue_ids)
        await exchange.open(self._loop.post if isinstance(exchange, EmbeddedExchange) else self._hear)
        self._loop.connect(self._link.act, self._publish)
        held, self._held = self._held, []
        self._link.act(held)
        self.deck.is_connected = True

    def _hear(self, report: Report) -> None:
        """Take the venue's word, and note when it was heard."""
        self.deck.heard_at = asyncio.get_running_loop().time()
        if isinstance(report, StreamDown | StreamUp):
            self._reconciler.hear_stream(report)
        else:
            self._loop.post(report)

    async def _agree(self) -> None:
        """Until the two agree, or it is known in what they do not, nothing else happens."""
        if not self._has_asked:
            self._resolver.take_up()
            self._has_asked = True
        await self._loop.settled()
        await self._resolver.asked_once()
        await self._reconciler.run()
        await self._loop.idle()

    async def _agree_again(self) -> None:
        """After a time in which another daemon could have traded."""
        if self.deck.phase is not Phase.RUNNING:
            raise RuntimeError(f"the daemon is {self.deck.phase.lower()}")
        await self._reconciler.run()

    async def _halt_again(self) -> None:
        """A kill switch that was pulled, now or by an earlier daemon, takes off whatever works yet."""
        state = self._machine.state
        if state.trading_state is TradingState.HALTED:
            await self._loop.ask(EngageKillSwitch(state.trading_reason, flatten=state.flatten))

    async def _take_up_bots(self) -> None:
        await take_up_bots(self._config, self._parts, self._machine, self._loop, self._clock)

    # ------------------------------------------------------------ run

    async def _feed(self, after: int) -> None:
        try:
            await self._feed_link.run(after)
            await self._loop.idle()
        except Exception as error:
            log.exception("feed_failed", feed=self._config.feed.plugin)
            self._failure = error
        self._ended.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.tick_seconds)
            if not isinstance(self._clock, ReplayClock):
                self._loop.post(Timer.TICK)
            self._watch()
            await self._loop.settled()
            self._keeper.keep(self._machine.state)
            self._frames.flush()

    def _watch(self) -> None:
        for watch in self._watches:
            watch.look()

    def _broke(self, broken: asyncio.Future[BaseException]) -> None:
        if not broken.cancelled():
            self._failure = broken.result()
            log.error("broken", error=repr(self._failure))
            self._ended.set()

    # ------------------------------------------------------------ stop

    async def quiet(self) -> None:
        """Let no more of the market in."""
        self._ended.set()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._reconciler.quiet()
        await self._resolver.quiet()

    async def wind_up(self, reason: str, policy: OnStop | None = None) -> list[str]:
        """Take no more commands, do as the policy says, let what is under way end, and record the end.

        Returns what could not be finished in time, in words. The policy is the configuration's unless one is given.
        Protection stays at the venue. Nothing is recorded after this.
        """
        if self._is_wound_up:
            return []
        self._is_wound_up = True
        self.deck.phase = Phase.STOPPING
        self._loop.post(SetObstacle(Obstacle(STOPPING, "the daemon is stopping")))
        self._machine.roster.clear()  # bots hear nothing more, while the market may go on for what is still working
        left = [] if self._loop.broken.done() else await self._stand_down(policy or self._config.daemon.on_stop)
        await self.quiet()
        if not self._loop.broken.done():
            with suppress(TimeoutError):  # what is cut off is asked about by the next start
                await asyncio.wait_for(self._link.drain(), DRAINED_WITHIN)
            await self._loop.idle()
            failpoint("stop.drained")
        for each in left:
            log.warning("left_unfinished", what=each)
        await self._let_go()
        if self._has_begun and not self._loop.broken.done():
            rest = f"; left: {', '.join(left)}" if left else ""
            await self._loop.ask(StopDaemon(f"{reason}{rest}"[:500]))
            failpoint("stop.recorded")
        self.deck.phase = Phase.STOPPED
        return left

    async def _stand_down(self, policy: OnStop) -> list[str]:
        is_embedded = isinstance(self._parts.exchange, EmbeddedExchange)
        if policy is OnStop.AUTO:
            policy = OnStop.KEEP if is_embedded else OnStop.CANCEL
        if not self.deck.is_connected or (is_embedded and policy is OnStop.KEEP):
            return []  # nobody to ask; or a venue that stands still as soon as the market does
        seconds = min(ANSWERS_WITHIN, 0.4 * interval_ns(self._config.daemon.stop_within) / SECOND)
        return await stand_down(self._machine.state, self._loop, policy, seconds)

    async def _let_go(self) -> None:
        """Hear no more of the venue, so that nothing is recorded after the end."""
        try:
            await asyncio.wait_for(self._venue.aclose(), CLOSED_WITHIN)
        except Exception:
            log.exception("exchange_close_failed")

    async def close(self, reason: str, policy: OnStop | None = None) -> None:
        """Wind up, if that has not been done, and let go of everything: the state is kept for a quick start."""
        await self.wind_up(reason, policy)
        with suppress(JournalBroken):  # what broke the engine may be just what was said last
            self._frames.finish()
        if self._has_begun and not self._loop.broken.done():
            await asyncio.wrap_future(self._keeper.snapshot(self._machine.state))
            failpoint("stop.snapshot")
        await self._undo.aclose()
        failpoint("stop.closed")


async def _survey(config: Config, parts: Parts, instruments: dict[str, Instrument]) -> None:
    """Ask the venue what can be traded, and hold feed and bots against it.

    Raises:
        ConfigError: they do not go together, or the feed's data can't be used.
    """
    found = {one.symbol: one for one in await parts.exchange.instruments()}
    parts.admit()
    await parts.feed.open(tuple(found.values()))
    for section in config.bots:
        check_section(section, parts, found)
    instruments.update(found)


def _epoch(state: State, clock: Clock) -> int:
    """The epoch of this daemon's link ids: above any before it, even if the journal was restored from an old copy.

    For that it follows the wall clock where there is one. A replay of the same history mints the same ids.
    """
    by_clock = 0 if isinstance(clock, ReplayClock) else (clock.now() - _YEAR_2024) // SECOND
    return max(state.epoch + 1, by_clock)
