"""Owns the load: a client process that calls servers in turn with ready-made bytes, or reads a stream many times over.

Run as `python -m bench.load SPEC`, where SPEC is JSON; prints its result as JSON. It is a process of its own so that
its work is not the server's, and it sends bytes so that it costs as little as a client can.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import uvloop

from quarterdeck.v1.event_service_pb2 import StreamEventsResponse

_CPUCLOCK_SCHED = 2

ENDLESS_FRAMES = (("grpc.max_receive_message_length", -1),)


async def call(spec: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Let the targets take `turns` of `seconds`, with `in_flight` calls under way; returns every turn, a figure each.

    The turns are short and in one process, so that whatever else the machine does meets all targets alike.
    """
    async with AsyncExitStack() as channels:
        targets = [await channels.enter_async_context(_target(target)) for target in spec["targets"]]
        for target in targets:
            await target.run(0.2, spec["in_flight"])
        return [
            [await target.run(spec["seconds"], spec["in_flight"]) for target in targets] for _ in range(spec["turns"])
        ]


class _Target:
    """One method of one server, which is called with the next of its requests, or with its only one again and again."""

    def __init__(self, method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], requests: list[bytes], pid: int) -> None:
        self._method = method
        self._requests = cycle(requests) if len(requests) == 1 else iter(requests)
        self._pid = pid

    async def run(self, seconds: float, in_flight: int) -> dict[str, Any]:
        latencies: list[float] = []
        cpu, begun = cpu_of(self._pid), time.perf_counter()
        await asyncio.gather(*(self._caller(begun + seconds, latencies) for _ in range(in_flight)))
        took, cpu = time.perf_counter() - begun, cpu_of(self._pid) - cpu
        latencies.sort()
        return {
            "rate": len(latencies) / took,
            "p50_ms": latencies[len(latencies) // 2] * 1e3,
            "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
            "cpu_us": cpu / len(latencies) * 1e6,
        }

    async def _caller(self, until: float, latencies: list[float]) -> None:
        while (begun := time.perf_counter()) < until:
            try:
                await self._method(next(self._requests))
            except StopIteration:
                raise RuntimeError("there were too few requests") from None
            except grpc.aio.AioRpcError as error:
                raise RuntimeError(f"{error.code().name}: {error.details()}") from error
            latencies.append(time.perf_counter() - begun)


@asynccontextmanager
async def _target(spec: dict[str, Any]) -> AsyncIterator[_Target]:
    async with grpc.aio.insecure_channel(spec["address"], ENDLESS_FRAMES) as channel:
        await channel.channel_ready()
        yield _Target(channel.unary_unary(spec["method"]), read_frames(Path(spec["requests"])), spec["pid"])


async def fan_out(spec: dict[str, Any]) -> dict[str, Any]:
    """Read a stream with `readers` at once; time from the trigger until each has had `messages` that count."""
    (start,) = read_frames(Path(spec["requests"]))
    (trigger,) = read_frames(Path(spec["trigger"]))
    wanted, floor = spec["messages"], spec["floor"]
    size = 0
    async with grpc.aio.insecure_channel(spec["address"], ENDLESS_FRAMES) as channel:
        stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(spec["method"])
        await channel.channel_ready()
        ready = asyncio.Semaphore(0)

        async def reader() -> None:
            nonlocal size
            running = stream(start)
            await running.initial_metadata() if spec["greets"] else None
            ready.release()
            count = 0
            async for message in running:
                if len(message) < floor:  # a heartbeat
                    continue
                size += len(message)
                count += 1
                if count == wanted:
                    break
            running.cancel()

        readers = [asyncio.create_task(reader()) for _ in range(spec["readers"])]
        for _ in readers:
            await ready.acquire()
        await asyncio.sleep(spec["settle"])
        begun = time.perf_counter()
        let_go: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(spec["trigger_method"])
        await let_go(trigger)
        await asyncio.gather(*readers)
        took = time.perf_counter() - begun
    return {"rate": wanted * spec["readers"] / took, "seconds": took, "bytes": size}


async def resume(spec: dict[str, Any]) -> dict[str, Any]:
    """Read the stream from its beginning, until `events` have come."""
    (start,) = read_frames(Path(spec["requests"]))
    count = 0
    async with grpc.aio.insecure_channel(spec["address"], ENDLESS_FRAMES) as channel:
        stream: grpc.aio.UnaryStreamMultiCallable[bytes, StreamEventsResponse] = channel.unary_stream(
            spec["method"], None, StreamEventsResponse.FromString
        )
        await channel.channel_ready()
        begun = time.perf_counter()
        async for message in stream(start):
            count += len(message.batch.messages) if message.HasField("batch") else message.HasField("envelope")
            if count >= spec["events"]:
                break
        took = time.perf_counter() - begun
    return {"seconds": took}


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process and all its threads have used, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)  # what clock_getcpuclockid(3) makes of a process id


def write_frames(path: Path, frames: list[bytes]) -> Path:
    """Write messages one after the other, each after its length in four bytes."""
    path.write_bytes(b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames))
    return path


def read_frames(path: Path) -> list[bytes]:
    """What `write_frames` wrote."""
    body, frames, at = path.read_bytes(), [], 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        frames.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return frames


KINDS = {"call": call, "fan_out": fan_out, "resume": resume}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(uvloop.run(KINDS[given["kind"]](given))))
