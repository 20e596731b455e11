"""Owns a real daemon in a process of its own, for tests that need one to crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import grpc

from quarterdeck.v1 import system_pb2, system_service_pb2, system_service_pb2_grpc

#: How long a daemon may take to start on a busy machine.
PATIENCE = 60.0


class DaemonProcess:
    """`quarterdeck serve` on a configuration in a folder; can be killed and started again on the same journal."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.log = folder / "daemon.log"
        self.address = f"127.0.0.1:{_free_port()}"
        (folder / "quarterdeck.toml").write_text(config, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            AssertionError: it ended, or did not get ready; with its log.
        """
        command = [str(Path(sys.executable).with_name("quarterdeck")), "serve", "--config", "quarterdeck.toml"]
        self._stderr = self.log.open("ab")
        self._process = subprocess.Popen(
            [*command, "--listen", self.address],
            cwd=self.folder,
            stdout=self._stderr,
            stderr=self._stderr,
            env=os.environ | {"NO_COLOR": "1"},
        )
        deadline = time.monotonic() + PATIENCE
        with grpc.insecure_channel(self.address) as channel:
            stub = system_service_pb2_grpc.SystemServiceStub(channel)
            while time.monotonic() < deadline:
                assert self._process.poll() is None, self.log.read_text()
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

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE)
        if self._stderr is not None:
            self._stderr.close()
        return code


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
