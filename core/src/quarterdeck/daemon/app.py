"""Owns the daemon as a process: the account's core, the gRPC server around it, signals and the service manager."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import structlog

from quarterdeck.daemon import process, standby
from quarterdeck.daemon.config import Config, OnStop
from quarterdeck.daemon.core import Core
from quarterdeck.daemon.deck import Phase
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.journal import InUse
from quarterdeck.daemon.lease import uptime
from quarterdeck.daemon.notary import Notary
from quarterdeck.daemon.parts import build_parts
from quarterdeck.daemon.systemd import notify, watchdog_seconds
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.market import SECOND
from quarterdeck.engine.obstacles import STARTING
from quarterdeck.plugin.fields import interval_ns
from quarterdeck.rpc.server import Server

if sys.platform != "win32":
    import uvloop

log = structlog.get_logger(__name__)

#: Objects made before the youngest are looked through for garbage. Orders are many objects and hardly ever a cycle.
GARBAGE = 50_000

#: How `run` ends. 1 and 2 are the command line's: it could not start, and it was asked wrongly.
STOPPED, FAILED, UNFINISHED, OVERDUE = 0, 3, 4, 5

#: Seconds between two looks at what the service manager should be told.
TOLD_EVERY = 1.0


class Daemon:
    """A daemon. `open` reads its journal and answers calls, `take_up` brings the rest up, `stop` takes it down."""

    def __init__(self, config: Config, core: Core) -> None:
        self.config = config
        self.core = core
        self.address = ""
        """Where it can be reached, once opened."""
        self._server = Server([core.deck])
        self._is_stopped = False

    @classmethod
    async def open(cls, config: Config) -> Self:
        """Read the journal and take calls: how it is can be asked, and the kill switch works. The rest waits.

        Raises:
            ConfigError: the configuration, a plugin, the data or the journal can't be used; nothing is left running.
        """
        use_money_context()
        daemon = cls(config, await Core.open(config, build_parts(config), notary=Notary.open))
        try:
            daemon.core.lease.now = uptime
            daemon.address = await daemon._server.start(config.daemon.listen)
            failpoint("start.serving")
        except BaseException:
            await daemon.stop("the start failed")
            raise
        return daemon

    @classmethod
    async def start(cls, config: Config) -> Self:
        """`open` and `take_up`, at the first attempt or not at all; for programs that hold a daemon.

        Raises:
            ConfigError: as for `open`.
        """
        daemon = await cls.open(config)
        try:
            await daemon.take_up()
        except BaseException:
            await daemon.stop("the start failed")
            raise
        return daemon

    async def take_up(self, *, persistently: bool = False) -> None:
        """Take the account up; returns once all calls are taken and the bots are fed. See `Core.take_up`."""
        await self.core.take_up(persistently=persistently)
        if self.core.deck.damage:
            log.error("quarantined", address=self.address, head=self.core.head)
            return
        failpoint("start.ready")
        gc.collect()
        gc.freeze()  # what is loaded by now stays; looking through it again and again costs a tenth of all CPU
        gc.set_threshold(GARBAGE)
        await self._server.serve(is_open=True)
        log.info("ready", address=self.address, mode=self.config.mode, head=self.core.head)

    async def stop(self, reason: str, policy: OnStop | None = None) -> list[str]:
        """Close the gate, wind the account up, let streams end with the last event, and close everything.

        Returns what could not be finished in time, in words; see `Core.wind_up`.
        """
        if self._is_stopped:
            return []
        self._is_stopped = True
        failpoint("stop.begun")
        await self._server.serve(is_open=False)
        left = await self.core.wind_up(reason, policy)
        await self._server.stop()
        failpoint("stop.served")
        await self.core.close(reason)
        return left


def run(config: Config, on_ready: Callable[[Daemon], None] = lambda _: None) -> int:
    """Run a daemon until it is told to stop (SIGTERM or SIGINT) or can't go on; returns the exit code.

    Raises:
        ConfigError: it can't start.
    """
    process.harden()
    return asyncio.run(_main(config, on_ready)) if sys.platform == "win32" else uvloop.run(_main(config, on_ready))


async def _main(config: Config, on_ready: Callable[[Daemon], None]) -> int:
    asked = asyncio.Event()
    process.on_stop_signal(asked.set)
    daemon = await _opened(config, asked)
    if daemon is None:
        return STOPPED
    with _watched(daemon):
        try:
            failed = not await _live(daemon, asked, on_ready)
        except BaseException:
            await daemon.stop("the start failed")
            raise
        notify(STOPPING=1, STATUS="stopping")
        within = process.leave_after(interval_ns(config.daemon.stop_within) / SECOND, OVERDUE)
        left = await daemon.stop("failed" if failed else "asked to")
        within.cancel()
    if failed:
        return FAILED
    return UNFINISHED if left else STOPPED


async def _opened(config: Config, asked: asyncio.Event) -> Daemon | None:
    """The daemon, as soon as the journal is not another's; None if it was asked to stop before."""
    while True:
        try:
            return await Daemon.open(config)
        except InUse as error:
            if not config.journal.standby:
                raise
            if not await standby.wait(config, str(error), asked):
                return None


async def _live(daemon: Daemon, asked: asyncio.Event, on_ready: Callable[[Daemon], None]) -> bool:
    """Take the account up and trade until somebody asks to stop; False if the daemon can't go on.

    Raises:
        ConfigError: the start shows that the configuration is wrong.
    """
    core = daemon.core
    starting = asyncio.create_task(daemon.take_up(persistently=True), name="start")
    stop, over = asyncio.create_task(asked.wait()), asyncio.create_task(core.ended())
    try:
        await _first(starting, stop, core.broken)
        if core.broken.done() or stop.done():
            return not core.broken.done()
        starting.result()
        on_ready(daemon)
        await _first(stop, over)
        if over.done() and over.exception() is not None:
            return False
        if not stop.done():
            log.info("feed_ended", events=core.feed_events)
            # History is over; the account can still be looked at, as long as the journal holds.
            await _first(stop, core.broken)
        return not core.broken.done()
    finally:
        for task in (starting, stop, over):
            task.cancel()
        await asyncio.gather(starting, stop, over, return_exceptions=True)


async def _first(*of: asyncio.Future[Any]) -> None:
    await asyncio.wait(of, return_when=asyncio.FIRST_COMPLETED)


# ---------------------------------------------------------------- the service manager


@contextmanager
def _watched(daemon: Daemon) -> Iterator[None]:
    """Tell the service manager how the daemon is for as long as the block lasts, and that it lives while it does."""
    tasks = [asyncio.create_task(_tell(daemon), name="systemd")]
    if (seconds := watchdog_seconds()) is not None:
        tasks.append(asyncio.create_task(_show_life(daemon, seconds / 3), name="watchdog"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _tell(daemon: Daemon) -> None:
    """READY once it is up, if only to say what it lacks: a daemon that waits for its venue is not to be restarted."""
    deck, told, is_up = daemon.core.deck, "", False
    while True:
        status = deck.status()
        said = "; ".join([status.state, *status.reasons]).replace("\n", " ")
        if not is_up and (deck.phase is Phase.RUNNING or STARTING in deck.machine.obstacles or deck.damage):
            is_up = True
            notify(READY=1, STATUS=said)
        elif said != told:
            notify(STATUS=said)
        told = said
        await asyncio.sleep(TOLD_EVERY if is_up else 0.05)


async def _show_life(daemon: Daemon, every: float) -> None:
    while True:
        if daemon.core.pulse.is_alive:
            notify(WATCHDOG=1)
        await asyncio.sleep(every)
