"""Owns the places where a test can make the daemon fail: killed, hung, slowed or struck by an error.

    failpoint("place.after")  # the venue has answered, nobody here has heard of it yet

A call does nothing until somebody arms it: a process by `QUARTERDECK_FAILPOINTS="place.after=kill@3;stop.begun=raise"`
(at the third hit, or at every one), a simulation by `install`. A new step of the daemon that can end halfway gets a
point: add its name to NAMES and the call beside the step. The crash sweep finds both by itself.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from quarterdeck.domain.errors import ConfigError

#: Environment variables that arm a process, and that name a file for the hits counted until it ends.
ARM = "QUARTERDECK_FAILPOINTS"
COUNT = "QUARTERDECK_FAILPOINTS_COUNT"

#: Every point, in the order of a daemon's life.
NAMES = (
    # start: each after the step it names
    "start.parts",
    "start.journal",
    "start.fold",
    "start.serving",
    "start.restore",
    "start.begun",
    "start.exchange",
    "resolve.ask",
    "resolve.answer",
    "reconcile.ask",
    "reconcile.answer",
    "start.account",
    "start.bots",
    "start.ready",
    # an event's way: on the writer's thread before and after the transaction, then on the event loop
    "journal.commit",
    "journal.committed",
    "loop.durable",
    "loop.published",
    "loop.answered",
    # an order's way
    "order.queued",
    "place.before",
    "place.after",
    "place.posted",
    "cancel.before",
    "cancel.after",
    "amend.before",
    "amend.after",
    # the kill switch, on either side of the commit that latches it
    "kill.before",
    "kill.latched",
    # what follows the journal, inside its transaction and after it
    "table.write",
    "table.written",
    "snapshot.write",
    "snapshot.written",
    "head.write",
    # stop: each after the step it names
    "stop.begun",
    "stop.drained",
    "stop.recorded",
    "stop.served",
    "stop.snapshot",
    "stop.closed",
)

Handler = Callable[[str], None]

_handler: Handler | None = None


class Injected(Exception):
    """The error a point raises when it is armed with `raise`."""


def failpoint(name: str) -> None:
    """A step of the daemon is here; `name` is one of NAMES. Fails if a test wants it to."""
    if _handler is not None:
        _handler(name)


def install(handler: Handler | None) -> None:
    """Have every point call `handler` with its name, from whichever thread it is on; None disarms."""
    global _handler  # noqa: PLW0603 - one switch for the process is what keeps an unarmed point free
    _handler = handler


def arm(environment: Mapping[str, str]) -> bool:
    """Do what the environment says, for the whole process; returns whether it said anything.

    Raises:
        ConfigError: a point or an action that does not exist.
    """
    rules, count = parse(environment.get(ARM, "")), environment.get(COUNT, "")
    if not rules and not count:
        return False
    counter = _Counter(rules)
    install(counter.hit)
    if count:
        atexit.register(counter.write, Path(count))
    return True


class Rule:
    """What happens at the `nth` hit of a point; at each if it is 0."""

    def __init__(self, action: Callable[[], None], nth: int) -> None:
        self.action = action
        self.nth = nth


def parse(text: str) -> dict[str, Rule]:
    """Rules by point, from `name=action@hit;...`: action is `kill`, `stop`, `raise`, `hang` or `sleep:SECONDS`.

    Raises:
        ConfigError: the text is malformed or names what does not exist.
    """
    rules: dict[str, Rule] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        name, _, rest = part.partition("=")
        action, at, hit = rest.partition("@")
        if name not in NAMES:
            raise ConfigError(f"{ARM}: there is no failpoint {name!r}; there are: {', '.join(NAMES)}")
        if at and not (hit.isdecimal() and int(hit)):
            raise ConfigError(f"{ARM}: {part!r}: the hit is a whole number from 1, not {hit!r}")
        if name in rules:
            raise ConfigError(f"{ARM}: {name} is armed twice")
        rules[name] = Rule(_action(name, action, part), int(hit) if at else 0)
    return rules


def _action(name: str, action: str, part: str) -> Callable[[], None]:
    kind, _, argument = action.partition(":")
    if kind == "sleep":
        try:
            seconds = float(argument)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise ConfigError(f"{ARM}: {part!r}: sleep takes seconds, such as sleep:0.5")
        return lambda: time.sleep(seconds)
    known = {
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "raise": lambda: _raise(name),
        "hang": _hang,
    }
    if action not in known:
        raise ConfigError(f"{ARM}: {part!r}: the action is one of: {', '.join(known)}, sleep:SECONDS")
    return known[action]


def _hang() -> None:
    threading.Event().wait()


def _raise(name: str) -> None:
    raise Injected(f"failpoint {name}")


class _Counter:
    """Counts hits from every thread, and does what is due."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._hits: Counter[str] = Counter()
        self._lock = threading.Lock()

    def hit(self, name: str) -> None:
        with self._lock:
            self._hits[name] += 1
            nth = self._hits[name]
        rule = self._rules.get(name)
        if rule is not None and rule.nth in (0, nth):
            rule.action()

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self._hits), encoding="utf-8")
