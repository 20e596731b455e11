"""Owns one account's place in a daemon: opened, taken up, watched over and let go, without touching the others.

What goes wrong in an account ends that account. It is shown as failed and why, and opened anew after a while, as a
service manager would start a daemon of its own again.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from quarterdeck.daemon import standby
from quarterdeck.daemon.absent import Absent
from quarterdeck.daemon.apart import Claims
from quarterdeck.daemon.config import Config, OnStop
from quarterdeck.daemon.core import Core
from quarterdeck.daemon.deck import Phase
from quarterdeck.daemon.failpoints import failpoint
from quarterdeck.daemon.journal import Fenced, InUse
from quarterdeck.daemon.lease import uptime
from quarterdeck.daemon.notary import Notary
from quarterdeck.daemon.parts import Parts, build_parts
from quarterdeck.engine.obstacles import STARTING
from quarterdeck.rpc.facade import DaemonState, DaemonStatus
from quarterdeck.rpc.server import Server

log = structlog.get_logger(__name__)

#: Objects made before the youngest are looked through for garbage. Orders are many objects and hardly ever a cycle.
GARBAGE = 50_000

#: Seconds after which an account that failed is opened again: the first time, and at most.
AGAIN_AFTER, AGAIN_AT_MOST = 5.0, 60.0


class Berth:
    """One account and its core, if there is one now. `failure` is what ended it, until it is up again."""

    def __init__(self, config: Config, server: Server, claims: Claims) -> None:
        """Build its parts, and touch nothing yet.

        Raises:
            ConfigError: a plugin or its settings are wrong, or another account trades where this one would.
        """
        self.config = config
        self.core: Core | None = None
        self.failure: BaseException | None = None
        self.settled = asyncio.Event()
        """Set once it was up, or failed, for the first time."""
        self._server = server
        self._claims = claims
        self._absent = Absent(config)
        self._parts: Parts | None = self._build()

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self.config.account.id

    @property
    def status(self) -> DaemonStatus:
        """How the account is."""
        return self._absent.status() if self.core is None else self.core.deck.status()

    @property
    def has_told(self) -> bool:
        """Whether it is up, or says what it lacks: waiting any longer would tell nobody more."""
        if self.core is None:
            return self._absent.status().state is not DaemonState.SYNCING
        deck = self.core.deck
        return deck.phase is Phase.RUNNING or STARTING in deck.machine.obstacles or bool(deck.damage)

    def _build(self) -> Parts:
        parts = build_parts(self.config)

        def admit() -> None:
            self._claims.claim(self.account_id, parts.exchange)

        admit()
        return replace(parts, admit=admit)

    # ------------------------------------------------------------ up

    async def show(self) -> None:
        """Say that there is such an account, before it can be asked anything."""
        await self._server.withdraw(self._absent)

    async def open(self) -> None:
        """Read the journal and take calls: how it is can be asked, and the kill switch works. The rest waits.

        Raises:
            ConfigError: the configuration, a plugin, the data or the journal can't be used; nothing is left open.
        """
        parts, self._parts = self._parts or self._build(), None
        self.core = await Core.open(self.config, parts, notary=Notary.open)
        self.core.lease.now = uptime
        await self._server.show(self.core.deck)
        failpoint("start.serving")

    async def take_up(self, *, persistently: bool = False) -> None:
        """Take the account up; returns once all calls are taken and the bots are fed. See `Core.take_up`."""
        core = self._core
        await core.take_up(persistently=persistently)
        if core.deck.damage:
            log.error("quarantined", address=self._server.address, head=core.head)
            return
        failpoint("start.ready")
        gc.unfreeze()  # what an account left that has failed
        gc.collect()
        gc.freeze()  # what is loaded by now stays; looking through it again and again costs a tenth of all CPU
        gc.set_threshold(GARBAGE)
        await self._server.serve(is_open=True, account_id=self.account_id)
        log.info("ready", address=self._server.address, mode=self.config.mode, head=core.head)

    async def live(self, asked: asyncio.Event) -> None:
        """Open it as soon as the journal is not another's, take it up, and trade until `asked` to stop.

        Returns when it is asked, with the core as it is then.

        Raises:
            Exception: what ended it; or the start shows that the configuration is wrong.
        """
        if not await self._open_when_free(asked):
            return
        core = self._core
        starting = asyncio.create_task(self.take_up(persistently=True), name="start")
        stop, over = asyncio.create_task(asked.wait()), asyncio.create_task(core.ended())
        try:
            await _first(starting, stop, core.broken)
            if not core.broken.done() and not stop.done():
                starting.result()
                self.failure = None
                self.settled.set()
                await _first(stop, over)
                if over.done():
                    over.result()
                if not stop.done():
                    log.info("feed_ended", events=core.feed_events)
                    # History is over; the account can still be looked at, as long as the journal holds.
                    await _first(stop, core.broken)
            if core.broken.done():
                raise core.broken.result()
        finally:
            for task in (starting, stop, over):
                task.cancel()
            await asyncio.gather(starting, stop, over, return_exceptions=True)

    async def _open_when_free(self, asked: asyncio.Event) -> bool:
        """False if it was asked to stop before."""
        while not asked.is_set():
            try:
                await self.open()
            except InUse as error:
                if not self.config.journal.standby:
                    raise
                if not await standby.wait(self.config.journal.url, self._absent, str(error), asked):
                    return False
            else:
                return True
        return False

    # ------------------------------------------------------------ down

    async def wind_up(self, reason: str, policy: OnStop | None = None) -> list[str]:
        """Close the gate and wind the account up; returns what could not be finished in time. See `Core.wind_up`."""
        await self._server.serve(is_open=False, account_id=self.account_id)
        return [] if self.core is None else await self.core.wind_up(reason, policy)

    async def close(self, reason: str) -> None:
        """Let go of everything."""
        core, self.core = self.core, None
        if core is not None:
            await core.close(reason)

    async def give_up(self, failure: BaseException) -> None:
        """Take this account down by itself, let its streams end with its last event, and show what ended it."""
        is_fenced = isinstance(failure, Fenced | InUse) or isinstance(failure.__cause__, Fenced)
        core = self.core
        with suppress(Exception):  # what broke it may break this, too; the journal keeps what was confirmed
            await self.wind_up("failed")
        if core is not None:
            self._absent.remember(core.deck.status())
        self._absent.say(DaemonState.FENCED if is_fenced else DaemonState.FAILED, str(failure) or repr(failure))
        await self._server.withdraw(self._absent)
        try:
            await self.close("failed")
        except Exception:
            log.exception("close_failed")

    @property
    def _core(self) -> Core:
        assert self.core is not None, "opened before"
        return self.core


async def _first(*of: asyncio.Future[Any]) -> None:
    await asyncio.wait(of, return_when=asyncio.FIRST_COMPLETED)
