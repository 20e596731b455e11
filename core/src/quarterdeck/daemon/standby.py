"""Owns waiting for a journal that is another daemon's."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from quarterdeck.daemon.absent import Absent
from quarterdeck.daemon.journal import InUse, check_free
from quarterdeck.domain.errors import ConfigError
from quarterdeck.rpc.facade import DaemonState

log = structlog.get_logger(__name__)

#: Seconds between two looks whether the journal is free.
LOOK_EVERY = 0.5


async def wait(url: str, shown: Absent, why: str, asked: asyncio.Event) -> bool:
    """Wait until nobody uses the journal any more; False if this daemon was asked to stop before.

    All the time the account is shown as FENCED, and by whom.
    """
    log.info("standby", why=why)
    while not asked.is_set():
        shown.say(DaemonState.FENCED, f"standby; {why}")
        try:
            await asyncio.to_thread(check_free, url)
        except InUse as error:
            why = str(error)
        except ConfigError as error:  # such as a server that is restarted
            why = str(error)
            log.warning("standby_hindered", why=why)
        else:
            log.info("taking_over")
            shown.say(DaemonState.SYNCING, "the journal is being read")
            return True
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), LOOK_EVERY)
    return False
