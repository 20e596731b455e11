"""Owns the right to trade, which two daemons on one journal must never have at once: how long it holds, and proving it.

A daemon that leads proves every third of `ttl` that the journal is still its own. An exchange knows nothing of this, so
a request leaves only while the proof is young enough that nobody else can have begun to send: whoever takes over from
a daemon that may still live waits `ttl` and what a request may be under way, and a second more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping

import structlog

from quarterdeck.daemon.journal import ConnectionLost, Fenced, Journal
from quarterdeck.daemon.loop import Loop
from quarterdeck.engine.inputs import ClearObstacle, SetObstacle
from quarterdeck.engine.obstacles import JOURNAL, LEASE, Obstacle

log = structlog.get_logger(__name__)

#: How long a lease that needs no proof in time is taken to be, in seconds.
UNHURRIED = 30.0

#: Seconds a new leader waits beyond what it has to.
EXTRA = 1.0


def uptime() -> float:
    """Seconds that pass while the machine sleeps, too, where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """Held since the journal was opened. `ttl` and `window` in seconds; without a `ttl` it holds as long as the fence.

    That is for replays: nothing of them reaches anybody else, and their time is not the world's.

    `window` is how long the venue may take a request in after it was sent. `agree` is done, and has to succeed, before
    the gate opens again after a time in which somebody else could have led.
    """

    def __init__(
        self,
        journal: Journal,
        loop: Loop,
        obstacles: Mapping[str, Obstacle],
        ttl: float | None,
        window: float,
        agree: Callable[[], Coroutine[None, None, None]],
    ) -> None:
        self._journal = journal
        self._loop = loop
        self._obstacles = obstacles
        self._agree = agree
        self.ttl = ttl
        self.now: Callable[[], float] = asyncio.get_running_loop().time
        """What time is measured by, in seconds."""
        self._proved = self.now()
        self._must_agree = False
        self._asking: asyncio.Future[None] | None = None
        self.trouble = ""
        """Why the journal's database is waited for; empty if it is not. Until it is back nothing is decided."""
        self._call = asyncio.get_running_loop().call_soon_threadsafe
        self._window = window
        journal.on_trouble(self._hear)

    @property
    def remaining(self) -> float | None:
        """Seconds for which it holds without another proof; None if it needs none."""
        return None if self.ttl is None else self._proved + self.ttl - self.now()

    def may_send(self) -> bool:
        """Whether a request that leaves now is taken in by the venue, if ever, before anybody else may send."""
        remaining = self.remaining
        return remaining is None or remaining > 0

    @property
    def to_wait(self) -> float:
        """Seconds until the daemon that led before can't have anything under way any more; 0 if it has ended."""
        may_live = self.ttl is not None and self._journal.predecessor_may_live
        return (self.ttl or 0.0) + self._window + EXTRA if may_live else 0.0

    async def begin(self) -> None:
        """Prove it for the first time: reading the journal may have taken long.

        Raises:
            ConnectionLost: it can't be told just now.
            Fenced: another process has taken over.
        """
        began = self.now()
        await asyncio.to_thread(self._journal.renew, time.time_ns())
        self._proved = began

    async def keep(self) -> None:
        """Prove it again and again; ends when another process has taken over, and the daemon with it."""
        while True:
            await asyncio.sleep((self.ttl or UNHURRIED) / 3)
            try:
                await self.prove()
            except Fenced as fenced:
                log.error("fenced", why=str(fenced))
                self._loop.fail(fenced)
                return

    async def prove(self) -> None:
        """Prove it once. What could not be proved in time closes the gate; it opens when it could, and all agree.

        Raises:
            Fenced: another process has taken over.
        """
        if not self.may_send():
            self._expired("this one stood still, or could not reach its journal")
        try:
            await self.begin()
        except ConnectionLost as lost:
            if not self.may_send():
                self._expired(str(lost))
            return
        if self._must_agree:
            await self._ask()

    async def _ask(self) -> None:
        """Have the two agree; if that takes long it goes on while the lease is proved again."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._agree())
        asking = self._asking
        await asyncio.wait({asking}, timeout=(self.ttl or UNHURRIED) / 3)
        if not asking.done() or asking.cancelled():
            return
        self._asking = None
        if (failure := asking.exception()) is not None:
            log.warning("lease_not_agreed", error=repr(failure)[:500])
            return
        self._must_agree = False
        self._loop.post(ClearObstacle(LEASE))
        log.info("lease_held_again")

    def _expired(self, why: str) -> None:
        self._must_agree = True
        if self._asking is not None:  # what it finds is of a time before
            self._asking.cancel()
            self._asking = None
        if LEASE not in self._obstacles:
            log.error("lease_expired", why=why)
            self._loop.post(SetObstacle(Obstacle(LEASE, f"another daemon may lead; {why}")))

    def _hear(self, why: str | None) -> None:
        self._call(self._troubled, why)

    def _troubled(self, why: str | None) -> None:
        """The writer waits for its database, or has it again."""
        self.trouble = why or ""
        if why is None:
            log.info("journal_is_back")
            self._loop.post(ClearObstacle(JOURNAL))
        else:
            log.error("journal_is_away", why=why)
            self._loop.post(SetObstacle(Obstacle(JOURNAL, why)))
