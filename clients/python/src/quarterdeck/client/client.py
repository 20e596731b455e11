"""Owns the two clients: one channel to one daemon, and every group of methods on it."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Any, Generic, Self

import grpc

from quarterdeck.client.aio import AsyncLink
from quarterdeck.client.groups.accounts import Accounts
from quarterdeck.client.groups.bots import Bots
from quarterdeck.client.groups.events import Events
from quarterdeck.client.groups.market import Market
from quarterdeck.client.groups.orders import Fills, Orders
from quarterdeck.client.groups.positions import Positions
from quarterdeck.client.groups.risk import Risk
from quarterdeck.client.groups.sizing import Sizings
from quarterdeck.client.groups.system import System
from quarterdeck.client.names import DEFAULT_ACCOUNT
from quarterdeck.client.options import Options
from quarterdeck.client.rpc import L
from quarterdeck.client.sync import SyncLink

DEFAULT_TARGET = "127.0.0.1:50551"
"""Where a daemon listens if it is not told otherwise."""

_MESSAGE_LIMIT = 16 * 1024 * 1024


def _channel_options(options: Options) -> list[tuple[str, int]]:
    """Notice a dead connection within a minute, and come back as fast as the backoff allows."""
    return [
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
        ("grpc.initial_reconnect_backoff_ms", round(options.backoff.initial * 1000)),
        ("grpc.max_reconnect_backoff_ms", round(options.backoff.maximum * 1000)),
    ]


class Api(Generic[L]):
    """Every group of methods, on one link.

    `link` makes any call of the contract, with the same tries and exceptions, for what the groups don't tell:
    `client.link.unary(Unary(GetOrderRequest(…), read))`.
    """

    def __init__(self, link: L, account: str | None) -> None:
        self.link: L = link
        self.account = account or DEFAULT_ACCOUNT
        """Whose orders, positions and events the methods are about."""
        self._account = account
        self.system: System[L] = System(link, account)
        self.accounts: Accounts[L] = Accounts(link, account)
        self.market: Market[L] = Market(link, account)
        self.sizing: Sizings[L] = Sizings(link, account)
        self.orders: Orders[L] = Orders(link, account)
        self.fills: Fills[L] = Fills(link, account)
        self.positions: Positions[L] = Positions(link, account)
        self.bots: Bots[L] = Bots(link, account)
        self.risk: Risk[L] = Risk(link, account)
        self.events: Events[L] = Events(link, account)


class Client(Api[AsyncLink]):
    """The client for asyncio.

    Belongs to the event loop it is made in. `grpc.aio` serves one loop in a process: make one with `asyncio.run`, once.
    """

    @classmethod
    def connect(
        cls,
        target: str = DEFAULT_TARGET,
        *,
        account: str | None = None,
        options: Options | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> Self:
        """A client of the daemon at `host:port` or `unix:path`; the connection is made by the first call.

        `account` is which of its accounts, `main` if not given. A daemon that has several wants it named.
        """
        options = options or Options()
        settings = _channel_options(options)
        channel = (
            grpc.aio.insecure_channel(target, settings)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, settings)
        )
        return cls(AsyncLink(channel, options), account)

    def with_options(self, **changes: Any) -> Self:  # noqa: ANN401 - the fields of Options
        """The same channel with other patience: `client.with_options(timeout=1).system.status()`."""
        return type(self)(AsyncLink(self.link.channel, replace(self.link.options, **changes)), self._account)

    def for_account(self, account: str) -> Self:
        """The same channel for another of the daemon's accounts."""
        return type(self)(self.link, account)

    async def close(self) -> None:
        """Close the channel; calls under way fail."""
        await self.link.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class SyncClient(Api[SyncLink]):
    """The client without asyncio. May be used from several threads."""

    @classmethod
    def connect(
        cls,
        target: str = DEFAULT_TARGET,
        *,
        account: str | None = None,
        options: Options | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> Self:
        """A client of the daemon at `host:port` or `unix:path`; the connection is made by the first call.

        `account` is which of its accounts, `main` if not given. A daemon that has several wants it named.
        """
        options = options or Options()
        settings = _channel_options(options)
        channel = (
            grpc.insecure_channel(target, settings)
            if credentials is None
            else grpc.secure_channel(target, credentials, settings)
        )
        return cls(SyncLink(channel, options), account)

    def with_options(self, **changes: Any) -> Self:  # noqa: ANN401 - the fields of Options
        """The same channel with other patience: `client.with_options(timeout=1).system.status()`."""
        return type(self)(SyncLink(self.link.channel, replace(self.link.options, **changes)), self._account)

    def for_account(self, account: str) -> Self:
        """The same channel for another of the daemon's accounts."""
        return type(self)(self.link, account)

    def close(self) -> None:
        """Close the channel; calls under way fail."""
        self.link.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
