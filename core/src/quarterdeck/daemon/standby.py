"""Owns waiting for a journal that is another daemon's, and answering meanwhile that this one does not lead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import structlog

from quarterdeck.daemon.config import Config
from quarterdeck.daemon.core import VERSION
from quarterdeck.daemon.journal import Entry, InUse, check_free
from quarterdeck.daemon.systemd import notify
from quarterdeck.domain.errors import ConfigError, Unavailable
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, Deck
from quarterdeck.rpc.server import Server

log = structlog.get_logger(__name__)

#: Seconds between two looks whether the journal is free.
LOOK_EVERY = 0.5


async def wait(config: Config, why: str, asked: asyncio.Event) -> bool:
    """Wait until nobody uses the journal any more; False if this daemon was asked to stop before.

    Its address says so all the time: health checks NOT_SERVING, the status FENCED, and every other call UNAVAILABLE.
    """
    deck = _Waiting(config, why)
    server = Server([cast("Deck", deck)])
    await server.start(config.daemon.listen)
    log.info("standby", why=why)
    notify(READY=1, STATUS=f"standby; {why}")
    try:
        while not asked.is_set():
            notify(WATCHDOG=1)
            try:
                await asyncio.to_thread(check_free, config.journal.url)
            except InUse as error:
                deck.why = str(error)
            except ConfigError as error:  # such as a server that is restarted
                deck.why = str(error)
                log.warning("standby_hindered", why=str(error))
            else:
                log.info("taking_over")
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), LOOK_EVERY)
        return False
    finally:
        await server.stop()


class _Waiting:
    """A deck that has nothing to show but how it is."""

    journal_id = ""

    def __init__(self, config: Config, why: str) -> None:
        self.why = why
        self.account_id = config.account.id
        self.events = _Nothing()
        self._config = config
        self._start_time = time.time_ns()

    def status(self) -> DaemonStatus:
        """That it waits, and for whom."""
        return DaemonStatus(
            mode=self._config.mode,
            state=DaemonState.FENCED,
            reasons=[f"standby; {self.why}"],
            version=VERSION,
            start_time=self._start_time,
            current_time=time.time_ns(),
            exchange=self._config.exchange.plugin,
            feed=self._config.feed.plugin,
            market_data_age=None,
            exchange_age=None,
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - there is nothing behind any name
        raise _unavailable()


class _Nothing:
    """No events: those of the journal are read where it is led."""

    head = 0
    oldest = 1

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        raise _unavailable()

    def recent(self, after: int) -> Sequence[Entry] | None:
        """None."""
        return ()

    async def wait_beyond(self, sequence: int) -> None:
        """For ever."""
        await asyncio.get_running_loop().create_future()


def _unavailable() -> Unavailable:
    return Unavailable("NOT_READY", "this daemon is a standby: ask the one that leads", {"state": DaemonState.FENCED})
