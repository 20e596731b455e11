"""Owns the server: which services there are, how connections are kept, and who may reach it."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from quarterdeck.domain.errors import ConfigError
from quarterdeck.rpc import names
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.interceptor import Guard
from quarterdeck.rpc.limits import Limits
from quarterdeck.rpc.pages import Listings
from quarterdeck.rpc.servicers.accounts import AccountServicer
from quarterdeck.rpc.servicers.bots import BotServicer
from quarterdeck.rpc.servicers.events import EventServicer
from quarterdeck.rpc.servicers.market_data import MarketDataServicer
from quarterdeck.rpc.servicers.orders import OrderServicer
from quarterdeck.rpc.servicers.positions import PositionServicer
from quarterdeck.rpc.servicers.risk import RiskServicer
from quarterdeck.rpc.servicers.sizing import SizingServicer
from quarterdeck.rpc.servicers.system import SystemServicer
from quarterdeck.rpc.tape import Tape
from quarterdeck.rpc.wiring import add_service

PACKAGE = "quarterdeck.v1"

SERVICES = tuple(
    f"{PACKAGE}.{name}Service"
    for name in ("Account", "Bot", "Event", "MarketData", "Order", "Position", "Risk", "Sizing", "System")
)
"""The contract's services."""

STANDARD_SERVICES = (health.SERVICE_NAME, reflection.SERVICE_NAME)
"""What any tool can ask of any server."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the streams are timed, in seconds."""

    heartbeat: float = 1.0
    """An event stream says after so long that there was nothing."""
    market: float = 0.1
    """A market stream sends at most so often."""
    farewell: float = 2.0
    """Calls under way may go on for so long when the server stops."""


class Server:
    """Offers a deck to clients of this machine. There is no authentication yet, so no other machine is let in."""

    def __init__(self, deck: Deck, pace: Pace | None = None, limits: Limits | None = None) -> None:
        self._deck = deck
        self._pace = pace or Pace()
        self._limits = limits or Limits()
        self._tape = Tape(deck.events, deck.journal_id, self._pace.heartbeat)
        self.guard = Guard(names.account(deck.account_id), self._limits)
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self, listen: str) -> str:
        """Listen on `host:port` (0 picks a free port) or `unix:path`; returns the address that clients can use.

        Health checks say NOT_SERVING until `serve`.

        Raises:
            ConfigError: the address is not this machine's own, or is taken.
        """
        check_local(listen)
        server = grpc.aio.server(
            interceptors=(self.guard,),
            options=self._limits.options,
            maximum_concurrent_rpcs=self._limits.everything,
        )
        self._add_services(server)
        try:
            port = server.add_insecure_port(listen)
        except RuntimeError as error:
            await server.stop(None)
            raise ConfigError(f"daemon.listen: cannot listen on {listen}: is another daemon there?") from error
        await server.start()
        self._tape.start()
        self._server = server
        await self.serve(is_open=False)
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    async def serve(self, *, is_open: bool) -> None:
        """Tell health checks whether the daemon takes commands. What it answers is its own affair."""
        status = health_pb2.HealthCheckResponse
        for service in ("", *SERVICES):
            await self._health.set(service, status.SERVING if is_open else status.NOT_SERVING)

    async def stop(self) -> None:
        """Let streams end with the last event, wait a little for calls under way, and close."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await self._health.enter_graceful_shutdown()
        await self._tape.stop()
        await server.stop(self._pace.farewell)
        await asyncio.sleep(0)  # what the closing has scheduled

    def _add_services(self, server: grpc.aio.Server) -> None:
        deck, listings, limits = self._deck, Listings(), self._limits
        servicers = {
            f"{PACKAGE}.AccountService": AccountServicer(deck, listings),
            f"{PACKAGE}.BotService": BotServicer(deck, listings),
            f"{PACKAGE}.MarketDataService": MarketDataServicer(deck, listings, self._pace.market, limits.patience),
            f"{PACKAGE}.OrderService": OrderServicer(deck, listings),
            f"{PACKAGE}.PositionService": PositionServicer(deck, listings),
            f"{PACKAGE}.RiskService": RiskServicer(deck, listings),
            f"{PACKAGE}.SizingService": SizingServicer(deck),
            f"{PACKAGE}.SystemService": SystemServicer(deck, listings),
            health.SERVICE_NAME: self._health,
            reflection.SERVICE_NAME: reflection.aio.ReflectionServicer((*SERVICES, *STANDARD_SERVICES)),
        }
        for name, servicer in servicers.items():
            add_service(server, name, servicer)
        events = EventServicer(deck, self._tape, limits)
        add_service(server, f"{PACKAGE}.EventService", events, serialized=True)


def check_local(listen: str) -> None:
    """Refuse an address that other machines can reach.

    Raises:
        ConfigError: it is neither a Unix socket nor a loopback address with a port.
    """
    if listen.startswith("unix:"):
        return
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"daemon.listen: {listen!r} is neither host:port nor unix:path")
    if host == "localhost":
        return
    try:
        is_local = ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise ConfigError(
            f"daemon.listen: {host} can be reached from other machines, and there is no authentication yet: "
            "listen on 127.0.0.1, [::1] or a unix: socket"
        )
