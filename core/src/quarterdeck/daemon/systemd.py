"""Owns what is told to the service manager that started the daemon, if there is one: one datagram to a socket it names.

The words are those of sd_notify(3): `READY=1`, `STATUS=…`, `STOPPING=1`, `WATCHDOG=1`.
"""

from __future__ import annotations

import os
import socket


def notify(**words: object) -> bool:
    """Tell the service manager, such as `notify(READY=1, STATUS="ready")`; whether there is one that could be told.

    Never waits and never fails: nothing here is worth stopping for.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # Linux's abstract namespace
        address = f"\0{address[1:]}"
    message = "\n".join(f"{name}={value}" for name, value in words.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(message.encode(), address)
    except OSError:
        return False
    return True


def watchdog_seconds() -> float | None:
    """After how many seconds without a sign of life this process is ended; None if nobody watches it."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or int(microseconds) == 0 or watched != str(os.getpid()):
        return None
    return int(microseconds) / 1e6
