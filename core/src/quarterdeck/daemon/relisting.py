"""Owns keeping up with the venue's rules: its instruments are asked for now and then, and after it refused an order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from quarterdeck.daemon.loop import Loop
from quarterdeck.engine.events import OrderAmendRejected, OrderRejected, Recorded
from quarterdeck.engine.inputs import ListInstruments
from quarterdeck.plugin.exchange import Exchange

log = structlog.get_logger(__name__)

#: Seconds between two questions: when nothing happens, and at least.
EVERY, APART = 3_600.0, 5.0

_CALLING = (OrderRejected, OrderAmendRejected)


class Relisting:
    """Shows the engine what the venue lists now. What it says differently from before is recorded."""

    def __init__(
        self, exchange: Exchange, loop: Loop, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._exchange = exchange
        self._loop = loop
        self._sleep = sleep
        self._wanted = asyncio.Event()

    def hear(self, events: Sequence[Recorded]) -> None:
        """Note that an order was refused: maybe by rules that have changed."""
        if any(isinstance(recorded.event, _CALLING) for recorded in events):
            self._wanted.set()

    async def keep(self) -> None:
        """Ask now and then. Ends when cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), EVERY)
            self._wanted.clear()
            try:
                await self.run()
            except Exception as error:  # noqa: BLE001 - a venue that can't tell is asked again
                log.warning("relisting_failed", error=repr(error)[:500])
                self._wanted.set()
            await self._sleep(APART)

    async def run(self) -> None:
        """Ask the venue once.

        Raises:
            Exception: whatever the venue raises when it can't tell.
        """
        listed = await self._exchange.instruments()
        await self._loop.ask(ListInstruments(tuple(listed)))
