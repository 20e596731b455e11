"""Owns the promise that one journal has one daemon: an advisory lock on a file beside it, gone with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from quarterdeck.daemon.journal.database import InUse
from quarterdeck.daemon.journal.forks import keep_from_children, let_go
from quarterdeck.domain.errors import ConfigError


class InstanceLock:
    """Held from construction to `release`, or to the end of the process however it ends.

    Raises:
        InUse: another process holds it; the text names the file and, if it is known, the process.
        ConfigError: the file can't be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot open the lock {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            who = f"process {holder}" if holder else "another process"
            raise InUse(f"{who} is using this journal: it holds the lock {path}") from error
        keep_from_children(self._descriptor)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    @property
    def is_held(self) -> bool:
        """Whether the file that is locked is still the one of that name, which the next process would lock."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Let another process in. The file stays: removing it would let two processes lock two files of one name."""
        let_go(self._descriptor)
        os.close(self._descriptor)
