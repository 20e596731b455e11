"""Owns what the daemon does to its own process: limits, the signals that end it, and the last resort."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable

#: Files the daemon and its connections may need at once.
WANTED_FILES = 65_536

#: Asked twice to end: what a shell shows for a process ended by that signal.
KILLED = 128


def harden() -> None:
    """Nobody else reads what is written here, and no memory is left on the disk after a crash."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def on_stop_signal(call: Callable[[], None]) -> None:
    """Call when SIGTERM or SIGINT comes first; a second one ends the process at once.

    The second one is handled without the event loop, which may be what hangs. Nothing is lost by it: what was confirmed
    is in the journal.
    """
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def first() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, lambda again, _: leave(KILLED + again, "asked to stop twice"))
        call()

    for number in numbers:
        loop.add_signal_handler(number, first)


def leave_after(seconds: float, code: int) -> threading.Timer:
    """End the process after so long, even if its event loop hangs; to be canceled when it has ended by itself."""
    timer = threading.Timer(seconds, leave, (code, f"did not stop within {seconds:g} s"))
    timer.daemon = True
    timer.start()
    return timer


def leave(code: int, why: str) -> None:
    """End the process now, without another word to anybody but the log."""
    sys.stderr.write(f"quarterdeck: {why}: ending at once\n")
    sys.stderr.flush()
    os._exit(code)
