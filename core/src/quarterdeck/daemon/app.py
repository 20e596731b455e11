"""Owns the daemon as a process: its accounts, the gRPC server before them, signals and the service manager."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self

import structlog

from quarterdeck.daemon import process
from quarterdeck.daemon.apart import Claims
from quarterdeck.daemon.berth import AGAIN_AFTER, AGAIN_AT_MOST, Berth
from quarterdeck.daemon.config import Config, OnStop
from quarterdeck.daemon.core import Core
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.systemd import notify, watchdog_seconds
from quarterdeck.domain.amounts import use_money_context
from quarterdeck.domain.errors import ConfigError
from quarterdeck.domain.market import SECOND
from quarterdeck.plugin.fields import interval_ns
from quarterdeck.rpc.server import Server

if sys.platform != "win32":
    import uvloop

log = structlog.get_logger(__name__)

#: How `run` ends. 1 and 2 are the command line's: it could not start, and it was asked wrongly.
STOPPED, FAILED, UNFINISHED, OVERDUE = 0, 3, 4, 5

#: Seconds between two looks at what the service manager should be told.
TOLD_EVERY = 1.0


class Daemon:
    """A daemon: accounts behind one address, which is the first one's `daemon.listen`."""

    def __init__(self, configs: Sequence[Config]) -> None:
        """Build the parts of all accounts, and touch nothing yet.

        Raises:
            ConfigError: a plugin or its settings are wrong, or two accounts trade the same account at a venue.
        """
        self.config = configs[0]
        self._server, claims = Server(), Claims()
        self.berths = [Berth(config, self._server, claims) for config in configs]
        self._is_stopped = False

    @classmethod
    async def start(cls, config: Config) -> Self:
        """Take one account up, at the first attempt or not at all; for programs that hold a daemon.

        Raises:
            ConfigError: the configuration, a plugin, the data or the journal can't be used; nothing is left running.
        """
        use_money_context()
        daemon = cls([config])
        try:
            await daemon.listen()
            await daemon.berths[0].open()
            await daemon.berths[0].take_up()
        except BaseException:
            await daemon.stop("the start failed")
            raise
        return daemon

    @property
    def address(self) -> str:
        """Where it can be reached, once it listens."""
        return self._server.address

    @property
    def core(self) -> Core:
        """The first account's."""
        core = self.berths[0].core
        assert core is not None, "not up"
        return core

    async def listen(self) -> None:
        """Let callers ask how it is. What else they may ask is each account's affair.

        Raises:
            ConfigError: the address is not this machine's own, or is taken.
        """
        for berth in self.berths:
            await berth.show()
        await self._server.start(self.config.daemon.listen)

    async def live(self, asked: asyncio.Event) -> None:
        """Have every account live until it is asked to stop, or until none is left."""
        await asyncio.gather(*(self._keep(berth, asked) for berth in self.berths))

    async def _keep(self, berth: Berth, asked: asyncio.Event) -> None:
        """Have one account live, again after each failure, as long as another one lives."""
        if len(self.berths) > 1:
            structlog.contextvars.bind_contextvars(account=berth.account_id)
        again = AGAIN_AFTER
        while not asked.is_set():
            try:
                await berth.live(asked)
            except Exception as error:  # noqa: BLE001 - whatever ended one account, the others go on
                if berth.failure is None:
                    again = AGAIN_AFTER
                berth.failure = error
                if all(each.failure is not None for each in self.berths):
                    asked.set()
                    return
                log.error("account_failed", error=repr(error))
                await berth.give_up(error)
                berth.settled.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(asked.wait(), again)
                again = min(2 * again, AGAIN_AT_MOST)

    @property
    def failure(self) -> BaseException | None:
        """What ended the daemon, if no account is left; of several the first one's."""
        return self.berths[0].failure if all(each.failure is not None for each in self.berths) else None

    async def stop(self, reason: str, policy: OnStop | None = None) -> list[str]:
        """Close the gates, wind the accounts up, let streams end with the last event, and close everything.

        Returns what could not be finished in time, in words; see `Core.wind_up`.
        """
        if self._is_stopped:
            return []
        self._is_stopped = True
        failpoint("stop.begun")
        left = await asyncio.gather(*(berth.wind_up(reason, policy) for berth in self.berths))
        await self._server.stop()
        failpoint("stop.served")
        await asyncio.gather(*(berth.close(reason) for berth in self.berths))
        return [each for of_one in left for each in of_one]


def run(configs: Sequence[Config], on_ready: Callable[[Daemon], None] = lambda _: None) -> int:
    """Run a daemon until it is told to stop (SIGTERM or SIGINT) or can't go on; returns the exit code.

    Raises:
        ConfigError: it can't start.
    """
    process.harden()
    main = _main(configs, on_ready)
    return asyncio.run(main) if sys.platform == "win32" else uvloop.run(main)


async def _main(configs: Sequence[Config], on_ready: Callable[[Daemon], None]) -> int:
    use_money_context()
    asked = asyncio.Event()
    process.on_stop_signal(asked.set)
    daemon = Daemon(configs)
    with _watched(daemon):
        try:
            await daemon.listen()
            told = asyncio.create_task(_say_ready(daemon, on_ready), name="ready")
            await daemon.live(asked)
            told.cancel()
        except BaseException:
            await daemon.stop("the start failed")
            raise
        failure = daemon.failure
        notify(STOPPING=1, STATUS="stopping")
        longest = max(interval_ns(config.daemon.stop_within) for config in configs)
        within = process.leave_after(longest / SECOND, OVERDUE)
        reason = "asked to" if failure is None else "failed"
        left = await daemon.stop("the start failed" if isinstance(failure, ConfigError) else reason)
        within.cancel()
    if isinstance(failure, ConfigError):
        raise failure
    if failure is not None:
        return FAILED
    return UNFINISHED if left else STOPPED


async def _say_ready(daemon: Daemon, on_ready: Callable[[Daemon], None]) -> None:
    for berth in daemon.berths:
        await berth.settled.wait()
    on_ready(daemon)


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
    told, is_up = "", False
    while True:
        said = "; ".join(_said(berth, alone=len(daemon.berths) == 1) for berth in daemon.berths).replace("\n", " ")
        if not is_up and all(berth.has_told for berth in daemon.berths):
            is_up = True
            notify(READY=1, STATUS=said)
        elif said != told:
            notify(STATUS=said)
        told = said
        await asyncio.sleep(TOLD_EVERY if is_up else 0.05)


def _said(berth: Berth, *, alone: bool) -> str:
    status = berth.status
    said = "; ".join([status.state, *status.reasons])
    return said if alone else f"{berth.account_id}: {said}"


async def _show_life(daemon: Daemon, every: float) -> None:
    """As long as one account's commits end: an account that is stuck says so by itself, and holds no other up."""
    while True:
        cores = [berth.core for berth in daemon.berths if berth.core is not None]
        if not cores or any(core.pulse.is_alive for core in cores):
            notify(WATCHDOG=1)
        await asyncio.sleep(every)
