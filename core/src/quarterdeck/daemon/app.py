"""Owns the daemon as a process: the account's core, the gRPC server around it, and the signals that end it."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from typing import Any, Self

import structlog

from quarterdeck.daemon.config import Config
from quarterdeck.daemon.core import Core
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.parts import build_parts
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.rpc.server import Server

if sys.platform != "win32":
    import uvloop

log = structlog.get_logger(__name__)

#: Objects made before the youngest are looked through for garbage. Orders are many objects and hardly ever a cycle.
GARBAGE = 50_000


class Daemon:
    """A running daemon. `start` brings everything up in order, `stop` takes it down in the reverse one."""

    def __init__(self, config: Config, core: Core) -> None:
        self.config = config
        self.core = core
        self.address = ""
        """Where it can be reached, once started."""
        self._server = Server(core.deck)
        self._is_stopped = False

    @classmethod
    async def start(cls, config: Config) -> Self:
        """Bring up a daemon; returns once it takes calls and its bots are fed.

        It can be asked how it is from early on, and the kill switch works; other commands wait for the venue.

        Raises:
            ConfigError: the configuration, a plugin, the data or the journal can't be used; nothing is left running.
        """
        use_money_context()
        daemon = cls(config, await Core.open(config, build_parts(config)))
        try:
            daemon.address = await daemon._server.start(config.daemon.listen)
            failpoint("start.serving")
            await daemon.core.take_up()
            failpoint("start.ready")
        except BaseException:
            await daemon.stop("the start failed")
            raise
        gc.collect()
        gc.freeze()  # what is loaded by now stays; looking through it again and again costs a tenth of all CPU
        gc.set_threshold(GARBAGE)
        log.info("ready", address=daemon.address, mode=config.mode, head=daemon.core.head)
        return daemon

    async def stop(self, reason: str) -> None:
        """Stop taking calls, let what is under way end, write the last event, and close everything. Stops stay."""
        if self._is_stopped:
            return
        self._is_stopped = True
        failpoint("stop.begun")
        await self.core.quiet()
        await self._server.stop()
        failpoint("stop.served")
        await self.core.close(reason)


def run(config: Config, on_ready: Callable[[Daemon], None] = lambda _: None) -> int:
    """Run a daemon until it is told to stop (SIGTERM or SIGINT) or can't go on; returns the exit code.

    Raises:
        ConfigError: it can't start.
    """

    async def main() -> int:
        daemon = await Daemon.start(config)
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        on_ready(daemon)
        asking = asyncio.create_task(asked.wait())
        ending = asyncio.create_task(daemon.core.ended())
        await asyncio.wait({asking, ending}, return_when=asyncio.FIRST_COMPLETED)
        failed = ending.done() and ending.exception() is not None
        if ending.done() and not failed and not asked.is_set():
            log.info("feed_ended", events=daemon.core.feed_events)
            # History is over; the account can still be looked at, as long as the journal holds.
            watched: set[asyncio.Future[Any]] = {asking, daemon.core.broken}
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            failed = daemon.core.broken.done()
        for task in (asking, ending):
            task.cancel()
        await daemon.stop("asked to" if not failed else "failed")
        return 1 if failed else 0

    return asyncio.run(main()) if sys.platform == "win32" else uvloop.run(main())
