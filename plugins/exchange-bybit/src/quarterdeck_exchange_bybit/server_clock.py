"""Owns what time Bybit has: this machine's clock and how far the server's is from it, with what can be said for sure.

A request is void when its stamp is a second ahead of the server or a receive window behind, so signing waits for this.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND

#: A stamp may be less than a second ahead; with this much doubt nothing is signed.
MOST_DOUBT = 700 * MILLISECOND

#: How far this machine's clock may be from the server's. What happened is asked for by time, with a margin of minutes.
FARTHEST = 10 * SECOND

#: How far wall clock and monotonic clock may part between two samples before the wall clock has been set.
STEP = 500 * MILLISECOND


class ServerClock:
    """Bybit's time. `wall` and `steady` are clocks in nanoseconds; only a test has others than the machine's."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = 0
        self._doubt: int | None = None
        self._apart = wall() - steady()

    def sample(self, sent: int, server: int, received: int) -> None:
        """Learn from an answer: our steady clock when it was asked and heard, and the server's time in it."""
        if server <= 0 or received < sent:
            return
        doubt = (received - sent) // 2 + MILLISECOND  # the server counts in milliseconds
        middle = (sent + received) // 2
        offset = server - (middle + self._apart)
        is_possible = self._doubt is not None and abs(offset - self._offset) <= doubt + self._doubt
        if self._doubt is not None and doubt > 2 * self._doubt and is_possible and not self.has_stepped:
            return  # a slow answer says less than what is known, unless it refutes it
        self._apart = self._wall() - self._steady()
        self._offset = server - (middle + self._apart)
        self._doubt = doubt

    @property
    def has_stepped(self) -> bool:
        """Whether somebody has set this machine's clock since the last sample, or it was suspended."""
        return abs(self._wall() - self._steady() - self._apart) > STEP

    @property
    def is_trusted(self) -> bool:
        """Whether a request may be signed."""
        return self._doubt is not None and self._doubt < MOST_DOUBT and not self.has_stepped

    @property
    def offset(self) -> int:
        """What the server's clock is ahead of ours."""
        return self._offset

    @property
    def problem(self) -> str:
        """Why this machine's clock won't do, in words; empty if it will."""
        if abs(self._offset) <= FARTHEST:
            return ""
        return (
            f"this machine's clock is {abs(self._offset) / SECOND:,.0f} s {'behind' if self._offset > 0 else 'ahead'}"
        )

    def now(self) -> int:
        """The server's time in nanoseconds since the epoch."""
        return self._steady() + self._apart + self._offset

    def stamp(self) -> int:
        """The time to sign with, in milliseconds: rather late than early, since early is refused outright."""
        return (self.now() - (self._doubt or 0)) // MILLISECOND
