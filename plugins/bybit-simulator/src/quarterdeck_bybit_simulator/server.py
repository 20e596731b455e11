"""Owns the network of the simulated Bybit: REST and WebSockets on one port of this machine."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from aiohttp import WSMsgType, web

from quarterdeck_bybit_simulator.faults import Do, Rule
from quarterdeck_bybit_simulator.simulator import Answer, Simulator
from quarterdeck_bybit_simulator.sockets import Kind, Socket, Sockets

#: Frames waiting for a client that does not read; beyond this its connection is cut, as Bybit does.
_BACKLOG = 10_000

_PATHS: Mapping[str, Kind] = {
    "/v5/public/linear": Kind.LINEAR,
    "/v5/public/spot": Kind.SPOT,
    "/v5/private": Kind.PRIVATE,
    "/v5/trade": Kind.TRADE,
}


class SimulatorServer:
    """Serves a simulator until it is closed. An async context manager."""

    def __init__(self, simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> None:
        self.simulator = simulator
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self.sent: Counter[Kind] = Counter()
        """Frames handed to the network so far."""
        self._numbers = itertools.count(1)
        self._sockets: Sockets | None = None
        self._live: dict[Socket, web.WebSocketResponse] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._port}"

    @property
    def rest_url(self) -> str:
        """Where REST requests go."""
        return f"http://{self.address}"

    @property
    def socket_url(self) -> str:
        """What the sockets' paths follow."""
        return f"ws://{self.address}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._sockets = Sockets(self.simulator, loop.call_later, self._cut)
        app = web.Application()
        for path in _PATHS:
            app.router.add_get(path, self._socket)
        app.router.add_route("*", "/{path:.*}", self._request)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for socket in list(self._live):
            self._cut(socket)
        for task in self._tasks:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        self.simulator.truth.close()

    def drop_all(self, kind: Kind | None = None) -> None:
        """Cut every socket, or all of a kind, as a restart of Bybit's gateway does."""
        for socket in list(self._live):
            if kind in (None, socket.kind):
                self._cut(socket)

    def restart_trade_service(self) -> None:
        """Have the trade sockets that are open turned away when they ask for something."""
        assert self._sockets is not None, "the server has started"
        self._sockets.restart_trade_service()

    # ------------------------------------------------------------ REST

    async def _request(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        rule = self.simulator.faults.of_request(
            request.path, _symbol(request, body), body or request.rel_url.raw_query_string
        )
        if rule is not None and not rule.after and rule.do in (Do.DROP_REQUEST, Do.HTTP, Do.CODE):
            return self._unserved(request, rule)
        if rule is not None and rule.do in (Do.DELAY_ACCEPT, Do.TOO_LATE):
            await asyncio.sleep(rule.ms / 1000)
        address = request.headers.get("X-Forwarded-For", request.remote or "")
        query = request.rel_url.raw_query_string
        arrived = (request.method, request.path, query, body, request.headers, address)
        answer = self.simulator.handle(*arrived)
        if rule is not None and rule.do is Do.TWICE:
            answer = self.simulator.handle(*arrived)
        if rule is not None and rule.do is Do.TOO_LATE:
            answer = self.simulator.too_late(body, answer)
        if rule is not None and rule.do is Do.DELAY_ANSWER:
            await asyncio.sleep(rule.ms / 1000)
        if rule is not None and (rule.do is Do.ACCEPT_THEN_DROP or rule.after):
            return self._unserved(request, rule)
        return _response(answer)

    def _unserved(self, request: web.Request, rule: Rule) -> web.StreamResponse:
        """Answer otherwise than the simulator would."""
        self.simulator.truth.note("fault", path=request.path, do=rule.do)
        if rule.do is Do.HTTP:
            return web.Response(status=rule.status, text=rule.body, content_type="text/html")
        if rule.do is Do.CODE:
            now = self.simulator.now() // 1_000_000
            text = rule.body or "faulty"
            return web.json_response(
                {"retCode": rule.code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": now}
            )
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=499)  # never leaves: the connection is gone

    # ------------------------------------------------------------ sockets

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        assert self._sockets is not None, "the server has started"
        address = request.headers.get("X-Forwarded-For", request.remote or "")
        if not self.simulator.gate.allow_connection(address, self.simulator.now()):
            raise web.HTTPForbidden
        live = web.WebSocketResponse(autoping=False, max_msg_size=1 << 20)
        await live.prepare(request)
        outgoing: asyncio.Queue[str] = asyncio.Queue(_BACKLOG)
        socket = Socket(
            _PATHS[request.path],
            f"sim-{next(self._numbers)}",
            lambda text: self._put(socket, outgoing, text),
            address,
        )
        self._live[socket] = live
        self._sockets.open.add(socket)
        self.simulator.truth.note("socket", of=socket.kind, id=socket.connection_id, open=True)
        if self.simulator.faults.of_request("connect", "") is not None:
            self._cut(socket)
        writer = asyncio.create_task(_write(live, outgoing))
        self._tasks.add(writer)
        try:
            async for frame in live:
                if frame.type is WSMsgType.TEXT:
                    self._sockets.hear(socket, frame.data)
                elif frame.type is WSMsgType.PING and not socket.is_frozen:
                    await live.pong(frame.data)
                # Half-open: not even a close is answered.
                while socket.is_frozen and request.transport is not None:  # noqa: ASYNC110 - the network ends it
                    await asyncio.sleep(0.05)
        finally:
            writer.cancel()
            self._tasks.discard(writer)
            self._live.pop(socket, None)
            self._sockets.leave(socket)
            self.simulator.truth.note("socket", of=socket.kind, id=socket.connection_id, open=False)
        return live

    def _put(self, socket: Socket, outgoing: asyncio.Queue[str], text: str) -> None:
        self.sent[socket.kind] += 1
        try:
            outgoing.put_nowait(text)
        except asyncio.QueueFull:
            self._cut(socket)

    def _cut(self, socket: Socket) -> None:
        live = self._live.pop(socket, None)
        if live is not None:
            task = asyncio.get_running_loop().create_task(live.close())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _write(live: web.WebSocketResponse, outgoing: asyncio.Queue[str]) -> None:
    while not live.closed:
        try:
            await live.send_str(await outgoing.get())
        except ConnectionError:
            return


def _symbol(request: web.Request, body: str) -> str:
    """Which symbol a request is about; empty if it does not say."""
    if request.method == "GET":
        return str(request.rel_url.query.get("symbol", ""))
    try:
        params = json.loads(body or "{}")
    except ValueError:
        return ""
    return str(params.get("symbol", "")) if isinstance(params, dict) else ""


def _response(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body, headers=answer.headers, content_type="text/html")
    return web.json_response(dict(answer.body), status=answer.status, headers=answer.headers)
