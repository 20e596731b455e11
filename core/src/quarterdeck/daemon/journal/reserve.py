"""Owns disk space kept for the day on which there is none: a file that is given up when a write finds the disk full.

What is freed is for taking risk off: cancels, exits and the venue's reports have to be written down before they count.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

#: A disk with less than this is as good as full: opening a database takes some, too.
LEAST = 1 << 20


class Reserve:
    """So many bytes in a file of this name, if the disk has them. For any thread."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self._lock = threading.Lock()
        if self._free() < LEAST:
            self.release()

    @property
    def is_held(self) -> bool:
        """Whether the space is kept; nothing is needed to keep none."""
        try:
            return not self.size or self.path.stat().st_size >= self.size
        except OSError:
            return False

    def hold(self) -> bool:
        """Keep the space, if the disk has as much again beside it; returns whether it is kept."""
        with self._lock:
            if self.is_held:
                return True
            if self._free() < 2 * self.size + LEAST:
                return False
            try:
                self._take()
            except OSError:  # it was not that free after all
                self._drop()
                return False
            return True

    def release(self) -> bool:
        """Give the space up; returns whether there was any."""
        with self._lock:
            return self._drop()

    def _take(self) -> None:
        with self.path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, self.size)
            else:
                file.write(bytes(self.size))

    def _drop(self) -> bool:
        with suppress(OSError):
            had = self.path.stat().st_size > 0
            self.path.unlink()
            return had
        return False

    def _free(self) -> int:
        found = os.statvfs(self.path.parent)
        return found.f_bavail * found.f_frsize
