"""Owns what is shown of an account that is not taken up: why, and how it was when it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.daemon.config import Config
from quarterdeck.daemon.core import VERSION
from quarterdeck.domain.errors import Unavailable
from quarterdeck.rpc.facade import DaemonState, DaemonStatus, PluginInfo


class Absent:
    """An account whose journal is read, is another daemon's, or which has failed. Implements `rpc.facade.Shown`."""

    def __init__(self, config: Config) -> None:
        self.account_id = config.account.id
        now = time.time_ns()
        self._last = DaemonStatus(
            mode=config.mode,
            state=DaemonState.SYNCING,
            reasons=("the journal is being read",),
            version=VERSION,
            start_time=now,
            current_time=now,
            exchange=config.exchange.plugin,
            feed=config.feed.plugin,
            market_data_age=None,
            exchange_age=None,
            settle=config.account.settle,
        )

    def say(self, state: DaemonState, why: str) -> None:
        """From now on it is like this."""
        self._last = replace(self._last, state=state, reasons=(why,))

    def remember(self, status: DaemonStatus) -> None:
        """What was last known of the journal; ages mean nothing any more."""
        self._last = replace(self._last, journal_id=status.journal_id, head=status.head, head_hash=status.head_hash)

    def status(self) -> DaemonStatus:
        """How it is."""
        return replace(self._last, current_time=time.time_ns())

    def plugins(self) -> Sequence[PluginInfo]:
        """Nothing can be asked of it.

        Raises:
            Unavailable: always.
        """
        raise Unavailable("NOT_READY", "; ".join(self._last.reasons), {"state": self._last.state})
