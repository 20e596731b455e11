"""Owns a real daemon in a process of its own, for tests that need one to crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import grpc

from quarterdeck.v1 import system_pb2, system_service_pb2, system_service_pb2_grpc

#: How long a daemon may take to start on a busy machine.
PATIENCE = 60.0

#: Channel options of a client that does not wait long before it tries again to connect.
IMPATIENT = [(f"grpc.{which}_reconnect_backoff_ms", 50) for which in ("initial", "min", "max")]


class Running(Protocol):
    """A process that runs: `subprocess.Popen`, or what stands for one."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Its exit code; None while it lives."""

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended."""

    def send_signal(self, number: int) -> None:
        """Send it a signal."""


class DaemonProcess:
    """`quarterdeck serve` on a configuration in a folder; can be killed and started again on the same journal."""

    def __init__(self, folder: Path, config: str, **more: str) -> None:
        """`more` are the configurations of further accounts, by the names of their files."""
        self.folder = folder
        self.configs = ["quarterdeck.toml", *(f"{name}.toml" for name in more)]
        for name, text in more.items():
            (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        self.log = folder / "daemon.log"
        self.address = f"127.0.0.1:{_free_port()}"
        (folder / "quarterdeck.toml").write_text(config, encoding="utf-8")
        self._process: Running | None = None

    @property
    def process(self) -> Running:
        """The latest process, which may have ended."""
        assert self._process is not None, "not started"
        return self._process

    def start(self, environment: Mapping[str, str] = {}) -> None:
        """Start it and wait until it is ready.

        Raises:
            AssertionError: it ended, or did not get ready; with its log.
        """
        self.launch(environment)
        self.wait_ready()

    def launch(self, environment: Mapping[str, str] = {}) -> None:
        """Start it, with variables beside our own, and wait for nothing."""
        configs = [part for name in self.configs for part in ("--config", name)]
        self._process = self._run(["serve", *configs, "--listen", self.address], environment)

    def wait_ready(self) -> None:
        """Wait until it takes calls.

        Raises:
            AssertionError: it ended, or did not get ready; with its log.
        """
        deadline = time.monotonic() + PATIENCE
        with grpc.insecure_channel(self.address, options=IMPATIENT) as channel:
            stub = system_service_pb2_grpc.SystemServiceStub(channel)
            while time.monotonic() < deadline:
                assert self.process.poll() is None, self.log.read_text()
                try:
                    status = stub.GetStatus(system_service_pb2.GetStatusRequest(), timeout=1).status
                except grpc.RpcError:
                    time.sleep(0.02)
                    continue
                if status.state != system_pb2.Status.STATE_SYNCING:
                    return
        raise AssertionError(f"not ready in {PATIENCE:g} s:\n{self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more after this."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns its exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        return self.process.wait(PATIENCE)

    def _end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.wait()

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Running:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [str(Path(sys.executable).with_name("quarterdeck")), *arguments],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "NO_COLOR": "1", **environment},
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
