"""Owns waking many waiters at once, none of whom can hold up another."""

from __future__ import annotations

import asyncio


class Bell:
    """Rings for everybody who waits at that moment. After `close` nobody waits any more."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []
        self.is_closed = False

    def ring(self) -> None:
        """Wake all who wait."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for the next ring."""
        if not self.is_closed:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def close(self) -> None:
        """Wake all who wait, and let nobody wait again."""
        self.is_closed = True
        self.ring()
