"""Owns one account's daemon without its network: journal, engine, venue, feed and bots, and the order they come up in.

The gRPC server, signals and everything else about being a process is `app.py`. A simulation runs this very class, on a
clock and a disk of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Self

import structlog
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from quarterdeck.daemon import reconcile
from quarterdeck.daemon.bots import check_spec, warm_strategy
from quarterdeck.daemon.clock import Clock, ReplayClock, SystemClock
from quarterdeck.daemon.config import BotSection, Config
from quarterdeck.daemon.deck import DaemonDeck
from quarterdeck.daemon.event_log import EventLog
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.feed_link import FeedLink
from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.keeper import History, Keeper
from quarterdeck.daemon.loop import Loop
from quarterdeck.daemon.market_data import MarketData
from quarterdeck.daemon.order_link import OrderLink
from quarterdeck.daemon.parts import Parts
from quarterdeck.daemon.records import Records
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.bot import BotSpec, BotState
from quarterdeck.domain.deciders import Strategy
from quarterdeck.domain.errors import ConfigError, QuarterdeckError
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import SECOND
from quarterdeck.engine.ids import LinkIds
from quarterdeck.engine.inputs import (
    CreateBot,
    Disagreement,
    FailBot,
    OpenAccount,
    StartBot,
    StartDaemon,
    StopDaemon,
    Timer,
)
from quarterdeck.engine.machine import Machine
from quarterdeck.engine.state import State
from quarterdeck.plugin.exchange import EmbeddedExchange
from quarterdeck.plugin.fields import interval_ns
from quarterdeck.rpc.convert.bots import settings_text

log = structlog.get_logger(__name__)

#: How often the clock is shown to the engine when no market event does, unless `Core.tick_seconds` is set.
TICK_SECONDS = 1.0

VERSION = version("quarterdeck")

_YEAR_2024 = 1_704_067_200 * SECOND


def open_journal(config: Config) -> Journal:
    """Open the journal, in a folder that is made if it is missing, which SQLite itself does not do."""
    url = config.journal.url
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except ArgumentError as error:
        raise ConfigError(f"journal.url: {url!r} is not a URL such as 'sqlite:///folder/journal.db'") from error
    except OSError as error:
        raise ConfigError(f"journal.url: the folder of {url} can't be made: {error.strerror}") from error
    return Journal.open(url, config.account.id)


class Core:
    """One account. `open` reads its journal, `take_up` brings everything up in order, `close` takes it down."""

    def __init__(
        self,
        config: Config,
        parts: Parts,
        clock: Clock,
        journal: Journal,
        keeper: Keeper,
        machine: Machine,
        undo: AsyncExitStack,
    ) -> None:
        self._config = config
        self._parts = parts
        self._clock = clock
        self._journal = journal
        self._keeper = keeper
        self._machine = machine
        self._undo = undo
        events = EventLog(journal)
        self._loop = loop = Loop(machine, Records(journal, events, config.account.id), clock)
        self._link = OrderLink(parts.exchange, loop, clock)
        loop.connect(self._link.act, [lambda news: keeper.note(machine.state, news)])
        loop.broken.add_done_callback(self._broke)
        market_data = MarketData()
        self._feed_link = FeedLink(parts.feed, parts.exchange, loop, clock, market_data)
        self.deck = DaemonDeck(
            config=config,
            version=VERSION,
            parts=parts,
            machine=machine,
            loop=loop,
            journal_id=str(journal.journal_id),
            events=events,
            market_data=market_data,
            history=History(journal, keeper, loop, machine.state),
            feed_link=self._feed_link,
            clock=clock,
        )
        """What callers see of it."""
        self.tick_seconds = TICK_SECONDS
        """How often the clock is shown to the engine, and the tables are brought up to date."""
        self._background: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._has_begun = False

    @classmethod
    async def open(
        cls,
        config: Config,
        parts: Parts,
        *,
        clock: Clock | None = None,
        journal: Callable[[Config], Journal] = open_journal,
    ) -> Self:
        """Read the account's journal; nothing is sent yet. Time is the feed's own in a replay, else `clock`'s.

        What can be checked without the journal is checked before it is touched.

        Raises:
            ConfigError: the configuration, a plugin, the data or the journal can't be used; nothing is left open.
        """
        use_money_context()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(parts.exchange.close)
            instruments = {one.symbol: one for one in await parts.exchange.instruments()}
            undo.push_async_callback(parts.feed.close)
            await parts.feed.open(tuple(instruments.values()))
            for section in config.bots:
                _check_bot(section, parts, instruments)
            failpoint("start.parts")
            opened = await asyncio.to_thread(journal, config)
            undo.push_async_callback(asyncio.to_thread, opened.close)
            failpoint("start.journal")
            keeper = Keeper(opened)
            state = await asyncio.to_thread(keeper.load)
            failpoint("start.fold")
            if not state.is_new and state.mode != config.mode:
                raise ConfigError(
                    f"mode: the journal {config.journal.url} was kept in mode {state.mode!r}, not {config.mode.value!r}"
                )
            time = ReplayClock(state.time) if parts.feed.is_replay else clock or SystemClock()
            ids = LinkIds(opened.journal_id.bytes, _epoch(state, time))
            machine = Machine(state, instruments, parts.deciders, ids)
            return cls(config, parts, time, opened, keeper, machine, undo.pop_all())

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

    async def take_up(self) -> None:
        """Agree with the venue, take up the bots, and let the market in; from then on commands are taken."""
        after = self._machine.state.time
        await self._take_up_account()
        failpoint("start.account")
        await self._take_up_bots()
        failpoint("start.bots")
        await self._loop.settled()
        self._keeper.keep(self._machine.state)
        self._background.append(asyncio.create_task(self._feed(after), name="feed"))
        self._background.append(asyncio.create_task(self._tick(), name="tick"))
        self.deck.ready = True

    async def _take_up_account(self) -> None:
        config, state, exchange, loop = self._config, self._machine.state, self._parts.exchange, self._loop
        if state.is_new:
            if isinstance(self._clock, ReplayClock):
                self._clock.advance(self._parts.feed.start_time)
            balances = tuple(sorted((await exchange.balances()).items()))
            await loop.ask(OpenAccount(config.mode, config.account.settle, balances))
        elif isinstance(exchange, EmbeddedExchange):
            try:
                exchange.restore(reconcile.venue_account(state))
            except ValueError as error:
                raise ConfigError(f"exchange: {error}") from error
        failpoint("start.restore")
        await exchange.open(loop.post)
        failpoint("start.exchange")
        await loop.ask(StartDaemon(VERSION, config.mode, self._parts.names))
        self._has_begun = True
        failpoint("start.begun")
        await reconcile.resolve_unanswered(state, exchange, loop, self._clock)
        for difference in await reconcile.differences(state, exchange):
            loop.post(Disagreement(difference))
        await loop.idle()

    async def _take_up_bots(self) -> None:
        loop, state = self._loop, self._machine.state
        for section in self._config.bots:
            spec = _spec_of(section)
            known = state.bots.get(section.id)
            if known is None:
                await loop.ask(CreateBot(spec))
                if section.autostart:
                    await loop.ask(StartBot(spec.bot_id, self._warm(spec)))
            elif known.spec != spec:
                raise ConfigError(
                    f"bots.{section.id}: the journal knows this bot with other settings; give the new one another id"
                )
        for bot in list(state.bots.values()):
            if bot.state in (BotState.RUNNING, BotState.PAUSED) and bot.spec.bot_id not in self._machine.roster:
                try:
                    self._machine.attach(bot.spec.bot_id, self._warm(bot.spec))
                except Exception as error:  # noqa: BLE001 - one bot that can't run does not keep the daemon down
                    await loop.ask(FailBot(bot.spec.bot_id, f"{type(error).__name__}: {error}"[:500]))

    def _warm(self, spec: BotSpec) -> Strategy:
        return warm_strategy(spec, self._parts.plugins, self._parts.feed, self._clock.now())

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
            await self._loop.settled()
            self._keeper.keep(self._machine.state)

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

    async def close(self, reason: str) -> None:
        """Let what is under way end, write the last event, and close everything. Working orders and stops stay."""
        await self.quiet()
        if not self._loop.broken.done():
            await self._link.drain()
            await self._loop.idle()
            failpoint("stop.drained")
            if self._has_begun:
                await self._loop.ask(StopDaemon(reason))
                failpoint("stop.recorded")
                await asyncio.wrap_future(self._keeper.snapshot(self._machine.state))
                failpoint("stop.snapshot")
        await self._undo.aclose()
        failpoint("stop.closed")


def _spec_of(section: BotSection) -> BotSpec:
    return BotSpec(
        section.id,
        section.strategy,
        section.instrument,
        interval_ns(section.interval),
        settings_text(section.settings),
    )


def _check_bot(section: BotSection, parts: Parts, instruments: Mapping[str, Instrument]) -> None:
    try:
        check_spec(_spec_of(section), parts.plugins, parts.feed, instruments)
    except QuarterdeckError as error:
        raise ConfigError(f"bots.{section.id}: {error}") from error


def _epoch(state: State, clock: Clock) -> int:
    """The epoch of this daemon's link ids: above any before it, even if the journal was restored from an old copy.

    For that it follows the wall clock where there is one. A replay of the same history mints the same ids.
    """
    by_clock = 0 if isinstance(clock, ReplayClock) else (clock.now() - _YEAR_2024) // SECOND
    return max(state.epoch + 1, by_clock)
