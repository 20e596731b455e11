"""Owns how a simulated Bybit behaves, and who has an account there."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from quarterdeck.matching import VenueSettings

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND


class LinkIds(StrEnum):
    """For how long a client's order id stays taken. Bybit's documentation has said both."""

    ALWAYS = "always"
    OPEN_ONLY = "open_only"


@dataclass(frozen=True, slots=True)
class Member:
    """Who may log in: an account, its key and what the key may do. `balances` are what it begins with."""

    api_key: str
    api_secret: str
    user_id: int = 10_000_001
    balances: tuple[tuple[str, Decimal], ...] = (("USDT", Decimal(100_000)),)
    may_trade: bool = True
    may_withdraw: bool = False
    is_read_only: bool = False
    addresses: tuple[str, ...] = ("*",)
    expires: str = "2030-01-01T00:00:00Z"


@dataclass(slots=True)
class SimulatorSettings:
    """What a test may turn, while the simulator runs, too. Times in nanoseconds."""

    members: tuple[Member, ...] = (Member("key", "secret"),)
    venue: VenueSettings = field(default_factory=VenueSettings)
    link_ids: LinkIds = LinkIds.ALWAYS
    visibility_delay: int = 0
    """How long queries do not find a new order."""
    read_lag: int = 0
    """How far behind the present queries of orders and executions are."""
    largest_page: int = 1_000
    """The most rows that a page of a listing has, whatever was asked for."""
    clock_offset: int = 0
    """What the server's clock is ahead of this machine's."""
    limits_apply: bool = True
    address_limit: int = 600
    """Requests of one address in five seconds; one more, and it is banned."""
    ban: int = 600 * SECOND
    operation_limit: int = 3_000
    """Operations of one address on its trade sockets in a second."""
    connection_limit: int = 500
    """New sockets of one address in five minutes."""
    dcp_is_offered: bool = True
    """Whether the accounts may set disconnection protection; most of Bybit's may not."""
    dcp_keeps_stops: bool = False
    """Whether the disconnection protection leaves conditional orders; Bybit does not say."""
    split_keeps_link: bool = True
    """Whether all parts of an order that was too large carry the client's id, or only the first; Bybit does not say."""
    is_in_maintenance: bool = False
