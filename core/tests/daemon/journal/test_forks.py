"""F55: a child that was forked and lives on does not keep a new daemon out."""

from __future__ import annotations

import os
import signal
import time

import pytest

from quarterdeck.daemon.journal import Journal
from quarterdeck.daemon.journal.database import InUse


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_keeps_no_lock(url: str) -> None:
    journal = Journal.open(url, "main")
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    try:
        with pytest.raises(InUse):
            Journal.open(url, "main")  # the child has not let go for us
        journal.close()
        Journal.open(url, "main").close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_not_even_of_a_daemon_that_was_killed(url: str) -> None:
    reading, writing = os.pipe()
    daemon = os.fork()
    if not daemon:
        Journal.open(url, "main")
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        os.write(writing, f"{child}\n".encode())
        time.sleep(60)
    child = int(os.read(reading, 20))
    os.kill(daemon, signal.SIGKILL)
    os.waitpid(daemon, 0)
    try:
        Journal.open(url, "main").close()
    finally:
        os.kill(child, signal.SIGKILL)
