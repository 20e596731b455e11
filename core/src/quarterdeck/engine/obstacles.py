"""Owns obstacles: reasons of the moment not to take risk, such as a venue nobody has agreed with yet.

They come and go with the world and are not journaled: a daemon that starts finds its own. What a person or a limit has
decided about trading is the durable `TradingState`.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The daemon has not agreed with the venue yet.
SYNCING = "SYNCING"

#: A step of the start fails or takes long; it is tried again.
STARTING = "STARTING"

#: The daemon is about to end.
STOPPING = "STOPPING"

#: The journal's disk is full, or nearly.
DISK = "DISK"

#: The journal's database is away, and waited for.
JOURNAL = "JOURNAL"

#: Another daemon may have taken over.
LEASE = "LEASE"

#: The daemon has crashed too often of late.
CRASHES = "CRASHES"

#: The venue holds something else than the journal, and nobody knows why; or it can't be asked.
UNRECONCILED = "UNRECONCILED"

#: The venue can't be heard, or could not and has not been agreed with since.
UNHEARD = "UNHEARD"

#: The latest price of an instrument is too old to go by. Its name ends with the instrument's.
STALE = "STALE"

#: The venue has refused several orders of one instrument at once.
REFUSALS = "REFUSALS"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why nothing that adds risk may leave. `name` is in capitals; with a `symbol` it is about one instrument only.

    It is over by itself at `until`, in nanoseconds; 0 says that somebody has to clear it.
    """

    name: str
    detail: str
    symbol: str = ""
    until: int = 0

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


class Obstacles(dict[str, Obstacle]):
    """What stands in the way now, by name."""

    __slots__ = ()

    def to(self, symbol: str, now: int) -> Obstacle | None:
        """What stands in the way of taking risk on an instrument; None if nothing does."""
        if self:  # hardly ever
            for obstacle in self.values():
                if obstacle.symbol in ("", symbol) and (not obstacle.until or now < obstacle.until):
                    return obstacle
        return None

    def expire(self, now: int) -> None:
        """Forget those that are over by themselves."""
        for name in [name for name, each in self.items() if each.until and now >= each.until]:
            del self[name]
