"""Owns watching what the daemon's process uses while it lives: memory, threads, files and sockets."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.soak.stage import Lives

#: Seconds of a life that are not judged: imports, caches and pools fill up.
WARM_UP = 90.0

#: A life has to be watched for so long after that before its memory is judged.
LONG = 90.0

#: Growth that is none, in MiB a minute: the latest events and orders are kept, some thousands of them, a KiB each.
SLOPE_LIMIT = 4.0

#: Threads and open files beyond those of a young daemon.
THREADS_LIMIT, FILES_LIMIT = 24, 48


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look found. `at` in seconds since the look before the first; memory in MiB."""

    at: float
    memory: float
    threads: int
    files: int
    sockets: int


class Gauge(threading.Thread):
    """Looks once a second, life by life."""

    def __init__(self, lives: Lives) -> None:
        super().__init__(name="gauge", daemon=True)
        self._lives = lives
        self._over = threading.Event()
        self.samples: defaultdict[int, list[Sample]] = defaultdict(list)

    def run(self) -> None:
        while not self._over.wait(1.0):
            life = self._lives.number
            with suppress(OSError, StopIteration):  # it has just ended
                self.samples[life].append(look(self._lives.daemon.process.pid))

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def write(self, path: Path) -> None:
        """Keep all that was seen: life, seconds, MiB, threads, files, sockets."""
        lines = [
            f"{life},{each.at:.1f},{each.memory:.2f},{each.threads},{each.files},{each.sockets}\n"
            for life, samples in self.samples.items()
            for each in samples
        ]
        path.write_text("".join(lines), encoding="utf-8")

    @property
    def longest(self) -> list[Sample]:
        """What was seen of the longest life."""
        return max(self.samples.values(), key=len, default=[])

    def problems(self) -> list[str]:
        """What grew that must not."""
        samples = self.longest
        warm = [each for each in samples if each.at >= samples[0].at + WARM_UP]
        if len(warm) < 10:
            return []
        found = []
        if warm[-1].at - warm[0].at >= LONG and (slope := slope_of(warm)) > SLOPE_LIMIT:
            found.append(f"memory grows by {slope:.2f} MiB a minute")
        first, last = warm[0], warm[-10:]
        for name, limit in (("threads", THREADS_LIMIT), ("files", FILES_LIMIT)):
            before, after = getattr(first, name), min(getattr(each, name) for each in last)
            if after > before + limit:
                found.append(f"{name} went from {before} to {after}")
        return found


def look(pid: int) -> Sample:
    """What a process uses now."""
    process = Path(f"/proc/{pid}")
    memory = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    files = [_target(each) for each in (process / "fd").iterdir()]
    return Sample(
        time.monotonic(),
        int(memory.split()[1]) / 1024,
        len(list((process / "task").iterdir())),
        len(files),
        sum(each.startswith("socket:") for each in files),
    )


def _target(link: Path) -> str:
    with suppress(OSError):
        return str(link.readlink())
    return ""


def slope_of(samples: list[Sample]) -> float:
    """MiB a minute, by least squares."""
    count = len(samples)
    mean_at = sum(each.at for each in samples) / count
    mean_memory = sum(each.memory for each in samples) / count
    over = sum((each.at - mean_at) ** 2 for each in samples)
    return 60 * sum((each.at - mean_at) * (each.memory - mean_memory) for each in samples) / over if over else 0.0
