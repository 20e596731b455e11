"""Owns the server: which services there are, how connections are kept, and who may reach it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from quarterdeck.domain.errors import ConfigError
from quarterdeck.rpc import names
from quarterdeck.rpc.board import PACKAGE, SERVICES, Blank, Board, methods_of
from quarterdeck.rpc.facade import Deck, Shown
from quarterdeck.rpc.interceptor import Guard
from quarterdeck.rpc.limits import Limits, Pace
from quarterdeck.rpc.routes import Routes
from quarterdeck.rpc.servicers.together import Together
from quarterdeck.rpc.wiring import add_service

STANDARD_SERVICES = (health.SERVICE_NAME, reflection.SERVICE_NAME)
"""What any tool can ask of any server."""


_ENGAGE = descriptor_pool.Default().FindMethodByName(f"{PACKAGE}.RiskService.EngageKillSwitch")


class Server:
    """Offers accounts to clients of this machine. There is no authentication yet, so no other machine is let in."""

    def __init__(self, decks: Iterable[Deck] = (), pace: Pace | None = None, limits: Limits | None = None) -> None:
        self._pace = pace or Pace()
        self._limits = limits or Limits()
        self._boards: dict[str, Board | Blank] = {}
        """By the account's name, in order."""
        self._routes = Routes()
        self.guard = Guard(self._routes.account_of, self._limits)
        self._health = health.aio.HealthServicer()
        self._open: set[str] = set()
        """Names of the accounts that take commands."""
        self.address = ""
        """What clients reach it by, once started."""
        self._server: grpc.aio.Server | None = None
        for deck in decks:
            self._put(deck, Board(deck, self._pace, self._limits))

    async def show(self, deck: Deck) -> None:
        """From now on an account's calls go to this deck. Streams of what was shown for it before end."""
        await self._replace(deck, Board(deck, self._pace, self._limits))

    async def withdraw(self, account: Shown) -> None:
        """From now on nothing can be asked of an account but how it is. Its streams end with its last event."""
        await self._replace(account, Blank(account))

    async def _replace(self, account: Shown, board: Board | Blank) -> None:
        before = self._boards.get(names.account(account.account_id))
        self._put(account, board)
        if self._server is not None and board.tape is not None:
            board.tape.start()
        if self._server is not None and before is not None and before.tape is not None:
            await before.tape.stop()

    def _put(self, account: Shown, board: Board | Blank) -> None:
        name = names.account(account.account_id)
        self._boards[name] = board
        self._boards = dict(sorted(self._boards.items()))
        self._routes.put(name, board.serves)

    def _shown(self) -> Mapping[str, Shown]:
        return {name: board.shown for name, board in self._boards.items()}

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
        for board in self._boards.values():
            if board.tape is not None:
                board.tape.start()
        self._server = server
        await self.serve(is_open=False)
        self.address = listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
        return self.address

    async def serve(self, *, is_open: bool, account_id: str = "") -> None:
        """Tell health checks whether an account takes commands, or all do. The services do if every account does.

        What it answers is the account's own affair.
        """
        for name in [names.account(account_id)] if account_id else self._boards:
            if is_open:
                self._open.add(name)
            else:
                self._open.discard(name)
            await self._tell(name, is_open=is_open)
        for service in ("", *SERVICES):
            await self._tell(service, is_open=self._open.issuperset(self._boards))

    async def _tell(self, service: str, *, is_open: bool) -> None:
        status = health_pb2.HealthCheckResponse
        await self._health.set(service, status.SERVING if is_open else status.NOT_SERVING)

    async def stop(self) -> None:
        """Let streams end with the last event, wait a little for calls under way, and close."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(*(board.tape.stop() for board in self._boards.values() if board.tape is not None))
        await server.stop(self._pace.farewell)
        await asyncio.sleep(0)  # what the closing has scheduled

    def _add_services(self, server: grpc.aio.Server) -> None:
        engage = self._routes.method(_ENGAGE.full_name, _ENGAGE.input_type)
        together = Together(self._shown, engage)
        overall = {
            name: serve
            for service in ("Account", "Risk", "System")
            for name, serve in methods_of(f"{PACKAGE}.{service}Service", together).items()
        }

        def serve(method: Any) -> Any:  # noqa: ANN401 - see add_service
            return overall.get(method.full_name) or self._routes.method(method.full_name, method.input_type)

        for name in SERVICES:
            add_service(server, name, serve, serialized=name == f"{PACKAGE}.EventService")
        add_service(server, health.SERVICE_NAME, _of(self._health))
        reflected = reflection.aio.ReflectionServicer((*SERVICES, *STANDARD_SERVICES))
        add_service(server, reflection.SERVICE_NAME, _of(reflected))


def _of(servicer: object) -> Callable[[Any], Any]:
    """What a servicer has for a method; nothing for those it has not made asynchronous."""

    def serve(method: Any) -> Any:  # noqa: ANN401 - see add_service
        found = getattr(servicer, method.name)
        return found if iscoroutinefunction(found) or isasyncgenfunction(found) else None

    return serve


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
