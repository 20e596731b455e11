"""Owns that a child of `fork` holds no lock of ours: a lock is the open file's, and lives as long as any copy of it.

Files are not inherited by programs that a child runs, but a child that runs none has them all, and may outlive us.
"""

from __future__ import annotations

import os
from contextlib import suppress

_ours: set[int] = set()


def keep_from_children(descriptor: int) -> None:
    """Have every child that is forked from now on close a file at once."""
    _ours.add(descriptor)


def let_go(descriptor: int) -> None:
    """The file is about to be closed here, and its number may come to mean another."""
    _ours.discard(descriptor)


def _close_ours() -> None:
    for descriptor in _ours:
        with suppress(OSError):
            os.close(descriptor)
    _ours.clear()


os.register_at_fork(after_in_child=_close_ours)
