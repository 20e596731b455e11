"""Owns the plugin's settings: which Bybit, which account, what is traded there and how."""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from quarterdeck.plugin import Settings

_SYMBOL = r"^[a-z0-9][a-z0-9-]{0,62}$"


class Environment(StrEnum):
    """Which of Bybit's worlds. Keys of one mean nothing in another."""

    TESTNET = "testnet"
    DEMO = "demo"
    LIVE = "live"


#: The daemon's mode that each belongs to: real money is traded only where that was said twice.
MODES = {Environment.TESTNET: "testnet", Environment.DEMO: "exchange-demo", Environment.LIVE: "live"}

#: REST, private sockets, public sockets. The demo trades made-up money on the live market.
_HOSTS: dict[Environment, tuple[str, str, str]] = {
    Environment.TESTNET: (
        "https://api-testnet.bybit.com",
        "wss://stream-testnet.bybit.com",
        "wss://stream-testnet.bybit.com",
    ),
    Environment.DEMO: (
        "https://api-demo.bybit.com",
        "wss://stream-demo.bybit.com",
        "wss://stream.bybit.com",
    ),
    Environment.LIVE: (
        "https://api.bybit.com",
        "wss://stream.bybit.com",
        "wss://stream.bybit.com",
    ),
}


class MarginMode(StrEnum):
    """How positions share their margin. Portfolio margin follows other rules than the core counts with."""

    CROSS = "REGULAR_MARGIN"
    ISOLATED = "ISOLATED_MARGIN"


class Way(StrEnum):
    """How requests that change orders reach Bybit."""

    REST = "rest"
    WEBSOCKET = "websocket"


class Site(Settings):
    """Where Bybit is. Only a simulator on this machine may stand in for it."""

    rest: str
    private: str
    public: str

    @field_validator("rest", "private", "public")
    @classmethod
    def _is_here(cls, value: str) -> str:
        parts = urlsplit(value)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "ws") or not (host == "localhost" or _is_loopback(host)):
            raise ValueError(f"{value!r} is not a simulator on this machine, such as 'http://127.0.0.1:9555'")
        return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class BybitSettings(Settings):
    """`[exchange.settings]` of a daemon that trades on Bybit."""

    environment: Environment
    """testnet | demo | live; has to fit the daemon's mode."""
    symbols: Annotated[tuple[Annotated[str, Field(pattern=_SYMBOL)], ...], Field(min_length=1, max_length=200)]
    """What is traded, in our names: `btcusdt` is the perpetual, `btcusdt-spot` the pair."""
    credentials: str = "env:BYBIT"
    """Where the key is: `env:NAME` (NAME_API_KEY, NAME_API_SECRET), `file:PATH` (mode 0600) or `keyring:NAME`."""
    user_id: int | None = None
    """The account the key has to belong to. A key of another account stops the start."""
    leverage: dict[str, Annotated[Decimal, Field(ge=1, le=200)]] = Field(default_factory=dict)
    """Leverage to set at start, by symbol; others stay as they are."""
    margin_mode: MarginMode | None = None
    """Margin mode to set at start; as it is if not given."""
    receive_window: Annotated[int, Field(ge=1_000, le=60_000)] = 5_000
    """Milliseconds for which a signed request stays valid: after that it can't be taken any more."""
    connect_timeout: Annotated[float, Field(gt=0, le=10)] = 2.0
    read_timeout: Annotated[float, Field(gt=0, le=30)] = 4.0
    settle: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}$")] = "USDT"
    """The coin whose contracts are traded."""
    orders: Way = Way.REST
    """The way orders take: rest | websocket (the trade socket). The other one is the second way of what reduces."""
    dcp_seconds: Annotated[int, Field(ge=3, le=300)] | None = None
    """Have Bybit cancel the account's orders, stops perhaps included, when it has not been heard for so long."""
    accept_withdrawal_rights: bool = False
    """Whether a key that may move money out is accepted. It never has to."""
    simulator: Site | None = None
    """Stands in for Bybit, on this machine only."""

    @model_validator(mode="after")
    def _fits(self) -> BybitSettings:
        if self.read_timeout * 1_000 >= self.receive_window:
            raise ValueError(
                "read_timeout: must be shorter than receive_window, so that silence is noticed before a request is void"
            )
        if self.orders is Way.WEBSOCKET and not self.has_trade_socket:
            raise ValueError("orders: 'websocket' is not offered in the demo, which has no trade socket; use 'rest'")
        unknown = [symbol for symbol in self.leverage if symbol not in self.symbols]
        if unknown:
            raise ValueError(f"leverage: {', '.join(unknown)} is not among symbols")
        return self

    @property
    def has_trade_socket(self) -> bool:
        """Whether orders can go over a socket there. The demo has none."""
        return self.environment is not Environment.DEMO

    @property
    def site(self) -> Site:
        """Where to call."""
        if self.simulator is not None:
            return self.simulator
        rest, private, public = _HOSTS[self.environment]
        return Site.model_construct(rest=rest, private=private, public=public)

    @property
    def file(self) -> Path | None:
        """The credentials' file, if they are in one."""
        kind, _, rest = self.credentials.partition(":")
        return Path(rest) if kind == "file" else None
