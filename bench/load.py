"""Owns the load: a client process that calls one method with ready-made bytes, or reads one stream many times over.

Run as `python -m bench.load SPEC`, where SPEC is JSON; prints its result as JSON. It is a process of its own so that
its work is not the server's, and it sends bytes so that it costs as little as a client can.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import uvloop

ENDLESS_FRAMES = (("grpc.max_receive_message_length", -1),)


async def call(spec: dict[str, Any]) -> dict[str, Any]:
    """Keep `in_flight` calls under way for `seconds`; each takes the next request, or the only one again and again."""
    requests = read_frames(Path(spec["requests"]))
    repeat = len(requests) == 1
    latencies: list[float] = []
    failed: list[str] = []
    async with grpc.aio.insecure_channel(spec["address"], ENDLESS_FRAMES) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(spec["method"])
        await channel.channel_ready()
        await method(requests[0])
        taken = 1

        async def caller(until: float) -> None:
            nonlocal taken
            while time.perf_counter() < until and (repeat or taken < len(requests)):
                request = requests[0] if repeat else requests[taken]
                taken += 1
                begun = time.perf_counter()
                try:
                    await method(request)
                except grpc.aio.AioRpcError as error:
                    failed.append(f"{error.code().name}: {error.details()}")
                    return
                latencies.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        await asyncio.gather(*(caller(begun + spec["seconds"]) for _ in range(spec["in_flight"])))
        took = time.perf_counter() - begun
    if failed or not latencies:
        raise RuntimeError(failed[0] if failed else "no call was made")
    latencies.sort()
    return {
        "calls": len(latencies),
        "rate": len(latencies) / took,
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
    }


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


KINDS = {"call": call, "fan_out": fan_out}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(uvloop.run(KINDS[given["kind"]](given))))
