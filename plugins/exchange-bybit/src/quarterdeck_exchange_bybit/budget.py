"""Owns the rate budget: how many requests may leave, per user and method and per address, and who goes first.

Every request of every bot passes here. A fifth of each budget is kept for what takes risk away: cancels, stops, closes;
and what of that waits for room gets it before anything else does. What a user may do is each account's own; what our
address may do is counted once, for all accounts and feeds of this process that call the same host.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: Requests per second and user that Bybit allows, by method; spot may do more. Others: 50.
LIMITS: Mapping[str, tuple[int, int]] = {
    "place_order": (10, 20),
    "amend_order": (10, 10),
    "cancel_order": (10, 20),
    "cancel_all_orders": (10, 20),
    "place_batch_order": (10, 20),
    "amend_batch_order": (10, 20),
    "cancel_batch_order": (10, 20),
    "set_trading_stop": (10, 10),
    "set_leverage": (10, 10),
    "switch_position_mode": (10, 10),
    "set_margin_mode": (5, 5),
    "get_fee_rates": (5, 5),
    "get_api_key_information": (10, 10),
}
_USUAL = 50

#: What a second is held to be: two requests may come closer to one another on their way than they left.
SECOND = 1.05

#: Requests per address: Bybit bans beyond 600 in five seconds, so we stay far below.
ADDRESS_WINDOW = 5.0
ADDRESS_LIMIT = 360

#: The part of a budget that only what takes risk away may use.
RESERVE = 0.2

#: Longest that a refusal for rate keeps a method closed, whatever time of reset it names.
LONGEST_PAUSE = 5.0

#: How long nothing leaves after Bybit has turned this address away.
BAN = 600.0


class Banned(Exception):
    """Bybit has turned this address away; nothing may leave for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Bybit refuses this address for another {seconds:.0f} s")


@dataclass(slots=True)
class Window:
    """Requests of the last `seconds`, at most `limit` of them."""

    limit: int
    seconds: float
    used: deque[float] = field(default_factory=deque)
    closed_until: float = 0.0
    ahead: int = 0
    """Places that what takes risk away is waiting for: nothing else gets one before."""

    def wait(self, now: float, *, reduces: bool, places: int = 1) -> float:
        """How long until what takes so many places may leave; 0 means now."""
        while self.used and self.used[0] <= now - self.seconds:
            self.used.popleft()
        # One less than allowed: Bybit's second does not begin when ours does.
        allowed = max(1, self.limit - 1 if reduces else int(self.limit * (1 - RESERVE)))
        if self.closed_until > now:
            return self.closed_until - now
        surplus = len(self.used) + min(places, allowed) + (0 if reduces else self.ahead) - allowed
        if surplus > len(self.used):  # those ahead fill it, and it empties no sooner than this
            return self.seconds
        return self.used[surplus - 1] + self.seconds - now if surplus > 0 else 0.0


class Address:
    """This machine's address as one host sees it: a window, and a ban, of all who call that host from here.

    Numbers alone, nothing of an event loop: who waits, waits in its own. All of them are on one thread.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.window = Window(ADDRESS_LIMIT, ADDRESS_WINDOW)
        self.banned_until = 0.0


#: By host, for as long as the process lives: a ban outlasts the account that ran into it.
_ADDRESSES: dict[str, Address] = {}


def address_at(rest: str) -> Address:
    """Our address as the host of a REST URL sees it: the same one for everybody here."""
    return _ADDRESSES.setdefault(urlsplit(rest).netloc, Address())


class Budget:
    """Lets requests of one user leave, from an address that others may share."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._methods: dict[tuple[str, str], Window] = {}

    def wait(self, method: str, category: str, *, reduces: bool, by_socket: bool = False, places: int = 1) -> float:
        """How long a request would have to wait; 0 means it may leave now.

        A batch takes a place for each of its orders. Both ways share the limits of the user. Those of the address, and
        its ban, are REST's alone.

        Raises:
            Banned: nothing may leave.
        """
        now = self._address.now()
        wait = self._window(method, category).wait(now, reduces=reduces, places=places)
        if by_socket:
            return wait
        if self._address.banned_until > now:
            raise Banned(self._address.banned_until - now)
        return max(wait, self._address.window.wait(now, reduces=reduces))

    async def take(
        self,
        method: str,
        category: str,
        *,
        reduces: bool,
        patience: float,
        by_socket: bool = False,
        places: int = 1,
    ) -> bool:
        """Wait for the places and take them; False if that would take longer than `patience` seconds.

        Raises:
            Banned: nothing may leave.
        """
        wanted = [(self._window(method, category), places)]
        if not by_socket:
            wanted.append((self._address.window, 1))
        end = self._address.now() + patience
        with _ahead(wanted) if reduces else nullcontext():
            while (delay := self.wait(method, category, reduces=reduces, by_socket=by_socket, places=places)) > 0:
                if self._address.now() + delay > end:
                    return False
                await asyncio.sleep(delay)
        now = self._address.now()
        for window, count in wanted:
            window.used.extend([now] * count)
        return True

    def refused(self, method: str, category: str, seconds: float) -> None:
        """Bybit says that there were too many: the method stays closed for a while."""
        window = self._window(method, category)
        window.closed_until = self._address.now() + min(max(seconds, 0.0), LONGEST_PAUSE)

    def ban(self) -> None:
        """Bybit has turned the address away, and so everybody who calls from it."""
        self._address.banned_until = self._address.now() + BAN

    @property
    def banned_for(self) -> float:
        """Seconds for which nothing may leave; 0 when it may."""
        return max(0.0, self._address.banned_until - self._address.now())

    def _window(self, method: str, category: str) -> Window:
        key = (method, category)
        if key not in self._methods:
            linear, spot = LIMITS.get(method, (_USUAL, _USUAL))
            self._methods[key] = Window(spot if category == "spot" else linear, SECOND)
        return self._methods[key]


@contextmanager
def _ahead(wanted: Sequence[tuple[Window, int]]) -> Iterator[None]:
    """Stand before all that does not take risk away, for so many places each, until this ends."""
    for window, places in wanted:
        window.ahead += places
    try:
        yield
    finally:
        for window, places in wanted:
            window.ahead -= places
