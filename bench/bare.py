"""Owns the limits: bare grpc.aio servers that echo, group-commit one row, or fan bytes out, and do nothing else.

Run as `python -m bench.bare echo`, `... commit DATABASE`, `... plain DATABASE` or `... stream FRAMES`; prints its
address when it is ready. DATABASE is the URL of a PostgreSQL server or the path of a SQLite file. They run on uvloop
and take raw bytes, so they are the fastest a grpc.aio server in this process model gets; all but `plain`, which commits
too and is as its manual has it: messages in and out, on asyncio's own event loop.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import psycopg
import uvloop

from bench.load import read_frames
from quarterdeck.v1.order_service_pb2 import CreateOrderRequest, CreateOrderResponse

ECHO, COMMIT, STREAM, TRIGGER = "/bare.Bare/Echo", "/bare.Bare/Commit", "/bare.Bare/Stream", "/bare.Bare/Trigger"

Context = grpc.aio.ServicerContext[Any, Any]


class GroupCommit:
    """One thread that writes whatever has queued in one transaction, synced to the disk."""

    def __init__(self, database: str) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._open = _postgresql if "://" in database else _sqlite
        self._database = database
        threading.Thread(target=self._run, daemon=True).start()

    def write(self, row: bytes) -> asyncio.Future[None]:
        """The future is done when the row is durable."""
        done = self._loop.create_future()
        self._queue.put((row, done))
        return done

    def _run(self) -> None:
        commit = self._open(self._database)
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            commit([row for row, _ in batch])
            self._loop.call_soon_threadsafe(_tell, [done for _, done in batch])


def _sqlite(path: str) -> Callable[[list[bytes]], None]:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)")

    def commit(rows: list[bytes]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO row (body) VALUES (?)", [(row,) for row in rows])
        database.execute("COMMIT")

    return commit


def _postgresql(url: str) -> Callable[[list[bytes]], None]:
    database = psycopg.connect(url, autocommit=True)
    table = f"row_{os.getpid()}"  # each server has its own
    database.execute(f"CREATE TABLE {table} (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA)".encode())
    insert = f"INSERT INTO {table} (body) SELECT unnest(%b::bytea[])".encode()

    def commit(rows: list[bytes]) -> None:
        database.execute(insert, (rows,))

    return commit


def _tell(waiting: list[asyncio.Future[None]]) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(None)


class FanOut:
    """Sends frames to every reader once they are let go."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = frames
        self._go = asyncio.Event()

    async def stream(self, _: bytes, context: Context) -> AsyncIterator[bytes]:
        """One reader's frames."""
        await context.send_initial_metadata(())
        await self._go.wait()
        for frame in self._frames:
            yield frame

    async def trigger(self, _: bytes, __: Context) -> bytes:
        """Let go."""
        self._go.set()
        return b""


async def serve(kind: str, given: str = "") -> None:
    """Serve until killed."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    if kind == "echo":

        async def echo(request: bytes, _: Context) -> bytes:
            return request

        handlers["Echo"] = grpc.unary_unary_rpc_method_handler(echo)
    elif kind == "commit":
        writer = GroupCommit(given)

        async def commit(request: bytes, _: Context) -> bytes:
            await writer.write(request)
            return request

        handlers["Commit"] = grpc.unary_unary_rpc_method_handler(commit)
    elif kind == "plain":
        writer = GroupCommit(given)

        async def create(request: CreateOrderRequest, _: Context) -> CreateOrderResponse:
            await writer.write(request.SerializeToString())
            return CreateOrderResponse(order=request.order)

        handlers["Create"] = grpc.unary_unary_rpc_method_handler(
            create, CreateOrderRequest.FromString, CreateOrderResponse.SerializeToString
        )
    else:
        fan = FanOut(read_frames(Path(given)))
        handlers["Stream"] = grpc.unary_stream_rpc_method_handler(fan.stream)
        handlers["Trigger"] = grpc.unary_unary_rpc_method_handler(fan.trigger)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Bare", handlers),))
    server.add_registered_method_handlers("bare.Bare", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    (asyncio if sys.argv[1] == "plain" else uvloop).run(serve(*sys.argv[1:]))
